"""Calibration: what is fitted is what made the data, it helps on new texts, and it stays with its model and labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from smolforge import Engine
from smolforge.errors import ConfigError, DataError
from smolforge.tasks.calibration import MOST_TEMPERATURE, Calibration, fitted, read_examples, reliability
from smolforge.tasks.classify import Classifier, classify
from tests.engine.tiny_model import write_tiny_model

LABELS = ["card", "card arrival", "refund", "top up"]
EXAMPLES = [(f"{word} {number}", LABELS[number % 4]) for number, word in enumerate(["hall", "turn on", "x", "the"] * 8)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = write_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    with Engine.open(folder, cache=False, kv_bytes=64 << 20, threads=1) as made:
        yield made


def drawn(temperature: float, weight: float, texts: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-probabilities, a prior, and labels drawn from what a calibration of these numbers makes of both."""
    stream = np.random.default_rng(1)
    prior = np.log(stream.dirichlet(np.ones(6)))
    scores = prior * weight + 2.0 * stream.standard_normal((texts, 6))
    scores -= np.logaddexp.reduce(scores, axis=1, keepdims=True)
    logs = (scores - weight * prior) / temperature
    truth = (logs + stream.gumbel(size=logs.shape)).argmax(1)
    return scores, prior, truth


@pytest.mark.parametrize(("temperature", "weight"), [(2.5, 0.8), (0.7, 0.0), (1.0, 1.0)])
def test_the_numbers_that_made_the_data_are_found(temperature: float, weight: float) -> None:
    slope, pull = fitted(*drawn(temperature, weight))
    assert 1 / slope == pytest.approx(temperature, rel=0.1) and pull / slope == pytest.approx(weight, abs=0.1)


def test_no_numbers_nearby_fit_better() -> None:
    scores, prior, truth = drawn(1.7, 0.5, 200)

    def loss(slope: float, pull: float) -> float:
        logs = slope * scores - pull * prior
        likelihood = logs[np.arange(len(truth)), truth] - np.logaddexp.reduce(logs, axis=1)
        return float(((slope - 1) ** 2 + pull**2) / 2 - likelihood.sum())

    slope, pull = fitted(scores, prior, truth)
    best = loss(slope, pull)
    for move in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        assert loss(slope + move[0], pull + move[1]) > best


def test_scores_that_say_the_opposite_of_the_truth_are_flattened_not_turned_around() -> None:
    scores = np.log([[0.9, 0.1]] * 50 + [[0.1, 0.9]] * 50)
    slope, pull = fitted(scores, np.log([0.5, 0.5]), np.repeat([1, 0], 50))
    assert slope == pytest.approx(1 / MOST_TEMPERATURE) and pull == 0


def test_the_error_is_zero_where_confidence_is_accuracy_and_their_distance_elsewhere() -> None:
    half = np.log([[0.75, 0.25]] * 40)
    perfect = reliability(half, np.tile([0, 0, 0, 1], 10))
    assert perfect.ece == pytest.approx(0) and perfect.accuracy == 0.75
    wrong = reliability(half, np.ones(40, np.intp))
    assert wrong.ece == pytest.approx(0.75) and wrong.accuracy == 0 and wrong.nll == pytest.approx(np.log(4))


def test_calibration_lowers_the_error_of_overconfident_scores_on_texts_it_has_not_seen() -> None:
    scores, prior, truth = drawn(4.0, 0.7)
    slope, pull = fitted(scores[:400], prior, truth[:400])
    logs = slope * scores[400:] - pull * prior
    logs -= np.logaddexp.reduce(logs, axis=1, keepdims=True)
    before, after = reliability(scores[400:], truth[400:]), reliability(logs, truth[400:])
    assert after.ece < before.ece / 2 and after.nll < before.nll and after.accuracy > before.accuracy


def test_a_fitted_calibration_is_applied_saved_and_read_back_the_same(engine: Engine, tmp_path: Path) -> None:
    classifier = Classifier(engine, LABELS)
    made = Calibration.fit(classifier, EXAMPLES)
    made.save(tmp_path / "card.json")
    assert Calibration.load(tmp_path / "card.json") == made
    found = classify(engine, "hall", LABELS, calibration=made)
    logs = (classifier.log_scores(["hall"])[0] - made.weight * np.asarray(made.prior)) / made.temperature
    expected = np.exp(logs - np.logaddexp.reduce(logs))
    assert [found.scores[label] for label in LABELS] == pytest.approx(expected.tolist())
    assert made.examples == len(EXAMPLES) and f"{made.before.ece:.3f} → {made.after.ece:.3f}" in str(made)


def test_what_is_measured_after_is_measured_on_texts_the_fit_did_not_see(engine: Engine) -> None:
    classifier = Classifier(engine, LABELS)
    made = Calibration.fit(classifier, EXAMPLES)
    scores = np.stack(classifier.log_scores([text for text, _ in EXAMPLES]))
    truth = np.asarray([LABELS.index(label) for _, label in EXAMPLES])
    assert made.before == reliability(scores, truth)
    seen = reliability(np.stack([made.apply(row) for row in scores]), truth)
    assert made.after.nll > seen.nll


def test_a_calibration_is_refused_for_other_labels_or_another_model(engine: Engine, tmp_path: Path) -> None:
    made = Calibration.fit(Classifier(engine, LABELS), EXAMPLES)
    with pytest.raises(ConfigError, match="other labels"):
        classify(engine, "hall", LABELS[::-1], calibration=made)
    with pytest.raises(ConfigError, match="other labels"):
        classify(engine, "hall", LABELS, instruction="Guess.", calibration=made)
    folder = write_tiny_model(tmp_path / "other", seed=5)
    with (
        Engine.open(folder, cache=False, kv_bytes=64 << 20, threads=1) as other,
        pytest.raises(ConfigError, match="another model"),
    ):
        classify(other, "hall", LABELS, calibration=made)


@pytest.mark.parametrize("change", [{"kind": "x"}, {"temperature": 0}, {"prior": ["a"]}, {"before": 3}, {"more": 1}])
def test_a_file_that_is_no_calibration_is_refused_by_name(
    engine: Engine, tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "card.json"
    Calibration.fit(Classifier(engine, LABELS), EXAMPLES).save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=r"card\.json: not a calibration"):
        Calibration.load(path)


def test_examples_that_cannot_be_used_are_refused_by_row(engine: Engine) -> None:
    classifier = Classifier(engine, LABELS)
    with pytest.raises(DataError, match="3 examples, expected 10 or more"):
        Calibration.fit(classifier, EXAMPLES[:3])
    with pytest.raises(DataError, match="example 33 has the label 'dog'"):
        Calibration.fit(classifier, [*EXAMPLES, ("a", "dog")])
    with pytest.raises(ConfigError, match="one label a text"):
        Calibration.fit(Classifier(engine, LABELS, multi=True), EXAMPLES)


def test_labelled_files_are_read_and_their_faults_named(tmp_path: Path) -> None:
    lines, table = tmp_path / "a.jsonl", tmp_path / "a.csv"
    lines.write_text('{"text": "hi, there", "label": "a", "id": 1}\n\n{"text": "ü", "label": "b"}\n', encoding="utf-8")
    table.write_text('id,text,label\n1,"hi, there",a\n2,ü,b\n', encoding="utf-8")
    assert read_examples(lines) == read_examples(table) == [("hi, there", "a"), ("ü", "b")]
    lines.write_text('{"text": "hi"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl: row 1: expected text and label"):
        read_examples(lines)
    lines.write_text("[1]\n")
    with pytest.raises(DataError, match=r"a\.jsonl: row 1: expected a JSON object"):
        read_examples(lines)
    with pytest.raises(DataError, match="no such file"):
        read_examples(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"a\.txt: expected a \.jsonl or \.csv"):
        read_examples(tmp_path / "a.txt")
