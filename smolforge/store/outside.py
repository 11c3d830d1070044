"""What a stage reads outside its recipe, as JSON values that join the stage's id: a person's files, package versions.

Input is paths and distribution names; output changes when a file is added, removed, resized or rewritten, or a package
is updated. Contents are not read, so it costs one look at each folder.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable
from pathlib import Path

from smolforge.store.digest import digest_json


def files_mark(path: str | Path) -> str:
    """Return a digest of names, sizes and times of change of the files at or below ``path``; "" if there are none."""
    root = Path(path).expanduser()
    if root.is_file():
        return digest_json([_entry(root, root.name)])
    paths = sorted(Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return digest_json([_entry(path, path.relative_to(root).as_posix()) for path in paths]) if paths else ""


def package_versions(names: Iterable[str]) -> dict[str, str | None]:
    """Return the installed version of each distribution, None where it is absent."""
    return {name: _version(name) for name in sorted(set(names))}


def _entry(path: Path, name: str) -> list[str | int]:
    state = path.lstat()
    return [name, state.st_size, state.st_mtime_ns]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
