"""`smolforge chat` and `generate` on a real, untrained model folder: streams, modes, calls."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from smolforge.cli.main import main
from smolforge.model.checkpoint import save_pretrained
from smolforge.model.config import ModelConfig
from smolforge.model.decoder import Decoder
from smolforge.model.initialise import initialise
from smolforge.store import write_json
from smolforge.tokens.special import SPECIAL_TOKENS

TOOL = {
    "type": "function",
    "function": {
        "name": "TurnOn",
        "description": "Turn something on.",
        "parameters": {
            "type": "object",
            "properties": {"name": {"type": "string", "x-copy": True}},
            "required": ["name"],
            "additionalProperties": False,
            "x-slot-combinations": [["name"]],
        },
    },
}


def write_model(folder: Path) -> Path:
    """Write a folder that chat can open: random weights, a byte-level tokenizer with the template's tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=list(SPECIAL_TOKENS), show_progress=False
    )
    tokenizer.train_from_iterator(["turn on the light"] * 4, trainer)
    config = ModelConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=64, n_layers=2, n_heads=2,
        n_kv_heads=1, max_position_embeddings=1024,
    )  # fmt: skip
    decoder = Decoder(config)
    initialise(decoder, 3)
    save_pretrained(decoder, folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOLFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SMOLFORGE_HISTORY", "")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return write_model(tmp_path / "model")


def test_the_answer_alone_goes_to_stdout_and_is_the_same_every_time(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", str(model), "--prompt", "hello", "--max-tokens", "6", "--no-think"]) == 0
    first = capsys.readouterr()
    assert "tokens/s" in first.err and "tokens/s" not in first.out and "\x1b" not in first.err
    assert main(["chat", str(model), "--prompt", "hello", "--max-tokens", "6", "--no_think"]) == 0
    assert capsys.readouterr().out == first.out


def test_a_question_may_come_through_a_pipe(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["chat", str(model), "--prompt", "hello", "--max-tokens", "6"])
    asked = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n"))
    assert main(["chat", str(model), "--max-tokens", "6"]) == 0
    assert capsys.readouterr().out == asked


@pytest.mark.parametrize("mode", ["--think", "--no-think"])
def test_a_model_with_tools_answers_with_a_call_that_copies_from_the_command(
    model: Path, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(model / "tools.json", [TOOL])
    assert main(["chat", str(model), "-p", "turn on the light", mode, "--max-tokens", "200"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["name"] == "TurnOn" and made["arguments"]["name"] in "turn on the light"


def test_calls_without_tools_are_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", str(model), "--call", "-p", "x"]) == 2
    assert "--call needs a tools.json" in capsys.readouterr().err


def test_generate_continues_a_text(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", str(model), "-p", "turn on", "--max-tokens", "5"]
    assert main(words) == 0
    first = capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().out == first.out and first.err == ""


def test_the_newest_runs_export_answers_by_the_name_run_with_that_runs_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for age, (run, with_tools) in enumerate((("new", True), ("old", False))):
        root = tmp_path / "runs" / run
        write_model(root / "artifacts" / "export-1" / "hf")
        write_json(root / "artifacts" / "export-1" / "manifest.json", {})
        write_json(root / "artifacts" / "synthesize-1" / "manifest.json", {})
        if with_tools:
            write_json(root / "artifacts" / "synthesize-1" / "tools.json", [TOOL])
        stages = {"export": "artifacts/export-1", "synthesize": "artifacts/synthesize-1"}
        write_json(root / "run.json", {"stages": stages})
        os.utime(root / "run.json", (1e9 - age, 1e9 - age))
    monkeypatch.chdir(tmp_path)
    for name in ("run", "runs/new"):
        assert main(["chat", name, "-p", "turn on the light", "--no-think", "--max-tokens", "200"]) == 0
        assert json.loads(capsys.readouterr().out)["name"] == "TurnOn"


def test_a_folder_without_a_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", str(tmp_path), "-p", "x"]) == 2
    assert "expected a folder with config.json" in capsys.readouterr().err
