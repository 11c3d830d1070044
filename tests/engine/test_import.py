"""Importing is quick and brings nothing that an answer on a CPU has no use for."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "pydantic", "rich", "asyncio", "socket", "http", "urllib.request", "jinja2")


def loaded_by(code: str) -> set[str]:
    """Return which modules a fresh Python has after running ``code``."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_the_package_alone_brings_nothing_but_itself() -> None:
    before, after = loaded_by("import typing"), loaded_by("import smolforge")
    brought = {name.partition(".")[0] for name in after - before}
    assert brought - sys.stdlib_module_names == {"smolforge"}


def test_the_engine_needs_no_torch_and_opens_no_connection() -> None:
    assert loaded_by("from smolforge import Engine").isdisjoint(HEAVY)
