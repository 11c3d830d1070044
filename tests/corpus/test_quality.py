"""The quality model: it learns, is calibrated, keeps its bytes, and refuses what it cannot use."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smolforge.corpus.scoring.config import QualityConfig
from smolforge.corpus.scoring.floor import floors, judge
from smolforge.corpus.scoring.quality import LONGEST, QualityModel
from smolforge.corpus.scoring.training import Example, area, platt, read_examples, train
from smolforge.errors import ConfigError, DataError, FormatError
from smolforge.reliability import expected_calibration_error

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


def one(model: QualityModel, text: str, language: str = "en") -> float:
    return float(model.probabilities([text], [language])[0])


def test_it_learns_is_calibrated_and_does_not_depend_on_the_order() -> None:
    given = examples(900)
    model, judged = train(given, bits=14)
    assert judged.accuracy > 0.9 and judged.area > 0.97 and judged.error < 0.08
    mixed, again = train(random.Random(5).sample(given, len(given)), bits=14)
    assert again == judged
    np.testing.assert_array_equal(mixed.weights, model.weights)
    assert one(model, "evidence explains the history of energy") > 0.5
    assert one(model, "buy now cheap offer free deal") < 0.5


def test_one_pooled_model_judges_every_language_and_says_how_well() -> None:
    words = {
        "ru": ("теорема доказательство потому измерение", "купить дешево сейчас скидка"),
        "zh": ("定理证明因为测量历史", "点击购买便宜优惠"),
        "ar": ("نظرية برهان لأن قياس", "اشتر رخيص الآن عرض"),
    }
    given = []
    for code, kinds in words.items():
        pick = [kind if code == "zh" else kind.split() for kind in kinds]
        for i in range(300):
            rng = random.Random(f"{code}{i}")
            text = ("" if code == "zh" else " ").join(rng.choice(pick[i % 2]) for _ in range(20))
            given.append(Example(f"{code}{i}", text, code, i % 2 == 0))
    model, judged = train(given, bits=14)
    assert set(judged.by_language) == set(words)
    assert all(share > 0.99 for _, share in judged.by_language.values())
    for code, (good, bad) in words.items():
        assert one(model, good, code) > 0.8 > 0.2 > one(model, bad, code)


def test_a_text_has_the_same_probability_alone_and_among_others() -> None:
    model, _ = train(examples(500), bits=12)
    texts = [e.text for e in examples(60, seed=3)] + ["", " \n", "x" * 30_000, "Привет 漢字 e\u0301 \ud800 ١٢٣", "a\0b"]
    together = model.probabilities(texts, ["en"] * len(texts))
    assert together.dtype == np.float32 and together.shape == (len(texts),)
    np.testing.assert_array_equal(together, [one(model, text) for text in texts])
    assert one(model, texts[0] * 400) == one(model, (texts[0] * 400)[:LONGEST])
    assert model.probabilities([], []).shape == (0,)


def test_a_model_keeps_its_answers_in_a_file(tmp_path: Path) -> None:
    model, _ = train(examples(500), bits=12)
    model.save(tmp_path / "q.npz")
    loaded = QualityModel.load(tmp_path / "q.npz")
    texts = [e.text for e in examples(20, seed=3)] + [""]
    languages = ["en"] * len(texts)
    np.testing.assert_array_equal(loaded.probabilities(texts, languages), model.probabilities(texts, languages))


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such"):
        QualityModel.load(tmp_path / "none.npz")
    for name, content in {"text.npz": b"hello", "empty.npz": b"", "half.npz": b"PK\x03\x04half"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match="not a quality model"):
            QualityModel.load(tmp_path / name)
    facts = {"format": "smolforge-quality-2", "bias": 0.0, "slope": 1.0, "shift": 0.0}
    wrong: list[tuple[dict[str, object], np.ndarray, str]] = [
        ({"format": "x"}, np.zeros(4), "format"),
        (dict(facts), np.zeros(3), "format"),
        (dict(facts), np.array([0, np.nan, 0, 0]), "no numbers"),
        ({"format": facts["format"], "bias": 0.0}, np.zeros(4), "without"),
    ]
    for given, weights, words in wrong:
        np.savez(tmp_path / "other.npz", weights=weights, facts=np.array(json.dumps(given)))
        with pytest.raises(FormatError, match=words):
            QualityModel.load(tmp_path / "other.npz")


def test_the_same_examples_are_read_from_every_kind_of_table(tmp_path: Path) -> None:
    rows = [{"text": "a, b", "score": 4.0, "doc_id": "x", "language": "fr"}, {"text": "b", "score": 1.0}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "t.csv").write_text('text,score,doc_id,language\n"a, b",4.0,x,fr\nb,1.0,,\n')
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    found = [list(read_examples(tmp_path / f"t.{kind}", "score", 3)) for kind in ("jsonl", "csv", "parquet")]
    assert found[0] == found[1] == found[2]
    assert [(e.text, e.language, e.good) for e in found[0]] == [("a, b", "fr", True), ("b", "", False)]
    assert found[0][0].doc_id == "x"


def test_too_few_examples_and_wrong_rows_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few"):
        train(examples(4))
    table = tmp_path / "t.jsonl"
    for line, words in (
        ('{"text": 3, "good": true}', "row 2: text is int"),
        ('{"text": "b", "good": 3}', "row 2: good is 3, expected true or false"),
        ("{", "line 2"),
    ):
        table.write_text('{"text": "a", "good": true}\n' + line + "\n")
        with pytest.raises(DataError, match=words):
            list(read_examples(table, "good"))
    table.write_text('{"text": "a", "good": true}\n')
    with pytest.raises(ConfigError, match=r"no column .goood.*did you mean .good."):
        list(read_examples(table, "goood"))


def test_the_best_share_of_each_language_stays() -> None:
    scores = np.array([0.9, 0.8, 0.1, 0.5, 0.05, 0.02, np.nan, 0.8], np.float32)
    languages = ["en", "en", "en", "en", "ar", "ar", "ar", "en"]
    assert floors(scores, languages, 0.5) == pytest.approx({"ar": 0.05, "en": 0.8})
    config = QualityConfig(model="q.npz", top=0.5)
    stays, floor = judge(scores, languages, [f"d{i}" for i in range(8)], config, 0)
    assert stays.tolist() == [True, True, False, False, True, False, True, True]
    assert floor.tolist() == pytest.approx([0.8, 0.8, 0.8, 0.8, 0.05, 0.05, 0.05, 0.8])
    order = [5, 3, 1, 7, 6, 4, 2, 0]
    again, _ = judge(scores[order], [languages[i] for i in order], [f"d{i}" for i in order], config, 0)
    assert again.tolist() == stays[order].tolist()


def test_the_soft_floor_keeps_the_share_it_says_and_the_same_documents_each_time() -> None:
    count = 4000
    scores = np.full(count, 0.2, np.float32)
    ids, languages = [f"d{i}" for i in range(count)], ["en"] * count
    config = QualityConfig(model="q.npz", floor=0.7, soft=3)
    stays, _ = judge(scores, languages, ids, config, 5)
    assert stays.mean() == pytest.approx(1.5**-3, abs=0.03)
    half, _ = judge(scores[::2], languages[::2], ids[::2], config, 5)
    assert half.tolist() == stays[::2].tolist()
    assert not judge(scores, languages, ids, QualityConfig(model="q.npz", floor=0.7), 5)[0].any()


def test_a_floor_and_a_share_at_once_are_refused() -> None:
    for given in ({}, {"floor": 0.5, "top": 0.1}):
        with pytest.raises(ValueError, match="either 'floor'"):
            QualityConfig(model="q.npz", **given)


def test_the_figures_are_what_they_are_called() -> None:
    truth = np.array([0, 0, 1, 1, 1], np.float64)
    assert area(np.array([0.1, 0.4, 0.4, 0.8, 0.9]), truth) == pytest.approx((1 + 0.5 + 4) / 6)
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    drawn = (rng.random(20_000) < p).astype(np.float64)
    assert expected_calibration_error(p, drawn > 0) < 0.02 < expected_calibration_error(p**3, drawn > 0)
    slope, shift = platt(np.log(p / (1 - p)) * 3 + 1, drawn)
    assert slope == pytest.approx(1 / 3, abs=0.03) and shift == pytest.approx(-1 / 3, abs=0.06)
