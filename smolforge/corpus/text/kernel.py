"""The native text kernel with our word lists: features and near-duplicate keys of many texts at once.

Input: texts, or a buffer of texts one behind the other as in an Arrow column, and a language for each. Output: arrays.
No Python object is made for a word. A second thread waits for the first.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus import _text
from smolforge.corpus.dedup import minhash
from smolforge.corpus.text.characters import flags, lower_table, normal_table
from smolforge.corpus.text.words import ELIDING, nomination_words

Buffer = tuple[NDArray[np.uint8], NDArray[np.int64]]
_ELIDES, _VOWEL_MARKS = 1, 2  # native/text/words.h: LanguageTrait
_YES, _EMPTY, _NEEDS_CONTEXT = range(3)  # native/text/nominate.h: Nominated


@functools.lru_cache(maxsize=1)
def word_lists() -> dict[str, Any]:
    """Return ``rules/lists/words.json``: stop words and policy phrases by language, marks common to all."""
    place = importlib.resources.files("smolforge.corpus") / "rules" / "lists" / "words.json"
    return dict(json.loads(place.read_text(encoding="utf-8")))


@functools.lru_cache(maxsize=1)
def _numbers() -> dict[str, int]:
    """Number of each language that has a list or a trait; "" is any other."""
    lists = word_lists()
    known = {*lists["stop_words"], *lists["policy_phrases"], *ELIDING, "ar"}
    return {language: number for number, language in enumerate(["", *sorted(known)])}


@functools.lru_cache(maxsize=1)
def _kernel() -> _text.TextKernel:
    lists = word_lists()
    kinds = ("stop_words", "policy_phrases")
    languages = [{kind: lists[kind].get(language, []) for kind in kinds} for language in _numbers()]
    traits = [_ELIDES * (code in ELIDING) + _VOWEL_MARKS * (code == "ar") for code in _numbers()]
    common = {name: lists[name] for name in ("placeholders", "generated", "mathml")}
    return _text.TextKernel(flags(), lower_table(), normal_table(), languages, traits, common)


def buffer_of(texts: Sequence[str]) -> Buffer:
    """Return the texts as (UTF-8 bytes, int64 offsets (n + 1,)); what UTF-8 cannot hold becomes a question mark."""
    parts = [text.encode("utf-8", errors="replace") for text in texts]
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.frombuffer(b"".join(parts), np.uint8), offsets


def buffer_of_column(column: Any) -> Buffer:
    """Return an Arrow string array (or chunked array) as ``buffer_of`` does, without copying its text where it is one
    chunk of large strings. A missing value is an empty text."""
    import pyarrow as pa  # type: ignore[import-untyped]

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    array = (array.fill_null("") if array.null_count else array).cast(pa.large_string())
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64, len(array) + 1, 8 * array.offset) if offsets else np.zeros(1, np.int64)
    return np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), ends


def numbers_of(languages: Sequence[str]) -> NDArray[np.uint8]:
    """Return the kernel's number of each language."""
    numbers = _numbers()
    return np.fromiter((numbers.get(language, 0) for language in languages), np.uint8, len(languages))


def measure(buffer: Buffer, languages: Sequence[str]) -> NDArray[np.float32]:
    """Return float32 (n, len(FEATURES))."""
    return _kernel().features(*buffer, numbers_of(languages))


def nominate(
    buffer: Buffer, languages: Sequence[str], bands: int, rows: int, shingle: int
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the band keys uint64 (n, bands) of the texts' normalised words, and bool (n,): which have no words.

    The same keys as ``band_keys(shingles(word_hashes(nomination_words(...))))``; see ``minhash.py``.
    """
    keys, states = _kernel().nominate(*buffer, numbers_of(languages), bands, rows, shingle)
    data, offsets = buffer
    for row in np.flatnonzero(states == _NEEDS_CONTEXT).tolist():
        text = data[offsets[row] : offsets[row + 1]].tobytes().decode("utf-8", "replace")
        found = minhash.shingles(minhash.word_hashes(nomination_words(text, languages[row]), {}), shingle)
        states[row] = _YES if len(found) else _EMPTY
        if len(found):
            keys[row] = minhash.band_keys(found, bands, rows)
    return keys, states == _EMPTY


def words_of(text: str, language: str) -> list[str]:
    """Return the words as the kernel sees them (``words.words`` is the same in Python)."""
    return _kernel().words(text, _numbers().get(language, 0))
