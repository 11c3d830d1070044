"""How hard a text is to read, by the length of its words and sentences: what a curriculum may order documents by.

Input: texts and two of their features. Output: a score each, higher for harder. Formula: Automated Readability Index
(Senter and Smith, AMRL-TR-66-220, 1967), a grade of school for English prose; in other languages, and for code, an
order within the language and nothing more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.text.kernel import Buffer

MOST_WORDS = 100.0  # of a sentence; what has more is a list or a program, and not harder for it
_LINE, _BLANK = b"\n "
_MARKS = b".!?"
# Marks of Chinese and Arabic script, which end a sentence whatever follows.
_OTHER_MARKS = tuple(mark.encode() for mark in "。！？؟۔")
Places = NDArray[np.int64]


def difficulty(
    buffer: Buffer, words: NDArray[np.float32], mean_word_length: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return 4.71 * (characters / words) + 0.5 * (words / sentences) - 21.43 for each text, float32 (texts,)."""
    a_sentence = np.minimum(words / np.maximum(sentences(buffer), 1), MOST_WORDS)
    return (4.71 * mean_word_length + 0.5 * a_sentence - 21.43).astype(np.float32)


def sentences(buffer: Buffer) -> Places:
    """Return how many sentences each text has: a closing mark before white space or the end of the text ends one, so
    does an empty line after anything else."""
    data, offsets = buffer
    marks = np.flatnonzero(_is_mark(data))
    marks = marks[_among(offsets, marks + 1) | (data.take(marks + 1, mode="clip") <= _BLANK)]
    lines = np.flatnonzero(data == _LINE)
    empty = lines[1:][(np.diff(lines) == 1) & ~_among(offsets, lines[1:])] - 1  # the line end before an empty line
    empty = empty[~_among(offsets, empty)]
    empty = empty[~_is_mark(data[empty - 1]) & (data[empty - 1] != _LINE)]
    places = [marks, empty, *(_places(data, mark) for mark in _OTHER_MARKS)]
    return np.diff(np.searchsorted(np.sort(np.concatenate(places)), offsets))


def _is_mark(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    full_stop, exclamation, question = _MARKS
    return np.asarray((data == full_stop) | (data == exclamation) | (data == question))


def _among(offsets: Places, places: Places) -> NDArray[np.bool_]:
    """Return which places are edges of texts."""
    return np.asarray(offsets[np.searchsorted(offsets, places)] == places)


def _places(data: NDArray[np.uint8], mark: bytes) -> Places:
    """Return where a character of several bytes begins."""
    found = np.flatnonzero(data[: max(len(data) - len(mark) + 1, 0)] == mark[0])
    for at, byte in enumerate(mark[1:], 1):
        found = found[data[found + at] == byte]
    return found
