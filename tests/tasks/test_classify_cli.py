"""`smolforge classify`: the label alone on standard output, everything else beside it, and mistakes in one line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from smolforge.cli.classify_verb import read_labels
from smolforge.cli.main import main
from tests.engine.tiny_model import write_tiny_model

LABELS = "card,card arrival,top up"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOLFORGE_CACHE", str(tmp_path / "cache"))


def classify(model: str, *words: str) -> int:
    return main(["classify", *words, "-m", model, "--threads", "1"])


def test_the_label_alone_is_printed(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert classify(model, "turn on the light", "--labels", LABELS) == 0
    printed = capsys.readouterr()
    assert printed.out.removesuffix("\n") in LABELS.split(",") and printed.out.endswith("\n")
    assert 0 < float(printed.err) <= 1


def test_json_has_scores_and_cost_and_the_text_may_come_through_a_pipe(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert classify(model, "the kitchen", "--labels", LABELS, "--json") == 0
    typed = json.loads(capsys.readouterr().out)
    monkeypatch.setattr("sys.stdin", io.StringIO("the kitchen\n"))
    assert classify(model, "-", "--labels", LABELS, "--json") == 0
    piped = json.loads(capsys.readouterr().out)
    assert typed["scores"] == piped["scores"] and sum(typed["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert typed["label"] == next(iter(typed["scores"])) and typed["usage"]["prompt_tokens"] > 20
    assert set(typed["timings"]) == {"waited", "prompt", "generation"}


def test_labels_come_from_files_of_lines_or_json(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, names, about = tmp_path / "a.txt", tmp_path / "a.json", tmp_path / "b.json"
    lines.write_text("card\n\ncard arrival\ntop up\n")
    names.write_text(json.dumps(LABELS.split(",")))
    about.write_text(json.dumps({"card": "", "card arrival": "where it is", "top up": ""}))
    found = []
    for given in (LABELS, str(lines), str(names), str(about)):
        assert classify(model, "x", "--labels", given, "--json") == 0
        found.append(json.loads(capsys.readouterr().out)["scores"])
    assert found[0] == found[1] == found[2] != found[3]


def test_a_list_of_labels_may_be_longer_than_a_files_name() -> None:
    labels = [f"label number {i}" for i in range(150)]
    assert read_labels(", ".join(labels)) == (labels, {})


def test_multi_prints_one_label_a_line_and_abstaining_prints_none(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert classify(model, "x", "--labels", LABELS, "--multi", "--abstain", "0") == 0
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(LABELS.split(","))
    assert classify(model, "x", "--labels", LABELS, "--abstain", "1") == 0
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("no label: the best one, '")
    assert classify(model, "x", "--labels", LABELS, "--abstain", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["label"] is None


def test_a_calibration_is_fitted_printed_kept_and_used(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples, kept = tmp_path / "rows.csv", tmp_path / "kept.json"
    rows = [f"hall {i},{LABELS.split(',')[i % 3]}" for i in range(12)]
    examples.write_text("\n".join(["text,label", *rows]) + "\n")
    assert classify(model, "--labels", LABELS, "--calibrate", str(examples), "--save-calibration", str(kept)) == 0
    fitted = capsys.readouterr()
    assert fitted.out == "" and "12 examples, cross-validated: expected calibration error 0." in fitted.err
    assert classify(model, "x", "--labels", LABELS, "--calibrate", str(examples), "--json") == 0
    at_once = json.loads(capsys.readouterr().out)["scores"]
    assert classify(model, "x", "--labels", LABELS, "--calibration", str(kept), "--json") == 0
    assert json.loads(capsys.readouterr().out)["scores"] == at_once


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x", "--labels", "one"], "labels: 1 given, expected two or more"),
        (["x", "--labels", "missing.json"], "missing.json: no such file of labels"),
        (["x", "--labels", LABELS, "--save-calibration", "o"], "--save-calibration needs --calibrate FILE"),
        (["x", "--labels", LABELS, "--calibrate", "none.csv"], "none.csv: no such file"),
        (["x", "--labels", LABELS, "--abstain", "7"], "abstain is 7.0, expected a probability from 0 to 1"),
        (["  ", "--labels", LABELS], "the text is empty"),
        (["x", "--labels", LABELS, "--thread", "0"], "--threads is 0, expected 1 or more"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    model: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", *words, "-m", model]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err and printed.err.count("\n") == 1
