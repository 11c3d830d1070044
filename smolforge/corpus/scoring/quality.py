"""A quality model that trains on a CPU in minutes: logistic regression over hashed words and word pairs.

Input: texts with a yes or no each (``quality_training``). Output: the calibrated probability of yes for any number of
texts at once, and one ``.npz`` file without pickle. One pooled model serves all languages; a text's language is a
feature of its own, so that each language has its own base rate.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.dedup.minhash import mix
from smolforge.corpus.scoring.word_stream import batches, word_stream
from smolforge.errors import ConfigError, FormatError
from smolforge.store import digest_bytes, write_atomic

FORMAT = "smolforge-quality-2"
BITS = 18  # 262,144 weights: half a megabyte
LONGEST = 8000  # characters that are looked at: the beginning says what a page is
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class QualityModel:
    """``weights`` float32 (2**bits,), a bias, and the line (slope, shift) from a margin to a calibrated logit."""

    def __init__(self, weights: NDArray[np.float32], bias: float, slope: float, shift: float) -> None:
        self.weights, self.bias, self.slope, self.shift = weights, bias, slope, shift

    def margins(self, texts: Sequence[str], languages: Sequence[str]) -> Floats:
        """Return the uncalibrated log-odds, float64 (n,). A text's margin does not depend on its neighbours."""
        bits = len(self.weights).bit_length() - 1
        found: list[Floats] = [np.empty(0)]
        cut = [text[:LONGEST] for text in texts]
        for begin, end in batches(cut):
            text, places, values = features(cut[begin:end], languages[begin:end], bits)
            found.append(np.bincount(text, self.weights[places] * values, end - begin).astype(np.float64))
        return np.concatenate(found) + self.bias

    def probabilities(self, texts: Sequence[str], languages: Sequence[str]) -> NDArray[np.float32]:
        """Return the calibrated probability that each text is good, float32 (n,), 0 to 1."""
        return np.asarray(sigmoid(self.slope * self.margins(texts, languages) + self.shift), np.float32)

    def save(self, path: Path) -> None:
        """Write the model; weights as float16, so what is loaded is what is used from then on."""
        file = io.BytesIO()
        facts = {"format": FORMAT, "bias": self.bias, "slope": self.slope, "shift": self.shift}
        np.savez_compressed(file, weights=self.weights.astype(np.float16), facts=np.array(json.dumps(facts)))
        write_atomic(path, file.getvalue())

    @classmethod
    def load(cls, path: Path) -> QualityModel:
        """Read a model; ConfigError where there is none, FormatError where the file is something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                weights, facts = file["weights"], json.loads(str(file["facts"]))
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such quality model; 'smolforge corpus train-quality' makes one") from None
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise FormatError(f"{path}: not a quality model ({type(error).__name__})") from None
        size = len(weights) if weights.ndim == 1 else 0
        if not isinstance(facts, dict) or facts.get("format") != FORMAT or size < 2 or size & (size - 1):
            raise FormatError(f"{path}: not a quality model of format {FORMAT}; train it again")
        try:
            numbers = [float(facts[name]) for name in ("bias", "slope", "shift")]
        except (KeyError, TypeError, ValueError):
            raise FormatError(f"{path}: a quality model without bias, slope and shift") from None
        if not (np.isfinite(weights).all() and np.isfinite(numbers).all()):
            raise FormatError(f"{path}: a quality model with weights that are no numbers")
        return cls(weights.astype(np.float32), *numbers)


def features(
    texts: Sequence[str], languages: Sequence[str], bits: int = BITS
) -> tuple[Ints, Ints, NDArray[np.float32]]:
    """Return text, place and value of every feature: int64, int64, float32 (F,), texts in order, places ascending.

    Features are words, marks, pairs of neighbours and the language; a value is 1 + log of the count, and the values of
    a text have length 1.
    """
    stream = word_stream(texts, marks=True, fold_digits=True)
    text, hashes = stream.text, stream.hashes
    neighbours = text[:-1] == text[1:]
    pairs = mix(hashes[:-1] * np.uint64(3) + hashes[1:])[neighbours]
    own = np.array([int(digest_bytes(f"language {code}".encode())[:16], 16) for code in languages], np.uint64)
    which = np.concatenate([text, text[:-1][neighbours], np.arange(len(texts))])
    place = np.concatenate([hashes, pairs, own]) >> np.uint64(64 - bits)
    keys = np.sort((which.astype(np.uint64) << np.uint64(32)) | place)
    first = np.flatnonzero(np.diff(keys, prepend=np.uint64(0xFFFFFFFFFFFFFFFF)))
    counts = np.diff(first, append=len(keys))
    values = 1 + np.log(counts)
    keys = keys[first]
    which = (keys >> np.uint64(32)).astype(np.int64)
    lengths = np.sqrt(np.bincount(which, values * values, len(texts)))
    places = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return which, places, (values / lengths[which]).astype(np.float32)


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e^-x), without overflow."""
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))
