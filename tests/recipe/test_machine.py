"""What a machine is said to have is what this process may use of it: limits of its control groups count."""

from __future__ import annotations

from pathlib import Path

import pytest

from smolforge.recipe.machine import memory_bytes, usable_cores
from smolforge.store import control_groups

MEMBERSHIP = {2: "0::/a.slice/b.scope\n", 1: "4:cpu,cpuacct:/a.slice/b.scope\n5:memory:/a.slice/b.scope\n0::/\n"}


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(control_groups, "ROOT", tmp_path)
    monkeypatch.setattr(control_groups, "MEMBERSHIP", tmp_path / "membership")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("group", [".", "a.slice", "a.slice/b.scope"])
@pytest.mark.parametrize("version", [1, 2])
def test_the_tightest_group_bounds_memory(groups: Path, version: int, group: str) -> None:
    write(groups / "membership", MEMBERSHIP[version])
    whole = memory_bytes()
    folder, name = ("memory/", "memory.limit_in_bytes") if version == 1 else ("", "memory.max")
    write(groups / f"{folder}{group}/{name}", "100000000\n")
    write(groups / f"{folder}{name}", "100000000\n" if group == "." else "200000000\n")
    assert memory_bytes() == 100_000_000 < whole


def test_groups_without_a_limit_bound_nothing(groups: Path) -> None:
    whole, cores = memory_bytes(), usable_cores()
    write(groups / "memory.max", "max\n")
    write(groups / "cpu.max", "max 100000\n")
    write(groups / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(groups / "cpu/cpu.cfs_quota_us", "-1\n")
    write(groups / "cpu/cpu.cfs_period_us", "100000\n")
    assert (memory_bytes(), usable_cores()) == (whole, cores)


@pytest.mark.parametrize("version", [1, 2])
def test_a_quota_bounds_cores(groups: Path, version: int) -> None:
    write(groups / "membership", MEMBERSHIP[version])
    if version == 2:
        write(groups / "a.slice/cpu.max", "150000 100000\n")
    else:
        write(groups / "cpu/a.slice/cpu.cfs_quota_us", "50000\n")
        write(groups / "cpu/a.slice/cpu.cfs_period_us", "100000\n")
    assert usable_cores() == 1
