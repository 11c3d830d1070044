"""The quality model: it learns, is calibrated, keeps its bytes, and refuses what it cannot use."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from smolforge.corpus.quality import Example, QualityModel, area, calibration_error, platt, read_examples, train
from smolforge.errors import ConfigError, DataError, FormatError

GOOD = [
    "theorem",
    "proof",
    "river",
    "mountain",
    "because",
    "measure",
    "history",
    "explains",
    "evidence",
    "century",
    "water",
    "energy",
]
BAD = ["click", "buy", "cheap", "now", "free", "offer", "deal", "subscribe", "login", "cookie", "cart", "discount"]
BOTH = ["the", "of", "and", "to", "in", "is", "it", "that", "on", "for", "with", "as", "page", "people", "today", "new"]


def examples(count: int, seed: int = 0) -> list[Example]:
    rng = random.Random(seed)
    made = []
    for i in range(count):
        good = rng.random() < 0.4
        share = rng.uniform(0.02, 0.2)
        words = [rng.choice((GOOD if good else BAD) if rng.random() < share else BOTH) for _ in range(60)]
        made.append(Example(f"d{seed}/{i}", " ".join(words), "en", good))
    return made


def test_it_learns_is_calibrated_and_does_not_depend_on_the_order(tmp_path: Path) -> None:
    given = examples(900)
    model, judged = train(given, bits=14)
    assert judged.accuracy > 0.9 and judged.area > 0.97 and judged.error < 0.08
    mixed, again = train(random.Random(5).sample(given, len(given)), bits=14)
    assert again == judged
    np.testing.assert_array_equal(mixed.weights, model.weights)
    assert model.probability("evidence explains the history of energy", "en") > 0.5
    assert model.probability("buy now cheap offer free deal", "en") < 0.5


def test_a_model_keeps_its_answers_in_a_file(tmp_path: Path) -> None:
    model, _ = train(examples(500), bits=12)
    model.save(tmp_path / "q.npz")
    loaded = QualityModel.load(tmp_path / "q.npz")
    for example in examples(20, seed=3):
        assert loaded.probability(example.text, "en") == model.probability(example.text, "en")
    assert loaded.probability("", "en") == model.probability("", "en")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such"):
        QualityModel.load(tmp_path / "none.npz")
    for name, content in {"text.npz": b"hello", "empty.npz": b"", "half.npz": b"PK\x03\x04half"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match="not a quality model"):
            QualityModel.load(tmp_path / name)
    np.savez(tmp_path / "other.npz", weights=np.zeros(3), facts=np.array(json.dumps({"format": "x"})))
    with pytest.raises(FormatError, match="format"):
        QualityModel.load(tmp_path / "other.npz")


def test_too_few_examples_and_wrong_lines_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few"):
        train(examples(4))
    table = tmp_path / "t.jsonl"
    table.write_text('{"text": "a", "score": 4, "doc_id": "x"}\n{"text": "b", "score": 1}\n')
    assert [(e.doc_id, e.good) for e in read_examples(table, "score", 3)] == [("x", True), ("2", False)]
    for line, words in (('{"text": 3, "good": true}', "no string"), ('{"text": "a"}', "good"), ("{", "not an example")):
        table.write_text('{"text": "a", "good": true}\n' + line + "\n")
        with pytest.raises(DataError, match=f":2: .*{words}"):
            list(read_examples(table, "good"))


def test_the_figures_are_what_they_are_called() -> None:
    truth = np.array([0, 0, 1, 1, 1], np.float64)
    assert area(np.array([0.1, 0.4, 0.4, 0.8, 0.9]), truth) == pytest.approx((1 + 0.5 + 4) / 6)
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    drawn = (rng.random(20_000) < p).astype(np.float64)
    assert calibration_error(p, drawn) < 0.02 < calibration_error(p**3, drawn)
    slope, shift = platt(np.log(p / (1 - p)) * 3 + 1, drawn)
    assert slope == pytest.approx(1 / 3, abs=0.03) and shift == pytest.approx(-1 / 3, abs=0.06)
