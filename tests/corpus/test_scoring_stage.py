"""The corpus stage with a quality model, the toxicity model and a benchmark: each drops its own, with reasons."""

from __future__ import annotations

import json
import pydoc_data.topics
from collections.abc import Iterator
from pathlib import Path

import pytest

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import read_documents, read_rows
from smolforge.corpus.rules.retune import retune
from smolforge.corpus.scoring.training import Example, train
from smolforge.corpus.stage import run
from smolforge.store import StageContext

DATA = Path(__file__).parents[2] / "data" / "toxicity-frames.json"
FRAMES = json.loads(DATA.read_text(encoding="utf-8"))["languages"]["en"]
QUESTION = "Which gas do submarine engineers scrub from cabin air with the help of lithium hydroxide?"
TOPICS = [text for text in pydoc_data.topics.topics.values() if len(text) > 1500]
WANTED, UNWANTED = TOPICS[:12], TOPICS[40:46]


def examples() -> Iterator[Example]:
    for good, texts in ((True, WANTED), (False, UNWANTED)):
        for number, text in enumerate(texts):
            for at in range(0, len(text) - 300, 100):
                yield Example(f"{good}/{number}/{at}", text[at : at + 600], "en", good)
    for kind in ("abusive", "benign"):
        for number, text in enumerate(FRAMES[kind]):
            yield Example(f"{kind}/{number}", text, "en", True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring")
    pages = {f"wanted{i}.txt": text for i, text in enumerate(WANTED)}
    pages |= {f"unwanted{i}.txt": text for i, text in enumerate(UNWANTED)}
    pages["abuse.txt"] = "\n".join(FRAMES["abusive"]).replace("{n}", "scumbag")
    pages["health.txt"] = "\n".join(FRAMES["benign"]).replace("{n}", "scumbag")
    pages["leak.txt"] = f"{WANTED[0][:1400]}\n\n{QUESTION}\n\n{WANTED[1][:1400]}"
    for place in ("own", "packs"):
        (folder / place).mkdir()
    for name, text in pages.items():
        (folder / "own" / name).write_text(text, encoding="utf-8")
    train(list(examples()))[0].save(folder / "quality.npz")
    (folder / "packs" / "arc.jsonl").write_text(json.dumps({"id": "a1", "question": QUESTION}) + "\n")
    run(config_of(folder), StageContext(folder / "work", {}, 7))
    return folder / "work"


def config_of(folder: Path, **quality: float) -> CorpusConfig:
    config = {
        "sources": [{"kind": "folder", "path": str(folder / "own"), "name": "own"}],
        "quality": {"model": str(folder / "quality.npz"), **(quality or {"floor": 0.5})},
        "toxicity": {},
        "decontaminate": {"benchmarks": str(folder / "packs")},
    }
    return CorpusConfig.model_validate(config)


def test_each_model_drops_what_it_is_for_and_says_why(built: Path) -> None:
    names = ("url", "step", "reason", "detail")
    rows = [row for path in sorted((built / "dropped").iterdir()) for row in read_rows(path, names)]
    found = {row["url"].removeprefix("file:"): row for row in rows}
    abuse, leak = found["abuse.txt"], found["leak.txt"]
    assert abuse["step"] == "toxicity" and "scumbag" in abuse["detail"]
    assert (leak["step"], leak["reason"]) == ("decontaminate", "holds items of arc")
    assert "lithium hydroxide" in leak["detail"]
    unwanted = {row["step"] for name, row in found.items() if name.startswith("unwanted")}
    assert "quality" in unwanted and unwanted <= {"quality", "rules"}
    others = [row for name, row in found.items() if name.startswith(("wanted", "health"))]
    assert not [row for row in others if row["step"] in ("toxicity", "quality", "decontaminate")]


def test_the_benchmarks_report_is_beside_the_tables(built: Path) -> None:
    (row,) = json.loads((built / "contamination.json").read_text())
    assert (row["benchmark"], row["items"], row["hit"], row["documents"]) == ("arc", 1, 1, 1)


def test_what_stays_carries_its_scores_for_a_curriculum(built: Path) -> None:
    (quality,) = {d.meta["quality"] >= 0.5 for name in ("kept", "held_out") for d in read_documents(built / name)}
    assert quality, "below the floor, and kept all the same"
    assert all(0 <= d.meta["toxicity"] <= 1 for d in read_documents(built / "dropped"))


def test_other_floors_of_quality_are_tried_without_the_model(built: Path) -> None:
    (then,) = (row for row in retune(built, config_of(built.parent), 7) if row.step == "quality")
    assert then.now == then.then > 0 and then.fresh == 0
    (strict,) = (row for row in retune(built, config_of(built.parent, floor=1.0), 7) if row.step == "quality")
    assert strict.now > strict.then == then.then and strict.fresh_bytes > 0
    (share,) = (row for row in retune(built, config_of(built.parent, top=0.25), 7) if row.step == "quality")
    passing = sum(1 for name in ("kept", "held_out") for _ in read_documents(built / name))
    assert passing / 2 < share.now < passing + then.then
