"""A keyed permutation of [0, n): the order of samples without storing any order.

Input is an index and a key made of (seed, name, epoch); output is another index. A Feistel network over a domain just
above n, with cycle-walking back into it (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6


def permutation_key(*parts: int | str) -> NDArray[np.uint64]:
    """Return ``ROUNDS`` round keys, uint64 (ROUNDS,), from anything that names the permutation."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8 * ROUNDS).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


def permute(index: NDArray[np.int64], n: int | NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Map each ``index`` (m,) in [0, n) to its place. ``n`` (m,) and ``keys`` (m, ROUNDS) may differ by element."""
    size = np.broadcast_to(np.asarray(n, dtype=np.int64), index.shape)
    keys_MR = np.broadcast_to(keys, (*index.shape, ROUNDS))
    place = _feistel(index, size, keys_MR)
    outside = np.flatnonzero(place >= size)
    while outside.size:
        place[outside] = _feistel(place[outside], size[outside], keys_MR[outside])
        outside = outside[place[outside] >= size[outside]]
    return place


def _feistel(index: NDArray[np.int64], n: NDArray[np.int64], keys_MR: NDArray[np.uint64]) -> NDArray[np.int64]:
    """One pass over the domain rows × columns, the smallest near-square one that holds n (so walks are rare)."""
    rows = np.ceil(np.sqrt(n.astype(np.float64))).astype(np.int64)
    columns = -(-n // np.maximum(rows, 1))
    left, right = np.divmod(index, np.maximum(columns, 1))
    for r in range(0, ROUNDS, 2):
        left = (left + _mix(right, keys_MR[..., r])) % rows
        right = (right + _mix(left, keys_MR[..., r + 1])) % columns
    return left * columns + right


def _mix(value: NDArray[np.int64], key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The 64-bit finaliser of SplitMix64 over value xor key, cut to 31 bits so that sums stay positive."""
    x = value.astype(np.uint64) ^ key
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x >> np.uint64(33)).astype(np.int64)
