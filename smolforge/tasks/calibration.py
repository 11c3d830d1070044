"""Probabilities that mean what they say: a temperature and a prior, fitted to texts whose labels are known.

Input: a classifier's log-probabilities and a labelled file. Output: ``Calibration``, which belongs to one model and one
set of labels, is kept as a JSON file, and says how far the probabilities were off before and after.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import ConfigError, DataError
from smolforge.reliability import expected_calibration_error
from smolforge.store.atomic import read_json, write_json

if TYPE_CHECKING:
    from smolforge.tasks.classify import Classifier

Floats = NDArray[np.float64]
KIND = "smolforge.calibration/1"
CONTENT_FREE = ("N/A", "[MASK]", "...")  # Zhao et al. 2021, arXiv 2102.09690: what a text that says nothing is given
FOLDS = 5
PULL = 1.0  # strength, in examples, of the pull to temperature 1 and no prior: a few examples shall not say much
MOST_TEMPERATURE = 20.0


@dataclass(frozen=True)
class Reliability:
    """How good probabilities are on labelled texts. ``nll``: mean negative log-likelihood of the true label, nats.

    ``ece``: expected calibration error (``reliability``).
    """

    accuracy: float
    ece: float
    nll: float


@dataclass(frozen=True)
class Calibration:
    """``log p' = (log p − weight · log prior) / temperature``, normalised; ``prior`` float64 (labels,), in nats.

    ``before`` and ``after`` are measured on ``examples`` labelled texts, ``after`` by cross-validation: each text with
    what was fitted without it.
    """

    model: str
    labels: str
    temperature: float
    weight: float
    prior: tuple[float, ...]
    examples: int
    before: Reliability
    after: Reliability

    @classmethod
    def fit(cls, classifier: Classifier, examples: Sequence[tuple[str, str]]) -> Calibration:
        """Fit to (text, label) pairs; ConfigError for several labels a text, DataError for too few or unknown ones.

        The two numbers minimise the negative log-likelihood, which is convex in 1 / temperature and weight /
        temperature.
        """
        if classifier.multi or classifier.calibration is not None:
            raise ConfigError("calibration: made from a classifier of one label a text, without a calibration")
        truth = _numbers(classifier.labels, examples)
        scores = np.stack(classifier.log_scores([text for text, _ in examples]))
        free = np.stack(classifier.log_scores(CONTENT_FREE))
        prior = np.logaddexp.reduce(free, axis=0) - np.log(len(free))
        left_out = np.empty_like(scores)
        for fold in range(min(FOLDS, len(truth))):
            held = np.arange(len(truth)) % FOLDS == fold
            left_out[held] = _calibrated(scores[held], prior, fitted(scores[~held], prior, truth[~held]))
        slope, pull = fitted(scores, prior, truth)
        return cls(
            classifier.engine.model.digest, classifier.digest, 1 / slope, pull / slope, tuple(prior.tolist()),
            len(truth), reliability(scores, truth), reliability(left_out, truth),
        )  # fmt: skip

    def apply(self, scores: Floats) -> Floats:
        """Return calibrated log-probabilities for those of one text, float64 (labels,)."""
        slope = 1 / self.temperature
        one: Floats = _calibrated(scores[None], np.asarray(self.prior), (slope, self.weight * slope))[0]
        return one

    def require(self, classifier: Classifier) -> None:
        """Refuse a classifier that this was not made for."""
        if self.model != classifier.engine.model.digest:
            raise ConfigError(f"calibration: made for another model than {classifier.engine.model.name}; fit it again")
        if self.labels != classifier.digest:
            raise ConfigError("calibration: made for other labels, descriptions or another instruction; fit it again")

    def save(self, path: Path) -> None:
        """Write a JSON file."""
        write_json(path, {"kind": KIND, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read a file of ``save``; DataError names it where it is something else."""
        found = read_json(path)
        try:
            if found.pop("kind") != KIND:
                raise ValueError
            before, after = (Reliability(**found.pop(name)) for name in ("before", "after"))
            made = cls(**{**found, "prior": tuple(map(float, found["prior"]))}, before=before, after=after)
            if not (made.temperature > 0 and np.isfinite([made.temperature, made.weight, *made.prior]).all()):
                raise ValueError
        except (AttributeError, KeyError, TypeError, ValueError):
            raise DataError(f"{path}: not a calibration; 'smolforge classify --save-calibration' writes one") from None
        return made

    def __str__(self) -> str:
        before, after = self.before, self.after
        return (
            f"{self.examples} examples, cross-validated: expected calibration error {before.ece:.3f} → {after.ece:.3f},"
            f" accuracy {before.accuracy:.1%} → {after.accuracy:.1%}, negative log-likelihood {before.nll:.3f} → "
            f"{after.nll:.3f} (temperature {self.temperature:.2f}, prior weight {self.weight:.2f})"
        )


def fitted(scores: Floats, prior: Floats, truth: NDArray[np.intp]) -> tuple[float, float]:
    """Return (1 / temperature, weight / temperature) that fit ``scores`` (n, labels) to ``truth`` (n,).

    Newton steps minimise the sum of −log softmax(a · scores − b · prior)[truth] plus PULL / 2 · ((a − 1)² + b²), with a
    from 1 / MOST_TEMPERATURE on and b from 0.
    """
    features = np.stack(
        [scores - scores.mean(1, keepdims=True), np.broadcast_to(prior.mean() - prior, scores.shape)], -1
    )
    rows, place, least = np.arange(len(truth)), np.array([1.0, 0.0]), np.array([1 / MOST_TEMPERATURE, 0.0])

    def loss(at: Floats) -> float:
        logs = features @ at
        likelihood = logs[rows, truth] - np.logaddexp.reduce(logs, axis=1)
        return float(PULL / 2 * ((at - [1, 0]) ** 2).sum() - likelihood.sum())

    for _ in range(100):
        logs = features @ place
        chances = np.exp(logs - np.logaddexp.reduce(logs, axis=1)[:, None])
        means = np.einsum("nk,nkf->nf", chances, features)
        slope = PULL * (place - [1, 0]) + (means - features[rows, truth]).sum(0)
        spread = np.einsum("nk,nkf,nkg->fg", chances, features, features) - means.T @ means
        free = (place > least) | (slope < 0)  # at a bound, only steps to the inside
        step = np.zeros(2)
        step[free] = np.linalg.solve((spread + PULL * np.eye(2))[np.ix_(free, free)], slope[free])
        size, now = 1.0, loss(place)
        while size > 1e-6 and loss(np.maximum(place - size * step, least)) > now:
            size /= 2
        moved = np.maximum(place - size * step, least)
        if np.abs(moved - place).max() < 1e-9:
            break
        place = moved
    return float(place[0]), float(place[1])


def reliability(scores: Floats, truth: NDArray[np.intp]) -> Reliability:
    """Measure log-probabilities (n, labels) against true labels (n,)."""
    best = scores.argmax(1)
    right, confidence = best == truth, np.exp(scores.max(1))
    nll = -scores[np.arange(len(truth)), truth].mean()
    return Reliability(float(right.mean()), expected_calibration_error(confidence, right), float(nll))


def read_examples(path: Path) -> list[tuple[str, str]]:
    """Return the (text, label) pairs of a JSON Lines or CSV file with columns ``text`` and ``label``.

    DataError names the file and the row.
    """
    if path.suffix not in (".jsonl", ".csv"):
        raise DataError(f"{path}: expected a .jsonl or .csv file with columns text and label")
    pairs = []
    try:
        for number, row in _rows(path):
            text, label = row.get("text"), row.get("label")
            if not isinstance(text, str) or not isinstance(label, str):
                raise DataError(f"{path}: row {number}: expected text and label, both strings")
            pairs.append((text, label))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}") from None
    return pairs


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        if path.suffix == ".csv":
            yield from enumerate(csv.DictReader(lines), 1)
            return
        for number, line in enumerate(lines, 1):
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DataError(f"{path}: row {number}: expected a JSON object")
                yield number, row


def _numbers(labels: Sequence[str], examples: Sequence[tuple[str, str]]) -> NDArray[np.intp]:
    """Return the number of each example's label."""
    if len(examples) < 2 * FOLDS:
        raise DataError(f"calibration: {len(examples)} examples, expected {2 * FOLDS} or more")
    number = {label: i for i, label in enumerate(labels)}
    for row, (_, label) in enumerate(examples, 1):
        if label.strip() not in number:
            raise DataError(f"calibration: example {row} has the label {label!r}, which is not one of the labels")
    return np.asarray([number[label.strip()] for _, label in examples], np.intp)


def _calibrated(scores: Floats, prior: Floats, numbers: tuple[float, float]) -> Floats:
    logs = numbers[0] * scores - numbers[1] * prior
    return np.asarray(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
