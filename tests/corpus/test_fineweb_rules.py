"""FineWeb's rules: words as its floors count them, measures against a plain reading of the definitions, verdicts."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from smolforge.corpus._text import FineWebMeter
from smolforge.corpus.characters import flags
from smolforge.corpus.english_exceptions import exceptions
from smolforge.corpus.fineweb import MEASURES, FineWebRules, judge, published_limits

RULES = FineWebRules()
PAGE = (
    "The harbour of the old town was built to shelter ships that came with the wind of the north.\n"
    "It is said that Mr. Brown didn't leave it for 30 years, and that he'd have stayed on.\n\n"
    "Visitors to the well-known museum (open 9am to 5pm) can see the maps of those days...\n"
    "The keeper will be happy to show them; there's no charge for it.\n"
    "A short walk leads to the lighthouse, whose lamp was the first of its kind to be lit with gas.\n"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I'm sure Mr. Hill can't.", ["I", "'m", "sure", "Mr.", "Hill", "ca", "n't", "."]),
        ("a well-known (old) 'trick'", ["a", "well", "-", "known", "(", "old", ")", "'", "trick", "'"]),
        ("It rained... again, at 5pm.", ["It", "rained", "...", "again", ",", "at", "5", "pm", "."]),
        ("see https://example.org/a-b, please", ["see", "https://example.org/a-b", ",", "please"]),
        ("the U.S. army's 3km march—over", ["the", "U.S.", "army", "'s", "3", "km", "march", "—", "over"]),
        ("either/or and e.g. 1,000 or $5", ["either", "/", "or", "and", "e.g.", "1,000", "or", "$", "5"]),
        ("  \n\t ", []),
        ("naïve — “quoted” …", ["naïve", "—", "“", "quoted", "”", "…"]),
    ],
)
def test_words_are_cut_as_the_published_floors_count_them(text: str, words: list[str]) -> None:
    assert RULES.words(text) == words


def test_measures_follow_their_definitions() -> None:
    page = PAGE * 2 + "Terms of use apply here to all.\nthe javascript is needed now\nonly two\n" + "of the sea " * 30
    found = dict(zip(MEASURES, RULES.measure([page])[0], strict=True))
    words, size = RULES.words(page), len(page)
    assert found["characters"] == size
    lines = re.split(r"\n+", page)
    again = [line for i, line in enumerate(lines) if line in lines[:i]]
    assert found["duplicate_lines"] == pytest.approx(len(again) / len(lines))
    assert found["duplicate_line_characters"] == pytest.approx(sum(map(len, again)) / size)
    grams = Counter(" ".join(words[i : i + 3]) for i in range(len(words) - 2))
    top, count = grams.most_common(1)[0]
    assert found["top_3_gram"] == pytest.approx(len(top) * count / size)
    assert found["duplicate_5_grams"] == pytest.approx(_duplicate_characters(words, 5) / size)
    assert found["alphabetic_words"] == pytest.approx(sum(any(map(str.isalpha, w)) for w in words) / len(words))
    assert found["stop_words"] == len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(words))
    assert found["ellipsis_lines"] == pytest.approx(2 / len(page.splitlines()))
    assert found["kept_lines"] == 2 * 5 + 1  # without the policy, the script, and the line of two words
    assert found["sentences"] == 2 * 5 + 1


def _duplicate_characters(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    repeated = i = 0
    while i + n <= len(words):
        gram = tuple(words[i : i + n])
        if gram in seen:
            repeated += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return repeated


def test_a_text_is_measured_alike_alone_and_in_company() -> None:
    texts = [PAGE, "", "x", PAGE[::-1], "字" * 300, "a\u2028b\r\nc " * 40, "\0" * 20, PAGE + "{", "word " * 5000]
    together = RULES.measure(texts)
    assert together.shape == (len(texts), len(MEASURES)) and np.isfinite(together).all()
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_array_equal(RULES.measure([text])[0], row)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PAGE, ""),
        ("", "characters too low"),
        ("\n".join(PAGE.splitlines()[:2]), "words too low"),
        (PAGE + "void main() { return to the }\n", "curly_brackets too high"),
        (PAGE + "Lorem ipsum dolor sit amet.\n", "placeholder_text too high"),
        (PAGE * 3, "duplicate_paragraph_characters too high"),
        ("buy the best of it now " * 60, "top_2_gram too high"),
        ("- and that to the\n- of it with the\n" * 30, "duplicate_lines too high"),
    ],
)
def test_a_page_is_judged_by_the_first_limit_it_breaks(text: str, reason: str) -> None:
    assert judge(RULES.measure([text])) == [reason]


def test_every_limit_is_on_a_measure() -> None:
    assert set(published_limits()) <= set(MEASURES)


def test_wrong_arguments_are_refused_and_broken_text_is_not() -> None:
    with pytest.raises(ValueError, match="offsets"):
        RULES.measure_buffer(np.zeros(4, np.uint8), np.array([0, 5], np.int64))
    with pytest.raises(ValueError, match="offsets"):
        RULES.measure_buffer(np.zeros(4, np.uint8), np.array([2, 1], np.int64))
    with pytest.raises(ValueError, match="pieces"):
        FineWebMeter(flags(), {"can't": [2, 2]}, [], [])
    broken = np.frombuffer(b"the \xff\xc3( \xed\xa0\x80 \xf4\x90\x80\x80 end \xe2\x82", np.uint8)
    assert RULES.measure_buffer(broken, np.array([0, len(broken)], np.int64))[0, 0] > 0


def test_exceptions_are_made_up_by_their_pieces() -> None:
    assert all(sum(lengths) == len(chunk) for chunk, lengths in exceptions().items())
