"""Timing two engines on a machine that others use too: in turn, and with an eye on who else computes.

In: two functions that each measure one slice. Out: both sides' medians over the calmest turns, and how disturbed those
were.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CALM = 0.1  # share of the machine that others may take during a slice that counts as calm
EXTRA = 2  # a turn that was not calm is repeated, up to so many times the turns asked for


@dataclass(frozen=True)
class Slice:
    """What one slice measured, and the share of the machine that others and the hypervisor took meanwhile."""

    value: float
    disturbed: float


@dataclass(frozen=True)
class Pair:
    """Medians of both sides over the turns that count; ``disturbed`` is the median share others took in them."""

    ours: float
    peer: float
    disturbed: float
    turns: int

    @property
    def note(self) -> str:
        return f"{self.turns} turns, others took {self.disturbed:.0%}"


def _machine_seconds() -> tuple[float, float]:
    """Seconds of all cores since boot: computing (time stolen by the hypervisor included), and in all."""
    fields = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    tick = os.sysconf("SC_CLK_TCK")
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / tick, sum(fields) / tick


def _own_seconds(servers: Sequence[int]) -> float:
    """Processor seconds of this process, of the children it waited for, and of servers that still run."""
    times = os.times()
    total = times.user + times.system + times.children_user + times.children_system
    for pid in servers:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def watched(measure: Callable[[], float], servers: Sequence[int] = ()) -> Slice:
    """Measure one slice and who else computed meanwhile; where /proc/stat is missing, nobody did."""
    if not Path("/proc/stat").exists():
        return Slice(measure(), 0.0)
    busy, elapsed = _machine_seconds()
    own = _own_seconds(servers)
    value = measure()
    busy_after, elapsed_after = _machine_seconds()
    others = busy_after - busy - (_own_seconds(servers) - own)
    return Slice(value, max(0.0, others / max(elapsed_after - elapsed, 1e-9)))


def in_turn(ours: Callable[[], float], peer: Callable[[], float], turns: int, servers: Sequence[int] = ()) -> Pair:
    """Measure both in turn, each first in every other turn, and take the medians over the ``turns`` calmest turns."""
    pairs: list[tuple[Slice, Slice]] = []

    def disturbed(pair: tuple[Slice, Slice]) -> float:
        return max(pair[0].disturbed, pair[1].disturbed)

    while len(pairs) < turns * EXTRA and sum(disturbed(pair) <= CALM for pair in pairs) < turns:
        if len(pairs) % 2 == 0:
            mine = watched(ours, servers)
            pairs.append((mine, watched(peer, servers)))
        else:
            theirs = watched(peer, servers)
            pairs.append((watched(ours, servers), theirs))
    calm = sorted(pairs, key=disturbed)[:turns]
    mine_, theirs_ = (statistics.median(pair[side].value for pair in calm) for side in (0, 1))
    return Pair(mine_, theirs_, statistics.median(map(disturbed, calm)), len(calm))
