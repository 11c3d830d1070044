"""Puts files into a Hugging Face cache as its own library lays them out, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.hub.local_hub import digest


def put(root: Path, name: str, files: Mapping[str, bytes], commit: str = "a" * 40, ref: str | None = "main") -> Path:
    """Write one snapshot and return its folder."""
    folder = root / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    for path, data in files.items():
        blob = folder / "blobs" / digest(data)
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / path).symlink_to(f"../../blobs/{blob.name}")
    if ref:
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / ref).write_text(commit)
    return snapshot
