"""FineWeb's rules: words as its floors count them, measures against a plain reading of the definitions, verdicts."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from smolforge.corpus._text import FineWebMeter
from smolforge.corpus.annotate import schema
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.history.document import history
from smolforge.corpus.history.explain import explain
from smolforge.corpus.rules import limits as rules
from smolforge.corpus.rules.calibrate import refit
from smolforge.corpus.rules.fineweb import MEASURES, FineWebRules, columns_of, judge, published_limits
from smolforge.corpus.rules.limits import Columns
from smolforge.corpus.rules.retune import retune
from smolforge.corpus.stage import run
from smolforge.corpus.text.characters import flags
from smolforge.corpus.text.english_exceptions import exceptions
from smolforge.corpus.text.features import features_of
from smolforge.errors import ConfigError, DataError
from smolforge.store import StageContext
from tests.corpus.test_corpus_rules import SENTENCES

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


def write_pages(folder: Path) -> None:
    """Write English pages, good and bad ones, and one page that is French."""
    folder.mkdir()
    english = [text for _, text in sorted(topics.items()) if 1500 < len(text) < 20_000][:16]
    english += [PAGE, PAGE * 3, "buy the best of it now " * 60]
    for number, text in enumerate(english):
        (folder / f"page-{number:02d}.txt").write_text(text)
    (folder / "brace.txt").write_text(PAGE + "void main() { return to the }\n")
    (folder / "french.txt").write_text(f"{SENTENCES['fr']}\n" * 2 + "{ }\n")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CorpusConfig]:
    """A finished corpus of a source with ``rules: fineweb`` and one without."""
    folder = tmp_path_factory.mktemp("fineweb")
    write_pages(folder / "pages")
    (folder / "notes").mkdir()
    (folder / "notes" / "own.txt").write_text(PAGE[::2] + PAGE + "{")
    sources = [
        {"kind": "folder", "path": str(folder / "pages"), "name": "web", "rules": "fineweb", "licence": "CC0-1.0"},
        {"kind": "folder", "path": str(folder / "notes"), "name": "own", "licence": "CC0-1.0"},
    ]
    config = CorpusConfig.model_validate({"sources": sources})
    run(config, StageContext(folder / "work", {}, 3))
    return folder / "work", config


def annotated(work: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((work / "annotations").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_the_stage_judges_english_documents_as_the_rules_do(pages: tuple[Path, CorpusConfig]) -> None:
    work, _ = pages
    texts = {f"file:{path.name}": path.read_text() for path in (work.parent / "pages").iterdir()}
    seen = []
    for row in annotated(work):
        english = row["source"] == "web" and row["label"] == "en"
        assert math.isnan(row["fineweb_words"]) is not english
        judged = {each.step: each for each in history(work, row["doc_id"]).judgements}
        if english and "rules" in judged:
            (expected,) = judge(RULES.measure([texts[row["url"]]]))
            assert judged["rules"].reason == expected
            seen.append(expected)
    assert len(seen) >= 12 and "" in seen and len(set(seen)) > 3


def test_another_language_and_another_source_have_their_own_rules(pages: tuple[Path, CorpusConfig]) -> None:
    work, _ = pages
    (french,) = (row for row in annotated(work) if row["url"] == "file:french.txt")
    (own,) = (row for row in annotated(work) if row["source"] == "own")
    assert french["label"] == "fr"
    assert explain(work, french["doc_id"]).profile == "prose" and explain(work, own["doc_id"]).profile == "notes"


def test_why_shows_the_broken_limit_first(pages: tuple[Path, CorpusConfig]) -> None:
    work, _ = pages
    (row,) = (row for row in annotated(work) if row["url"] == "file:brace.txt")
    told = explain(work, row["doc_id"])
    first, *others = told.limits
    assert told.profile == "fineweb" and (first.feature, first.value, first.high) == ("curly_brackets", 1, 0)
    assert first.broken and not any(each.broken for each in others) and len(told.limits) == len(published_limits())


def test_other_limits_are_tried_without_the_text(pages: tuple[Path, CorpusConfig], tmp_path: Path) -> None:
    work, config = pages
    same = {(row.step, row.reason): (row.then, row.now) for row in retune(work, config)}
    assert all(then == now for then, now in same.values()) and ("rules", "curly_brackets too high") in same
    (tmp_path / "fineweb.json").write_text('{"default": {"words": [50, null]}}')
    loose = retune(work, config.model_copy(update={"rules": str(tmp_path)}))
    assert {row.reason for row in loose if row.now and row.step == "rules"} <= {"words too low"}


def test_documents_that_were_not_measured_so_are_refused() -> None:
    columns: Columns = features_of([PAGE], ["en"])
    with pytest.raises(DataError, match="run the corpus stage again"):
        rules.judge_table(columns, ["fineweb"], ["en"], [""])
    measured = columns_of([PAGE, PAGE], ["fineweb", "prose"], ["en", "en"])
    both: Columns = {**features_of([PAGE] * 2, ["en"] * 2), **measured}
    assert rules.judge_table(both, ["fineweb", "prose"], ["en", "en"], ["", ""])[0][0] == ""
    with pytest.raises(DataError, match="run the corpus stage again"):
        rules.judge_table(both, ["fineweb", "fineweb"], ["en", "en"], ["", ""])


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ('{"languages": {"fr": {}}}', "unknown key 'languages'"),
        ('{"default": {"sentence": [5, null]}}', "did you mean 'sentences'"),
        ('{"default": {"upper_case_lines": [null, 1]}}', "unknown feature 'upper_case_lines'"),
    ],
)
def test_an_own_profile_has_limits_on_these_measures_alone(profile: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "fineweb.json").write_text(profile)
    with pytest.raises(ConfigError, match=said):
        rules.load_profile("fineweb", str(tmp_path))


def test_limits_for_english_alone_are_not_carried_to_other_languages() -> None:
    with pytest.raises(ConfigError, match=r"English alone.*--profile prose"):
        refit(rules.load_profile("fineweb"), {}, {})


def test_a_corpus_that_does_not_ask_has_no_such_columns() -> None:
    asks = CorpusConfig.model_validate({"sources": [{"kind": "pydoc_topics", "rules": "fineweb"}]})
    added = set(schema(asks).names) - set(schema(CorpusConfig()).names)
    assert added == {f"fineweb_{measure}" for measure in MEASURES}
