"""What holds for every test: those that drive a browser, a terminal, or processes get a second try.

Such a test waits for another program of a machine that may be busy with something else for seconds; one that fails
three times in a row has found something.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent
DRIVES_OTHERS = ("serve", "cli/test_chat_terminal.py", "cli/test_cli_manners.py", "tasks/test_apply", "end_to_end")
TRIES_MORE = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that depend on other programs."""
    for item in items:
        if item.path.relative_to(ROOT).as_posix().startswith(DRIVES_OTHERS):
            item.add_marker(pytest.mark.flaky(reruns=TRIES_MORE))
