"""The text kernels on bytes that are no text and tables that do not fit: a result or a ValueError, nothing else.

The sanitizers run this file as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smolforge.corpus import _text
from smolforge.corpus.config import LANGUAGES
from smolforge.corpus.rules.fineweb import FineWebRules
from smolforge.corpus.text import kernel
from smolforge.corpus.text.characters import flags
from smolforge.corpus.text.features import FEATURES

RULES = FineWebRules()
HOSTILE = {
    "nothing": b"",
    "NULs": b"\0" * 5000,
    "torn sequences": b"\xc3",
    "torn of three": b"word \xe2\x82",
    "torn of four": b"\xf0\x9f\x98",
    "continuations alone": b"\x80\xbf" * 3000,
    "lone surrogates": b"\xed\xa0\x80\xed\xbf\xbf" * 500,
    "beyond Unicode": b"\xf4\x90\x80\x80\xf8\x88\x80\x80\x80\xff\xfe",
    "overlong": b"\xc0\x80\xe0\x80\x80\xf0\x80\x80\x80",
    "the last code points": "\U0010ffff\U0010fffe\ufffe\uffff".encode() * 50,
    "one line of megabytes": b"a line without an end, " * 50_000,
    "one word of megabytes": b"x" * 1_000_000,
    "one encoded run": b"aB3+" * 200_000,
    "escapes": b"0x0x0x0x41," * 20_000 + b"\\x41\\u00" * 20_000 + b"\\",
    "line ends": b"\n\r\x0b\x0c\x1c" * 100_000,
    "blank lines": b" \n \n" * 100_000,
    "apostrophes": b"l'" * 100_000 + "d\u2019".encode() * 1000 + b"qu'",
    "brackets": b"[12][edit][citation needed" * 10_000,
    "commands": b"\\begin{" * 10_000 + b"\\(" + b"$" * 1001 + b"\\",
    "Han": "字".encode() * 200_000,
    "marks": "\u064b\u0301\u3099".encode() * 50_000,
    "ellipses": b"..." * 100_001 + "…".encode(),
    "repetition": b"same words again and again " * 20_000,
    "tags": b"<mi><mo><math" * 20_000,
    "dots": b"a.b." * 50_000 + b"://" + b"@" * 1000,
}


def buffer_of(parts: list[bytes]) -> kernel.Buffer:
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    return np.frombuffer(b"".join(parts), np.uint8), offsets


def everything(parts: list[bytes], languages: list[str]) -> list[NDArray[np.float64]]:
    """All that the kernels say of some bytes, as rows of numbers."""
    buffer = buffer_of(parts)
    keys, empty = kernel.nominate(buffer, languages, 14, 8, 5)
    keys[empty] = 0
    return [
        kernel.measure(buffer, languages).astype(np.float64),
        RULES.measure_buffer(*buffer),
        _text.script_counts(flags(), *buffer).astype(np.float64),
        keys.astype(np.float64),
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_gives_finite_numbers(name: str) -> None:
    for language in ("en", "fr", "ar"):
        features, measures, scripts, _ = everything([HOSTILE[name]], [language])
        assert np.isfinite(features).all() and (features >= 0).all() and np.isfinite(measures).all()
        assert (scripts[:, 1:].sum(axis=1) <= scripts[:, 0]).all()
        shares = [
            i for i, feature in enumerate(FEATURES) if feature.startswith(("alpha", "bullet", "duplicate", "white"))
        ]
        assert (features[:, shares] <= 1).all()


def test_hostile_texts_leave_nothing_for_the_next() -> None:
    parts = [part[:20_000] for part in HOSTILE.values()]
    languages = [LANGUAGES[i % 9] for i in range(len(parts))]
    together = everything(parts, languages)
    for row, (part, language) in enumerate(zip(parts, languages, strict=True)):
        for one, many in zip(everything([part], [language]), together, strict=True):
            np.testing.assert_array_equal(one[0], many[row])


@given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from(LANGUAGES))
@settings(deadline=None)
def test_any_bytes_give_finite_numbers(parts: list[bytes], language: str) -> None:
    for table in everything(parts, [language] * len(parts)):
        assert len(table) == len(parts) and np.isfinite(table).all()


@given(st.binary(max_size=400), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
@settings(deadline=None)
def test_a_language_model_of_any_fitting_tables_scores_any_bytes(
    text: bytes, states: int, features: int, classes: int
) -> None:
    draw = np.random.default_rng(len(text) + states)
    model = _text.LanguageModel(
        draw.integers(0, states, 256 * states).astype(np.uint32),
        (np.arange(states) * 256).astype(np.uint32),
        draw.integers(-1, features, states).astype(np.int32),
        draw.normal(size=(features, classes)).astype(np.float32),
        draw.normal(size=classes).astype(np.float32),
    )
    scores = model.scores(*buffer_of([text, b"", text]))
    assert scores.shape == (3, classes) and np.isfinite(scores).all()
    np.testing.assert_array_equal(scores[0], scores[2])
    assert (scores[1] == 0).all()


@pytest.mark.parametrize("place", range(5))
def test_a_language_model_whose_tables_do_not_fit_is_refused(place: int) -> None:
    tables: list[Any] = [np.zeros(512, np.uint32), np.array([0, 256], np.uint32), np.zeros(2, np.int32)]
    tables += [np.zeros((3, 2), np.float32), np.zeros(2, np.float32)]
    _text.LanguageModel(*tables)
    wrong = [
        np.full(512, 2, np.uint32),
        np.array([0, 257], np.uint32),
        np.full(2, 3, np.int32),
        np.zeros((3, 1), np.float32),
        np.zeros(3, np.float32),
    ]
    tables[place] = wrong[place]
    with pytest.raises(ValueError, match="do not fit"):
        _text.LanguageModel(*tables)
