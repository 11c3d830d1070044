"""`smolforge ls`: the models on this machine: in the Hugging Face cache, of finished runs, and the bundled one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--json", action="store_true", help="one JSON array of name, type, bytes and path")


def run(options: argparse.Namespace) -> int:
    """Look and tell; nothing found is nothing printed, and exit code 0."""
    from smolforge.cli.table import render, size_text

    found = list(models())
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif found:
        rows = [[m["name"], m["type"], size_text(m["bytes"]), m["path"]] for m in found]
        print(render(["name", "type", "size", "path"], rows, right={2}))
    return 0


def models() -> Iterator[dict[str, Any]]:
    """Yield every model: what names it in other commands, its type, bytes and path."""
    yield from _cached()
    yield from _runs()
    from smolforge.cli.models import BUNDLED
    from smolforge.hub.local import bundled

    if path := bundled():
        yield {"name": BUNDLED, "type": "GGUF", "bytes": path.stat().st_size, "path": str(path)}


def _cached() -> Iterator[dict[str, Any]]:
    from smolforge.hub.cache import snapshots, unfinished
    from smolforge.hub.places import cache_root

    root = cache_root()
    for snapshot in snapshots(root):
        revision = "" if "main" in snapshot.refs else f"@{snapshot.commit}"
        if snapshot.is_folder:
            yield _entry(f"{snapshot.id}{revision}", "safetensors", snapshot.size, snapshot.path)
        for file in snapshot.ggufs:
            name = f"{snapshot.id}:{file.name}{revision}"
            yield _entry(name, "GGUF", file.stat().st_size, file)
        if not snapshot.is_folder and not snapshot.ggufs:
            yield _entry(f"{snapshot.id}{revision}", "no whole model", snapshot.size, snapshot.path)
    for id, folder, size in unfinished(root):
        yield _entry(id, "unfinished pull", size, folder)


def _runs() -> Iterator[dict[str, Any]]:
    from smolforge.cli.models import runs_with

    for folder, _ in runs_with("export"):
        for path in sorted(folder.rglob("*")):
            if path.suffix == ".gguf":
                yield _entry(str(path), "GGUF", path.stat().st_size, path)
            elif path.name == "config.json" and (path.parent / "model.safetensors").is_file():
                size = sum(file.stat().st_size for file in path.parent.iterdir() if file.is_file())
                yield _entry(str(path.parent), "safetensors", size, path.parent)


def _entry(name: str, kind: str, size: int, path: Path) -> dict[str, Any]:
    return {"name": name, "type": kind, "bytes": size, "path": str(path)}
