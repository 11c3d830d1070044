"""Words as arrays: where they begin and end, which are the same, and that texts do not touch each other."""

from __future__ import annotations

import unicodedata

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smolforge.corpus.scoring.word_stream import batches, grams, word_stream

TEXTS = st.lists(st.text(st.sampled_from("aAbé\u0301ßİ 7٣.-_\n漢字カيَا\u0640́😀\ud800"), max_size=40), max_size=6)


def words_of(text: str, **options: bool) -> list[str]:
    text = unicodedata.normalize("NFC", text)
    stream = word_stream([text], **options)
    return [text[b:e] for b, e in zip(stream.begins, stream.ends, strict=True)]


def test_words_are_runs_of_letters_and_digits_and_single_characters_of_han_and_kana() -> None:
    assert words_of("Don't stop_it: 3.14 naïve cafe\u0301s!") == ["Don", "t", "stop", "it", "3", "14", "naïve", "cafés"]
    assert words_of("我喜欢Python3カナ。") == ["我", "喜", "欢", "Python3", "カ", "ナ"]
    assert words_of("a, b!", marks=True) == ["a", ",", "b", "!"]
    assert words_of("") == words_of(" \n\ud800\0") == []


def test_the_same_word_has_the_same_hash_wherever_and_however_it_is_written() -> None:
    hashes = word_stream(["Straße STRASSE straße", "x " * 70_000 + "STRAßE", "محمد مُحَمَّد", "12 34"]).hashes
    assert hashes[0] == hashes[2] != hashes[1] and hashes[3 + 70_000] == hashes[0]
    assert hashes[-4] == hashes[-3] and hashes[-2] != hashes[-1]
    folded = word_stream(["12 34 ٣٤ 345"], fold_digits=True).hashes
    assert folded[0] == folded[1] == folded[2] != folded[3]


def test_different_words_of_real_text_have_different_hashes() -> None:
    import pydoc_data.topics

    texts = list(pydoc_data.topics.topics.values())
    stream = word_stream(texts)
    text = stream.text
    spelled = {texts[t][b:e].lower() for t, b, e in zip(text, stream.begins, stream.ends, strict=True)}
    assert len(np.unique(stream.hashes)) == len(spelled) > 3000


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_a_text_has_the_same_words_alone_and_among_others(texts: list[str]) -> None:
    together = word_stream(texts, marks=True)
    assert together.firsts[0] == 0 and together.firsts[-1] == len(together.hashes)
    for number, text in enumerate(texts):
        alone = word_stream([text], marks=True)
        own = slice(together.firsts[number], together.firsts[number + 1])
        for name in ("hashes", "begins", "ends", "alone"):
            np.testing.assert_array_equal(getattr(together, name)[own], getattr(alone, name))
        composed = unicodedata.normalize("NFC", text)
        assert all(0 <= b < e <= len(composed) for b, e in zip(alone.begins, alone.ends, strict=True))
        assert all(composed[b:e].strip() == composed[b:e] for b, e in zip(alone.begins, alone.ends, strict=True))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=12), st.integers(1, 5))
def test_grams_are_equal_where_their_words_are(words: list[int], n: int) -> None:
    found = grams(np.array(words, np.uint64), n)
    spelled = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    assert len(found) == len(spelled) and len(set(found.tolist())) == len(set(spelled))
    assert [found.tolist().index(g) for g in found.tolist()] == [spelled.index(s) for s in spelled]


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), max_size=20))
def test_batches_cover_every_text_once_in_order(lengths: list[int]) -> None:
    ranges = list(batches(["x" * length for length in lengths], 20))
    assert [i for begin, end in ranges for i in range(begin, end)] == list(range(len(lengths)))
