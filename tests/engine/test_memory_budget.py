"""Key-value memory is bounded by what is free, on machine and container, and too little of it is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from smolforge.engine import memory_budget
from smolforge.engine.memory_budget import available_bytes, kv_pages
from smolforge.errors import ConfigError
from smolforge.store import control_groups

GB = 1 << 30
V2 = "memory.max", "memory.current", "inactive_file"
V1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"


def test_a_container_bounds_what_is_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = available_bytes()
    assert machine > 100 << 20
    monkeypatch.setattr(control_groups, "ROOT", tmp_path)
    monkeypatch.setattr(control_groups, "MEMBERSHIP", tmp_path / "none")
    (tmp_path / "memory.max").write_text("100000000\n")
    (tmp_path / "memory.current").write_text("60000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 5000000\n")
    assert available_bytes() == 45_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes() > 100 << 20


@pytest.mark.parametrize(
    ("membership", "folder", "names"),
    [
        ("0::/a.slice/b.scope\n", "a.slice/b.scope", V2),
        ("0::/a.slice/b.scope/c\n", "a.slice", V2),
        ("9:name=systemd:/x\n5:cpu,memory:/docker/1\n0::/\n", "memory/docker/1", V1),
        ("5:memory:/on/the/host\n", "memory", V1),
    ],
)
def test_the_group_of_the_process_bounds_too_in_both_versions(
    membership: str, folder: str, names: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_groups, "ROOT", tmp_path)
    monkeypatch.setattr(control_groups, "MEMBERSHIP", tmp_path / "membership")
    (tmp_path / "membership").write_text(membership)
    group = tmp_path / folder
    group.mkdir(parents=True, exist_ok=True)
    (group / names[0]).write_text("100000000\n")
    (group / names[1]).write_text("60000000\n")
    (group / "memory.stat").write_text(f"anon 1\n{names[2]} 5000000\n")
    assert available_bytes() == 45_000_000


def test_more_than_there_is_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "available_bytes", lambda: 8 * GB)
    assert kv_pages(1 << 20, context_pages=100, asked=8 * GB) == 8192
    with pytest.raises(ConfigError, match="kv_bytes: 9664 MB of key-value memory are more than the 8590 MB available"):
        kv_pages(1 << 20, context_pages=100, asked=9 * GB)


def test_pages_are_a_gigabyte_or_one_context_and_at_most_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "available_bytes", lambda: 8 * GB)
    assert kv_pages(1 << 20, context_pages=100, asked=None) == 1024
    assert kv_pages(1 << 20, context_pages=2000, asked=None) == 2000
    assert kv_pages(1 << 20, context_pages=9999, asked=None) == 4096
    assert kv_pages(1 << 20, context_pages=100, asked=50 << 20) == 50


def test_too_little_memory_is_refused_with_what_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "available_bytes", lambda: 4 << 20)
    with pytest.raises(ConfigError, match="2 MB of key-value memory is too little: four pages take 4 MB"):
        kv_pages(1 << 20, context_pages=100, asked=None)


@pytest.mark.skipif(sys.platform != "linux", reason="the address space in use is read from /proc")
def test_the_process_own_limit_bounds_too() -> None:
    code = (
        "import resource; from smolforge.engine.memory_budget import available_bytes; "
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); print(available_bytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=600, check=True)
    assert int(done.stdout) < 1 << 30
