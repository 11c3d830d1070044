"""Types of the native text kernels (``native/text/module.cpp``)."""

import numpy as np
from numpy.typing import NDArray

def band_keys(shingles: NDArray[np.uint64], bands: int, rows: int) -> NDArray[np.uint64]:
    """Return uint64 (bands,), or (0,) without shingles; see ``minhash.band_keys``."""

def suffix_array(data: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the places of the suffixes in ascending order, int32 (size,); a suffix stands before those it begins."""

def repeated_passages(data: NDArray[np.uint8], offsets: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Return (text, begin, end), int64 (m, 3), in bytes of the text: what of at least ``least`` bytes stands in an
    earlier text too. ``offsets`` int64 (n + 1,); a text may not hold the byte 255; ValueError from 2^31 bytes on."""

def passage_keys(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], gram: int, window: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return sampled hashes of ``gram`` bytes, uint64 (m,), and how many are each text's, int64 (n,). Texts that share
    ``gram + window - 1`` bytes share one."""

class FineWebMeter:
    """Measures texts; keeps scratch memory, so a second caller waits."""

    def __init__(
        self,
        flags: NDArray[np.uint32],
        exceptions: dict[str, list[int]],
        stop_words: list[str],
        policies: list[str],
    ) -> None: ...
    def measure(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return float64 (n, measures) for n texts: UTF-8 ``data``, int64 ``offsets`` (n + 1,)."""

    def words(self, text: str) -> list[int]:
        """Return begin and end of each word, in characters."""

class TextKernel:
    """Our own words, features and near-duplicate keys; keeps scratch memory, so a second caller waits.

    ``data``: UTF-8 of n texts, ``offsets``: int64 (n + 1,), ``languages``: uint8 (n,), places in the lists given first.
    """

    def __init__(
        self,
        flags: NDArray[np.uint32],
        lower: NDArray[np.uint32],
        normal: NDArray[np.uint32],
        languages: list[dict[str, list[str]]],
        traits: list[int],
        common: dict[str, list[str]],
    ) -> None: ...
    def features(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64], languages: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        """Return float32 (n, features)."""

    def nominate(
        self,
        data: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        languages: NDArray[np.uint8],
        bands: int,
        rows: int,
        shingle: int,
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        """Return keys uint64 (n, bands), and for each text uint8 (n,): 0 done, 1 no words, 2 for Python to decide."""

    def words(self, text: str, language: int) -> list[str]:
        """Return the words of a text."""

def script_counts(flags: NDArray[np.uint32], data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return int32 (n, 5): letters of each text, and those in Latin, Arabic, Han and Cyrillic script."""

class LanguageModel:
    """Naive Bayes over features that an automaton finds in bytes; ``native/text/langid.h`` has the shapes."""

    def __init__(
        self,
        next: NDArray[np.uint32],
        row: NDArray[np.uint32],
        output: NDArray[np.int32],
        table: NDArray[np.float32],
        prior: NDArray[np.float32],
    ) -> None: ...
    def scores(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 (n, classes), all 0 for a text without features."""
