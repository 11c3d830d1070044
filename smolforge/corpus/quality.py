"""A quality model that trains on a CPU in minutes: logistic regression over hashed words and word pairs.

Input: texts with a yes or no each (from a person's table, or scores of a language model cut at a limit). Output: the
probability of yes for any text, calibrated, and one ``.npz`` file without pickle. The same examples give the same
weights, whatever their order: an example's place in an epoch is a hash of its id.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.minhash import mix, word_hashes
from smolforge.corpus.synthesize.keyed import fraction
from smolforge.corpus.text import nomination_words
from smolforge.errors import ConfigError, DataError, FormatError
from smolforge.store import write_atomic

FORMAT = "smolforge-quality-1"
BITS = 18  # 262,144 weights: half a megabyte
LONGEST = 2000  # words that are looked at: the beginning says what a page is
HELD_OUT = 0.2  # half of it calibrates, half of it judges
BINS = 10
MOST_WORDS = 1 << 20  # whose hashes are remembered between texts
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """A text, its language and whether it is good. ``doc_id`` decides where it stands and whether it is held out."""

    doc_id: str
    text: str
    language: str
    good: bool


@dataclass(frozen=True)
class Judged:
    """How a model did on examples it never saw: their number, the share judged right at 0.5, the area under the ROC
    curve, and the expected calibration error before and after calibration."""

    examples: int
    accuracy: float
    area: float
    error_before: float
    error: float

    def __str__(self) -> str:
        return (
            f"{self.examples} held-out examples: {self.accuracy:.1%} right, area under the curve {self.area:.4f}, "
            f"calibration error {self.error:.4f} (before calibration {self.error_before:.4f})"
        )


class QualityModel:
    """``weights`` float32 (2**bits,), a bias, and the line (slope, shift) from a margin to a calibrated logit."""

    def __init__(self, weights: NDArray[np.float32], bias: float, slope: float, shift: float) -> None:
        self.weights, self.bias, self.slope, self.shift = weights, bias, slope, shift
        self._words: dict[str, int] = {}

    def margin(self, text: str, language: str) -> float:
        """Return the uncalibrated log-odds."""
        if len(self._words) > MOST_WORDS:
            self._words.clear()
        places, values = _features(text, language, self._bits, self._words)
        return float(self.weights[places] @ values) + self.bias

    def probability(self, text: str, language: str) -> float:
        """Return the calibrated probability that the text is good, 0 to 1."""
        return float(_sigmoid(np.float64(self.slope * self.margin(text, language) + self.shift)))

    @property
    def _bits(self) -> int:
        return len(self.weights).bit_length() - 1

    def save(self, path: Path) -> None:
        """Write the model; weights as float16, so what is loaded is what is used from then on."""
        file = io.BytesIO()
        facts = {"format": FORMAT, "bias": self.bias, "slope": self.slope, "shift": self.shift}
        np.savez_compressed(file, weights=self.weights.astype(np.float16), facts=np.array(json.dumps(facts)))
        write_atomic(path, file.getvalue())

    @classmethod
    def load(cls, path: Path) -> QualityModel:
        """Read a model; FormatError where the file is not one."""
        try:
            with np.load(path, allow_pickle=False) as file:
                weights, facts = file["weights"], json.loads(str(file["facts"]))
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such quality model") from None
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise FormatError(f"{path}: not a quality model ({type(error).__name__})") from None
        size = len(weights) if weights.ndim == 1 else 0
        if not isinstance(facts, dict) or facts.get("format") != FORMAT or size < 2 or size & (size - 1):
            raise FormatError(f"{path}: not a quality model of format {FORMAT}")
        return cls(weights.astype(np.float32), *(float(facts[name]) for name in ("bias", "slope", "shift")))


def train(
    examples: Sequence[Example], *, bits: int = BITS, epochs: int = 4, rate: float = 0.5
) -> tuple[QualityModel, Judged]:
    """Fit a model with AdaGrad (Duchi, Hazan and Singer 2011), calibrate it (Platt 1999), and judge it.

    DataError where there are too few examples of one kind to hold some of them out.
    """
    chosen = sorted(examples, key=lambda e: fraction("quality", e.doc_id))
    held = [e for e in chosen if fraction("quality held out", e.doc_id) < HELD_OUT]
    seen = [e for e in chosen if fraction("quality held out", e.doc_id) >= HELD_OUT]
    for part in (seen, held[::2], held[1::2]):
        if len({e.good for e in part}) < 2:
            raise DataError(f"{len(examples)} examples are too few: give some hundreds, good and bad ones")
    words: dict[str, int] = {}
    features = [_features(e.text, e.language, bits, words) for e in seen]
    weights, squares = np.zeros(1 << bits, np.float32), np.full(1 << bits, 1e-8, np.float32)
    bias, bias_square = 0.0, 1e-8
    for epoch in range(epochs):
        for i in sorted(range(len(seen)), key=lambda i: fraction(epoch, seen[i].doc_id)):
            places, values = features[i]
            slope = float(_sigmoid(np.float64(weights[places] @ values + bias))) - seen[i].good
            step = slope * values
            squares[places] += step * step
            weights[places] -= rate * step / np.sqrt(squares[places])
            bias_square += slope * slope
            bias -= rate * slope / bias_square**0.5
    raw = QualityModel(weights.astype(np.float16).astype(np.float32), bias, 1.0, 0.0)
    margins = np.array([raw.margin(e.text, e.language) for e in held])
    truth = np.array([e.good for e in held], np.float64)
    slope, shift = platt(margins[::2], truth[::2])
    model = QualityModel(raw.weights, bias, slope, shift)
    return model, _judged(margins[1::2], truth[1::2], slope, shift)


def _features(
    text: str, language: str, bits: int, known: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return places of words and pairs, distinct, and their values: 1 + log of the count, scaled to length 1."""
    hashes = word_hashes(nomination_words(text, language)[:LONGEST], known)
    pairs = mix(hashes[:-1] * np.uint64(3) + hashes[1:])
    places, counts = np.unique(np.concatenate([mix(hashes), pairs]) >> np.uint64(64 - bits), return_counts=True)
    values = 1 + np.log(counts)
    length = float(np.sqrt((values * values).sum())) or 1.0
    return places.astype(np.int64), (values / length).astype(np.float32)


def platt(margins: Floats, truth: Floats, steps: int = 50) -> tuple[float, float]:
    """Return slope and shift that make sigmoid(slope · margin + shift) most likely, by Newton's method.

    Targets are Platt's: (positives + 1) / (positives + 2) and 1 / (negatives + 2), so that no set is certain.
    """
    positives = truth.sum()
    target = np.where(truth > 0, (positives + 1) / (positives + 2), 1 / (len(truth) - positives + 2))
    X_NK = np.stack([margins, np.ones_like(margins)], axis=1)

    def loss(at: Floats) -> float:
        return float((np.logaddexp(0, X_NK @ at) - target * (X_NK @ at)).sum())

    line = np.zeros(2)
    for _ in range(steps):
        p = _sigmoid(X_NK @ line)
        hessian = (X_NK * (p * (1 - p))[:, None]).T @ X_NK + 1e-6 * np.eye(2)
        change = np.linalg.solve(hessian, X_NK.T @ (p - target))
        while loss(line - change) > loss(line) and np.abs(change).max() > 1e-9:
            change /= 2
        line -= change
        if np.abs(change).max() < 1e-9:
            break
    return float(line[0]), float(line[1])


def _judged(margins: Floats, truth: Floats, slope: float, shift: float) -> Judged:
    before, after = _sigmoid(margins), _sigmoid(slope * margins + shift)
    return Judged(
        len(truth), float(((after >= 0.5) == (truth > 0)).mean()), area(margins, truth),
        calibration_error(before, truth), calibration_error(after, truth),
    )  # fmt: skip


def area(scores: Floats, truth: Floats) -> float:
    """Return the area under the ROC curve: how often a good example scores above a bad one (ties count half)."""
    order, ranks = np.unique(scores, return_inverse=True)
    counts = np.bincount(ranks, minlength=len(order))
    middle = np.cumsum(counts) - (counts - 1) / 2
    positives = truth > 0
    n, m = positives.sum(), (~positives).sum()
    return float((middle[ranks][positives].sum() - n * (n + 1) / 2) / (n * m))


def calibration_error(probabilities: Floats, truth: Floats) -> float:
    """Return the expected calibration error over ``BINS`` bins of equal size (Nixon et al. 2019, arXiv 1904.01685)."""
    order = np.argsort(probabilities, kind="stable")
    parts = np.array_split(order, BINS)
    return float(sum(abs(probabilities[p].mean() - truth[p].mean()) * len(p) for p in parts if len(p)) / len(truth))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))


def read_examples(path: Path, label: str, at_least: float | None = None) -> Iterator[Example]:
    """Yield the examples of a JSONL file: ``text``, optional ``language`` and ``doc_id``, and ``label``: true or false,
    or a number that is good from ``at_least`` on. DataError names the line that is wrong."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                value, text = row[label], row["text"]
                good = bool(value) if at_least is None else float(value) >= at_least
                if not isinstance(text, str) or (at_least is None and value not in (0, 1)):
                    raise ValueError("text is no string" if not isinstance(text, str) else f"{label} is {value!r}")
                yield Example(str(row.get("doc_id", number)), text, str(row.get("language", "en")), good)
            except (KeyError, TypeError, ValueError) as error:
                hint = "; expected true or false, or give a limit" if at_least is None else ""
                raise DataError(f"{path}:{number}: not an example ({type(error).__name__}: {error}){hint}") from None
