"""Types of the native text kernels (``native/text/module.cpp``)."""

import numpy as np
from numpy.typing import NDArray

def band_keys(shingles: NDArray[np.uint64], bands: int, rows: int) -> NDArray[np.uint64]:
    """Return uint64 (bands,), or (0,) without shingles; see ``minhash.band_keys``."""

class FineWebMeter:
    """Measures texts; keeps scratch memory, so a second caller waits."""

    def __init__(
        self,
        flags: NDArray[np.uint16],
        exceptions: dict[str, list[int]],
        stop_words: list[str],
        policies: list[str],
    ) -> None: ...
    def measure(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return float64 (n, measures) for n texts: UTF-8 ``data``, int64 ``offsets`` (n + 1,)."""

    def words(self, text: str) -> list[int]:
        """Return begin and end of each word, in characters."""
