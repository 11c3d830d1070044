"""The command line's manners: what goes to which stream, exit codes, one-line refusals, quick start."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smolforge.cli.main import VERBS, main

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600.0  # seconds; other processes may have the machine


@pytest.mark.parametrize("words", [[], ["--help"], ["help"]])
def test_no_arguments_show_what_it_can_do(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert all(f"smolforge {verb}" in out for verb in VERBS) and err == ""


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([verb, "--help"])
    assert exit_info.value.code == 0
    assert VERBS[verb] in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chatt"], "did you mean 'chat'"),
        (["run"], "arguments are required"),
        (["run", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["run", "x.yaml", "--dryrun"], "did you mean '--dry-run'"),
        (["chat", "--max-tokens", "many"], "invalid int value: 'many'"),
        (["chat", "--prompt", ""], "the question is empty"),
        (["chat", "nowhere", "--prompt", "hello"], "nowhere: no such model"),
        (["generate", "--prompt", "a", "--temperature", "-1"], "--temperature"),
        (["report", "nowhere"], "no finished report"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1 and err.startswith("smolforge: ")


@pytest.mark.parametrize("where", ["file/run", "file"])
def test_a_place_that_cannot_be_written_is_one_line(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: x\nsynthesize: {}\n")
    assert main(["run", str(recipe), f"output={tmp_path / where}"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith(f"smolforge: {tmp_path / 'file'}")


def test_words_that_are_not_utf_8_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--prompt", "\udcff"]) == 2
    assert "not UTF-8 text" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "classify - --labels a,b", "extract - --schema name", "summarize -", "call - --tools tools.json", "chat",
        "generate", "perplexity -",
    ],
)  # fmt: skip
def test_a_pipe_that_is_not_utf_8_is_refused(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tools.json").write_text('[{"name": "stop"}]')
    monkeypatch.chdir(tmp_path)
    for errors in ("strict", "surrogateescape"):  # the second is what Python does in the C locale
        pipe = io.TextIOWrapper(io.BytesIO(b"line\r\ncaf\xe9."), encoding="utf-8", errors=errors)
        monkeypatch.setattr("sys.stdin", pipe)
        assert main(words.split()) == 2
        assert capsys.readouterr() == ("", "smolforge: standard input: not UTF-8 text (byte 9)\n")


def test_a_run_file_of_another_kind_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "x" / "run.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    assert main(["report"]) == 2
    assert "runs/x/run.json: not a run file" in capsys.readouterr().err


def test_without_any_model_chat_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("smolforge.cli.models.bundled", lambda: None)
    assert main(["chat", "--prompt", "hello"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "smolforge run recipes/nano.yaml" in err and "smolforge pull" in err
    assert main(["chat", "run", "--prompt", "hello"]) == 2
    assert "no finished run" in capsys.readouterr().err


def test_the_welcome_imports_nothing_heavy() -> None:
    code = (
        "import sys; from smolforge.cli.main import main; main(['--help']); "
        "print(sorted({'torch', 'pydantic', 'rich', 'polars', 'transformers', 'numpy', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(options: object) -> int:
        raise RuntimeError("not the person's fault")

    monkeypatch.setattr("smolforge.cli.doctor_verb.run", defect)
    with pytest.raises(RuntimeError, match="not the person's fault"):
        main(["doctor"])


def _open_when_read(pipe: Path) -> int:
    """Wait until somebody reads the pipe and return its writing end."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # no reader yet
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _interrupted(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Press Ctrl-C until it is noticed: a signal between two system calls waits for the second one to return."""
    for _ in range(int(PATIENCE / 15)):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=15)
    process.kill()
    return process.communicate()


def test_ctrl_c_ends_quietly_with_130(tmp_path: Path) -> None:
    recipe = tmp_path / "pipe.yaml"
    os.mkfifo(recipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "smolforge.cli.main", "run", str(recipe)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    writer = _open_when_read(recipe)  # and never written to, so the command is surely in the middle of its work
    out, err = _interrupted(process)
    os.close(writer)
    assert (process.returncode, out, err) == (130, "", "")


def test_doctor_tells_a_machine_what_it_tells_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["machine"]["cores"] >= 1 and found["machine"]["memory_bytes"] > 0
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert found["machine"]["processor"] in text and found["energy"] in text


def test_doctor_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    absent = "no_such_module_anywhere"
    monkeypatch.setattr(
        "smolforge.cli.doctor_verb.EXTRAS", {"data": [("polars", absent)], "train": [("torch", absent)]}
    )
    assert main(["doctor"]) == 0
    assert "pip install 'smolforge[data]'  (absent: polars)" in capsys.readouterr().out
