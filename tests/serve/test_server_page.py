"""What docs/reference/server.md shows works as it stands there, and every promise names a test that exists."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serve.client import PATIENCE, Client

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "reference" / "server.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8080"
COMMANDS = re.findall(r"^    (curl .*)$", PAGE, re.MULTILINE)
PROMISES = re.findall(r"^\| .* \| `([^`]+)` \|$", PAGE.partition("## What it promises")[2], re.MULTILINE)


def answer(client: Client, command: str) -> bytes:
    """Run a command of the page; without curl, send what it would."""
    words = shlex.split(command.replace(ADDRESS, client.url))
    if shutil.which("curl"):
        return subprocess.run([*words, "--silent"], capture_output=True, check=True, timeout=PATIENCE).stdout
    program, url, option, body = words
    assert (program, option) == ("curl", "-d")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return client.ask("POST", url.removeprefix(client.url), body.encode(), form).body


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_shows_requests_that_are_answered(client: Client, command: str) -> None:
    (choice,) = json.loads(answer(client, command))["choices"]
    assert choice["message"]["content"].strip()


def test_there_is_a_request_to_show() -> None:
    assert COMMANDS and all(ADDRESS in command for command in COMMANDS)


def test_every_promise_names_a_test() -> None:
    rows = PAGE.partition("## What it promises")[2].count("\n| ") - 1  # without the head
    assert len(PROMISES) == rows > 0


@pytest.mark.parametrize("node", PROMISES)
def test_the_test_of_a_promise_exists(node: str) -> None:
    name, _, function = node.partition("::")
    head = rf"^def {function}\(" if function else r"^def test_"
    assert re.search(head, (HERE / name).read_text(encoding="utf-8"), re.MULTILINE)
