"""How much a run of ``benchmarks/engine.py`` measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """Threads of both sides, turns a claim, and whether the slow parts are left out."""

    threads: int
    turns: int
    quick: bool = False
