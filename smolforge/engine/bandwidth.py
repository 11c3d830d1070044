"""How fast this machine reads memory: the roof over every decoded token.

Input: a number of threads. Output: bytes per second, the best of several passes over a buffer larger than any cache.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

BUFFER_BYTES = 256 << 20
PASSES = 6


def read_bandwidth(threads: int, *, buffer_bytes: int = BUFFER_BYTES, passes: int = PASSES) -> float:
    """Return bytes per second that ``threads`` threads read together.

    Each takes the maximum of its own part, which NumPy does with wide loads and without the GIL. The best pass counts:
    another process can only make a pass slower.
    """
    buffer = np.ones(buffer_bytes // 4, np.float32)
    parts = np.array_split(buffer, threads)
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(passes):
            began = time.perf_counter()
            list(pool.map(np.max, parts))
            best = min(best, time.perf_counter() - began)
    return buffer.nbytes / best
