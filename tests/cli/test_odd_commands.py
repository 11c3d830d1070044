"""Commands as they go wrong on other people's machines: one line, exit code 2, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smolforge.cli.main import main
from smolforge.formats.gguf_names import expected_shapes
from smolforge.formats.hf_config import flat_config
from smolforge.formats.safetensors_io import SafetensorsFile, write_safetensors
from tests.engine.tiny_model import write_tiny_model

NORM = "model.norm.weight"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"))


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that a person got wrong; return what it said."""
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1].startswith("smolforge: ")
    return err.splitlines()[-1]


@pytest.mark.parametrize("verb", ["chat", "generate", "bench", "perplexity"])
def test_more_threads_than_there_can_be_are_refused(
    verb: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("turn on the light in the hall. " * 200)
    words = [str(text), "-m", str(model)] if verb == "perplexity" else [str(model)]
    words += ["-p", "hall"] if verb in ("chat", "generate") else []
    assert "threads is 100000, expected 1 to 512" in refused([verb, *words, "--threads", "100000"], capsys)


def test_a_model_with_damaged_weights_says_so_and_gives_no_figure(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("config.json", "tokenizer.json"):
        (tmp_path / file).write_bytes((model / file).read_bytes())
    whole = SafetensorsFile(model / "model.safetensors")
    tensors = {name: np.array(whole.array(name), np.float32) for name in whole.entries}
    tensors[NORM][3] = np.nan
    write_safetensors(tmp_path / "model.safetensors", tensors)
    text = tmp_path / "text.txt"
    text.write_text("turn on the light in the hall. " * 20)
    for words in (
        ["generate", str(tmp_path), "-p", "hall"],
        ["perplexity", str(text), "-m", str(tmp_path), "--n-ctx", "8"],
    ):
        assert "not numbers; its weights are damaged" in refused(words, capsys)


def test_a_question_longer_than_the_context_is_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(["chat", str(model), "--no-call", "-p", "hall " * 900], capsys)
    assert re.search(r"takes \d+ tokens and there are 512 positions; shorten it", said)


def test_a_measurement_beyond_the_context_is_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(["bench", str(model), "--prompt-tokens", "500", "--tokens", "20"], capsys)
    assert said.endswith("take 520 positions, the model was made for 512")
    assert main(["bench", str(model), "--tokens", "20", "--repeats", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["prompt_tokens"] == 512 - 20


def test_an_answer_keeps_to_a_grammar_from_a_file(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answer.lark"
    file.write_text('start: "on " /[0-9]/ | "off " /[0-9]/\n')
    for verb in (["generate"], ["chat", "--no-call"]):
        assert main([verb[0], str(model), *verb[1:], "-p", "hall", "--lark", str(file)]) == 0
        assert re.fullmatch(r"(on|off) [0-9]\n", capsys.readouterr().out)
    file.write_text("start: nowhere")
    assert "lark: " in refused(["generate", str(model), "-p", "hall", "--lark", str(file)], capsys)
    assert "cannot be read" in refused(["generate", str(model), "-p", "hall", "--lark", "none.lark"], capsys)


@pytest.mark.parametrize("verb", ["show", "generate", "estimate"])
def test_a_config_nested_beyond_reason_is_refused(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text('{"a":' * 100_000)
    (tmp_path / "model.safetensors").touch()
    words = [verb, str(tmp_path), *(["-p", "hall"] if verb == "generate" else [])]
    assert "config.json" in refused(words, capsys)


def test_a_shape_that_the_kernels_do_not_compute_is_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((model / "config.json").read_text())
    config |= {"head_dim": 2048, "num_attention_heads": 1, "num_key_value_heads": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    shapes = expected_shapes(flat_config(config, "wide"))
    write_safetensors(tmp_path / "model.safetensors", {name: np.ones(s, np.float32) for name, s in shapes.items()})
    assert "head_dim 2048" in refused(["generate", str(tmp_path), "-p", "hall"], capsys)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_cache_that_cannot_take_the_weights_is_done_without(model: Path, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
    call = f"from smolforge.cli.main import main; main(['generate', {str(model)!r}, '-p', 'hall', '--choices', 'yes'])"
    environment = {**os.environ, "SMOLFORGE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", limit + call], env=environment, capture_output=True, timeout=600, check=False
    )
    assert (done.stdout, done.returncode) == (b"yes\n", 0), done.stderr
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_a_user_without_a_home_is_answered_all_the_same(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    for name in ("SMOLFORGE_CACHE", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    assert main(["generate", str(model), "-p", "hall", "--choices", "yes"]) == 0
    assert capsys.readouterr().out == "yes\n"
    assert main(["ls", "--json"]) == 0 and capsys.readouterr().err == ""
    assert "not in the cache" in refused(["rm", "owner/repo", "-y"], capsys)


def run(words: list[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "smolforge.cli.main", *words]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, timeout=600, check=False)


def test_an_instruction_set_that_is_none_is_refused(model: Path) -> None:
    done = run(["generate", str(model), "-p", "hall"], SMOLFORGE_ISA="quick")
    assert done.returncode == 2 and done.stdout == b""
    assert done.stderr.startswith(b"smolforge: SMOLFORGE_ISA: 'quick'") and done.stderr.count(b"\n") == 1


def test_answers_go_into_a_pipe_as_utf_8_whatever_the_locale(model: Path) -> None:
    words = ["generate", str(model), "-p", "hall", "--choices", "日本 é 👍"]
    done = run(words, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stdout.decode()) == (0, "日本 é 👍\n")
