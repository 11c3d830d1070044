"""How a quality model is made: examples out of any labelled table, AdaGrad, calibration, judgement.

Input: a table (JSON Lines, CSV or Parquet) with a text and a score or a yes or no a row. Output: a ``QualityModel`` and
how it did on examples it never saw. The same examples give the same weights, whatever their order: an example's place
in an epoch is a hash of its id. An example takes about 10 KB of memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.scoring.quality import BITS, LONGEST, Floats, QualityModel, features, sigmoid
from smolforge.corpus.scoring.word_stream import batches
from smolforge.corpus.synthesize.keyed import fraction
from smolforge.errors import ConfigError, DataError, nearest
from smolforge.reliability import expected_calibration_error
from smolforge.store import digest_bytes
from smolforge.store.tables import open_table

HELD_OUT = 0.2  # half of it calibrates, half of it judges
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")


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
    curve, and the expected calibration error before and after calibration. ``by_language``: (examples, area) where a
    language has both kinds."""

    examples: int
    accuracy: float
    area: float
    error_before: float
    error: float
    by_language: dict[str, tuple[int, float]]

    def __str__(self) -> str:
        return (
            f"{self.examples} held-out examples: {self.accuracy:.1%} right, area under the curve {self.area:.4f}, "
            f"calibration error {self.error:.4f} (before calibration {self.error_before:.4f})"
        )


def train(
    examples: Sequence[Example], *, bits: int = BITS, epochs: int = 4, rate: float = 0.5
) -> tuple[QualityModel, Judged]:
    """Fit a model with AdaGrad (Duchi, Hazan and Singer 2011), calibrate it (Platt 1999), and judge it.

    DataError where there are too few examples of one kind to hold some of them out.
    """
    seen, calibrating, judging = divided(examples)
    rows = list(_rows(seen, bits))
    weights, squares = np.zeros(1 << bits, np.float32), np.full(1 << bits, 1e-8, np.float32)
    bias, bias_square = 0.0, 1e-8
    for epoch in range(epochs):
        for i in sorted(range(len(seen)), key=lambda i: fraction(epoch, seen[i].doc_id)):
            places, values = rows[i]
            slope = float(sigmoid(np.float64(weights[places] @ values + bias))) - seen[i].good
            step = slope * values
            squares[places] += step * step
            weights[places] -= rate * step / np.sqrt(squares[places])
            bias_square += slope * slope
            bias -= rate * slope / bias_square**0.5
    raw = QualityModel(weights.astype(np.float16).astype(np.float32), bias, 1.0, 0.0)
    slope, shift = platt(_margins(raw, calibrating), _truth(calibrating))
    return QualityModel(raw.weights, bias, slope, shift), judged(_margins(raw, judging), judging, slope, shift)


def divided(examples: Sequence[Example]) -> tuple[list[Example], list[Example], list[Example]]:
    """Return the examples to learn from, to calibrate with and to judge by, each in the order of their hashes."""
    chosen = sorted(examples, key=lambda e: (fraction("quality", e.doc_id), e.doc_id))
    held = [e for e in chosen if fraction("quality held out", e.doc_id) < HELD_OUT]
    seen = [e for e in chosen if fraction("quality held out", e.doc_id) >= HELD_OUT]
    for part in (seen, held[::2], held[1::2]):
        if len({e.good for e in part}) < 2:
            raise DataError(f"{len(examples)} examples are too few: give some hundreds, good and bad ones")
    return seen, held[::2], held[1::2]


def _rows(examples: Sequence[Example], bits: int) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.float32]]]:
    cut = [e.text[:LONGEST] for e in examples]
    for begin, end in batches(cut):
        which, places, values = features(cut[begin:end], [e.language for e in examples[begin:end]], bits)
        ends = np.cumsum(np.bincount(which, minlength=end - begin))[:-1]
        yield from zip(np.split(places.astype(np.uint32), ends), np.split(values, ends), strict=True)


def _margins(model: QualityModel, examples: Sequence[Example]) -> Floats:
    return model.margins([e.text for e in examples], [e.language for e in examples])


def _truth(examples: Sequence[Example]) -> Floats:
    return np.array([e.good for e in examples], np.float64)


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
        p = sigmoid(X_NK @ line)
        hessian = (X_NK * (p * (1 - p))[:, None]).T @ X_NK + 1e-6 * np.eye(2)
        change = np.linalg.solve(hessian, X_NK.T @ (p - target))
        while loss(line - change) > loss(line) and np.abs(change).max() > 1e-9:
            change /= 2
        line -= change
        if np.abs(change).max() < 1e-9:
            break
    return float(line[0]), float(line[1])


def judged(margins: Floats, examples: Sequence[Example], slope: float, shift: float) -> Judged:
    """Compare margins (n,) and the line that calibrates them with what ``examples`` say."""
    truth, languages = _truth(examples), np.array([e.language for e in examples])
    before, after = sigmoid(margins), sigmoid(slope * margins + shift)
    by_language = {}
    for code in sorted(set(languages)):
        own = languages == code
        if 0 < truth[own].sum() < own.sum():
            by_language[str(code)] = int(own.sum()), area(margins[own], truth[own])
    return Judged(
        len(truth), float(((after >= 0.5) == (truth > 0)).mean()), area(margins, truth),
        expected_calibration_error(before, truth > 0), expected_calibration_error(after, truth > 0), by_language,
    )  # fmt: skip


def area(scores: Floats, truth: Floats) -> float:
    """Return the area under the ROC curve: how often a good example scores above a bad one (ties count half)."""
    order, ranks = np.unique(scores, return_inverse=True)
    counts = np.bincount(ranks, minlength=len(order))
    middle = np.cumsum(counts) - (counts - 1) / 2
    positives = truth > 0
    n, m = positives.sum(), (~positives).sum()
    return float((middle[ranks][positives].sum() - n * (n + 1) / 2) / (n * m))


def read_examples(path: Path, label: str, at_least: float | None = None, text: str = "text") -> Iterator[Example]:
    """Yield the examples of a table: columns ``text``, optional ``language`` and ``doc_id``, and ``label``: yes or no,
    or a number that is good from ``at_least`` on. A row without a label is left out. DataError names a wrong row."""
    table = open_table(path)
    for name in (text, label):
        if name not in table.columns:
            raise ConfigError(f"{path}: no column '{name}'{nearest(name, table.columns)}")
    for number, row in enumerate(table.each(), 1):
        if row.get(label) in (None, ""):
            continue
        if not isinstance(row.get(text), str):
            raise DataError(f"{path}: row {number}: {text} is {type(row.get(text)).__name__}, expected a string")
        try:
            good = _good(row[label], at_least)
        except (TypeError, ValueError):
            expected = "true or false (or give a limit for scores)" if at_least is None else "a number"
            raise DataError(f"{path}: row {number}: {label} is {row[label]!r}, expected {expected}") from None
        doc_id = row.get("doc_id") or digest_bytes(row[text].encode(errors="surrogatepass"))
        yield Example(str(doc_id), row[text], str(row.get("language") or ""), good)


def _good(value: Any, at_least: float | None) -> bool:
    if at_least is not None:
        return float(value) >= at_least
    word = str(value).strip().lower()
    if word not in (*_YES, *_NO) and value not in (0, 1):
        raise ValueError
    return word in _YES or value == 1
