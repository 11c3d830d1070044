"""`smolforge corpus label`, `train-quality` and `decontaminate`: from documents to a model and a report."""

from __future__ import annotations

import json
import pydoc_data.topics
import re
from pathlib import Path

import pytest
import yaml

from smolforge.cli.main import main
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Document, write_documents
from smolforge.corpus.scoring.config import ToxicityConfig
from smolforge.corpus.scoring.quality import QualityModel
from smolforge.corpus.scoring.rubric import POINTS
from tests.corpus.scripted_server import Body, Handler, scripted

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "scoring.md").read_text(encoding="utf-8")
QUESTION = "Which gas do submarine engineers scrub from cabin air with lithium hydroxide?"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    texts = list(pydoc_data.topics.topics.values())[:60]
    texts += [f"Buy cheap login deals now, click offer {i} free discount cart." * 3 for i in range(60)]
    texts.append(f"{texts[0]}\n\n{QUESTION}\n\n{texts[1]}")
    made = [Document.make(text, url=str(i), source="s", licence="l", language="en") for i, text in enumerate(texts)]
    write_documents(tmp_path / "kept", made, 100_000)
    return tmp_path / "kept"


def judge(handler: Handler, body: Body) -> None:
    good = "Buy cheap" not in body["messages"][-1]["content"]
    handler.say(json.dumps({"subject": "x", **dict.fromkeys(POINTS, good)}))


def test_documents_are_labelled_and_a_model_is_trained_on_the_labels(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, model = tmp_path / "labels.parquet", tmp_path / "quality.npz"
    with scripted(judge) as server:
        words = ["corpus", "label", str(kept), "--endpoint", server.base_url, "--model", "m", "--output", str(table)]
        assert main([*words, "--json"]) == 0
        figures = json.loads(capsys.readouterr().out)
        assert figures["scores"] == [60, 0, 0, 0, 0, 61] and figures["failed"] == 0
        assert figures["asked"] == 120  # two of them begin with the same page: one question
        assert main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["asked"] == 0
    train = ["corpus", "train-quality", str(table), "--label", "score", "--at-least", "3", "--output", str(model)]
    assert main([*train, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["area"] == 1.0
    good, bad = QualityModel.load(model).probabilities(
        ["The assignment statement evaluates the expression list.", "click free deals, buy offer now"], ["en", "en"]
    )
    assert good > bad


def test_what_holds_a_benchmark_is_reported(kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, table, index = tmp_path / "packs", tmp_path / "found.jsonl", tmp_path / "index.npz"
    (folder / "arc").mkdir(parents=True)
    rows = [
        {"id": "a1", "question": QUESTION},
        {"id": "a2", "question": "Why do owls hunt when other birds have long gone to sleep?"},
    ]
    (folder / "arc" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["corpus", "decontaminate", str(kept), "--benchmarks", str(folder), "--index", str(index)]
    for _ in range(2):  # the second time with the index of the first
        assert main([*words, "--output", str(table), "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["benchmark"], row["items"], row["hit"], row["documents"]) == ("arc", 2, 1, 1)
        (match,) = [json.loads(line) for line in table.read_text().splitlines()]
        assert match["item"] == "arc/test.jsonl:a1" and match["text"] + "?" == QUESTION
    (folder / "arc" / "test.jsonl").write_text(json.dumps(rows[1]) + "\n")
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["arc", "1", "1", "0", "0", "0.0000%"]


def test_what_cannot_be_is_one_line_that_says_so(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "t.csv").write_text("text,good\na,1\n")
    for words, said in (
        (["decontaminate", str(kept), "--benchmarks", str(tmp_path / "empty")], "no questions in it"),
        (["label", str(kept), "--endpoint", "here", "--model", "m", "--output", "x.csv"], "--endpoint: "),
        (
            ["label", str(kept), "--endpoint", "http://h/v1", "--model", "m", "--output", "x.txt"],
            "expected a name that ends",
        ),
        (["train-quality", str(tmp_path / "t.csv"), "--label", "god", "--output", "q.npz"], "did you mean 'good'"),
        (["train-quality", str(tmp_path / "t.csv"), "--label", "good", "--output", "q"], "should end in .npz"),
    ):
        assert main(["corpus", *words]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


def test_the_commands_and_settings_of_the_page_work(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "arc.jsonl").write_text(json.dumps({"question": QUESTION}) + "\n")
    rows = [{"text": f"{word} number {i}", "toxic": word == "awful"} for word in ("awful", "fine") for i in range(150)]
    (tmp_path / "comments.csv").write_text("text,toxic\n" + "".join(f"{r['text']},{r['toxic']}\n" for r in rows))
    commands = [line.split() for line in re.findall(r"^    smolforge (corpus .*)$", PAGE, re.MULTILINE)]
    assert [words[1] for words in commands] == ["label", "train-quality", "train-quality", "decontaminate"]
    with scripted(judge) as server:
        for words in commands:
            assert main([server.base_url if word.startswith("http:") else word for word in words]) == 0
    assert "arc" in capsys.readouterr().out
    settings = yaml.safe_load(re.search(r"^    corpus:\n(      .*\n)+", PAGE, re.MULTILINE)[0])["corpus"]  # type: ignore[index]
    config = CorpusConfig.model_validate({"sources": ["pydoc_topics"], **settings})
    assert config.quality is not None and config.quality.top == 0.1
    assert config.toxicity == ToxicityConfig() and config.decontaminate is not None
