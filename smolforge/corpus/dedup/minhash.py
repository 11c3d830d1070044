"""MinHash: word n-grams hashed to 64 bits, 14 bands of 8 minima each.

Input: words of a document. Output: one 64-bit key a band; equal keys nominate a pair. Bands and rows as in FineWeb
(arXiv 2406.17557): a pair of Jaccard similarity s meets with probability 1 - (1 - s^8)^14. The format is ours, so
it does not change with a library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus import _text

U64 = NDArray[np.uint64]
_GOLDEN = 0x9E3779B97F4A7C15


def mix(x_N: U64) -> U64:
    """Return splitmix64's finaliser of each value: a bijection on 64 bits (Steele, Lea and Flood 2014)."""
    x_N = (x_N ^ (x_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x_N = (x_N ^ (x_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x_N ^ (x_N >> np.uint64(31)), dtype=np.uint64)


def word_hashes(words: Sequence[str], cache: dict[str, int]) -> U64:
    """Return BLAKE2b-64 of each word, shape (len(words),); ``cache`` remembers words between documents."""
    for word in words:
        if word not in cache:
            cache[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
    return np.fromiter(map(cache.__getitem__, words), dtype=np.uint64, count=len(words))


def shingles(hashes_W: U64, n: int) -> U64:
    """Return the distinct hashed n-grams of a word sequence, sorted; a shorter sequence is one shingle.

    An empty document has no shingles and therefore resembles nothing, not even another empty one.
    """
    if not len(hashes_W):
        return np.empty(0, dtype=np.uint64)
    count = max(1, len(hashes_W) - n + 1)
    state = np.zeros(count, dtype=np.uint64)
    for offset in range(min(n, len(hashes_W))):
        state = mix(state + hashes_W[offset : offset + count] + np.uint64(_GOLDEN))
    return np.unique(state)


def band_keys(shingles_S: U64, bands: int, rows: int) -> U64:
    """Return the band keys, shape (bands,), or shape (0,) for a document without shingles.

    Row r's hash of shingle s is mix(s xor seed_r): a permutation of 64-bit values, so minima of different documents
    agree with probability equal to their Jaccard similarity. A key is mix() over its band's number and minima.
    """
    return _text.band_keys(shingles_S, bands, rows)


def contained_share(part: NDArray[Any], whole: NDArray[Any]) -> float:
    """Return the share of ``part``'s shingles that occur in ``whole`` (both sorted and distinct)."""
    if not len(part) or not len(whole):
        return 0.0
    places = np.minimum(np.searchsorted(whole, part), len(whole) - 1)
    return float(np.count_nonzero(whole[places] == part) / len(part))
