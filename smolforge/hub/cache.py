"""What the Hugging Face cache on this machine holds, and how to take something out of it.

Input: the cache's folder. Output: snapshots with their sizes, the path a name stands for, or fewer files. Nothing here
opens a connection, and nothing outside the cache is ever removed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from smolforge.errors import ConfigError
from smolforge.hub.choose import choose_gguf
from smolforge.hub.names import ModelName, parse_name

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Snapshot:
    """One revision of a repository that is here. ``refs``: the branches and tags that mean it."""

    id: str
    commit: str
    path: Path
    refs: tuple[str, ...]
    files: tuple[Path, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes its files take; files of two snapshots may be the same on the disk."""
        return sum(file.stat().st_size for file in self.files if file.is_file())

    @property
    def ggufs(self) -> list[Path]:
        """Its GGUF files that are whole."""
        return [file for file in self.files if file.suffix.lower() == ".gguf" and file.is_file()]

    @property
    def is_folder(self) -> bool:
        """Whether it is a model folder with all weights it names."""
        return (self.path / "config.json").is_file() and _has_weights(self.path)


def snapshots(root: Path) -> Iterator[Snapshot]:
    """Yield every snapshot of a model in the cache, by name."""
    for folder in sorted(root.glob("models--*--*")):
        refs = _refs(folder)
        for path in sorted((folder / "snapshots").glob("*")):
            if _COMMIT.fullmatch(path.name) and path.is_dir():
                names = tuple(sorted(ref for ref, commit in refs.items() if commit == path.name))
                files = tuple(sorted(file for file in path.rglob("*") if not file.is_dir()))
                yield Snapshot(
                    folder.name.removeprefix("models--").replace("--", "/", 1), path.name, path, names, files
                )


def find(name: ModelName, root: Path) -> Path | None:
    """Return the model folder or GGUF file that ``name`` stands for, None if it is not here or not whole.

    ConfigError where it is here and several of its files could be meant.
    """
    folder = root / name.folder
    commit = name.revision if _COMMIT.fullmatch(name.revision) else _refs(folder).get(name.revision)
    for snapshot in snapshots(root):
        if snapshot.id == name.id and snapshot.commit == commit:
            if name.quant is None and snapshot.is_folder:
                return snapshot.path
            names = [str(file.relative_to(snapshot.path)) for file in snapshot.ggufs]
            return snapshot.path / choose_gguf(names, name.quant, str(name)) if names else None
    return None


def unfinished(root: Path) -> Iterator[tuple[str, Path, int]]:
    """Yield (owner/repo, folder, bytes) of downloads that broke off."""
    for folder in sorted(root.glob("models--*--*")):
        if parts := list((folder / "blobs").glob("*.incomplete")):
            yield _id(folder), folder, sum(part.stat().st_size for part in parts)


@dataclass(frozen=True)
class Removal:
    """What is to go: some snapshots of a repository, or with ``whole`` everything of it."""

    id: str
    folder: Path
    snapshots: tuple[Snapshot, ...]
    whole: bool


def choose_removal(text: str, root: Path) -> Removal:
    """Return what `owner/repo` (everything) or `owner/repo@revision` stands for; ConfigError if it is not here."""
    name = parse_name(text)
    folder = root / name.folder
    if name.quant:
        raise ConfigError(f"{text}: one file of a snapshot cannot be removed alone; name {name.id}")
    if folder.is_symlink() or (folder.exists() and folder.resolve().parent != root.resolve()):
        raise ConfigError(f"{folder}: leads out of the cache; nothing was removed")
    mine = [snapshot for snapshot in snapshots(root) if snapshot.id == name.id]
    if "@" in text:
        mine = [s for s in mine if name.revision in s.refs or s.commit.startswith(name.revision)]
    if not (mine or ("@" not in text and folder.is_dir())):
        raise ConfigError(f"{text}: not in the cache at {root}; 'smolforge ls' shows what is")
    return Removal(name.id, folder, tuple(mine), "@" not in text)


def remove(chosen: Removal, root: Path) -> int:
    """Remove it with the files that nothing else refers to; return the bytes set free."""
    before, folder = _bytes(root), chosen.folder
    for snapshot in chosen.snapshots:
        for ref in snapshot.refs:
            (folder / "refs" / ref).unlink()
        shutil.rmtree(snapshot.path)
    blobs = list((folder / "blobs").glob("*")) if chosen.whole else _unreferenced(folder)
    shared = [target for blob in blobs if (target := _drop(blob, root)) is not None]
    if chosen.whole:
        shutil.rmtree(folder)
        shutil.rmtree(root / ".locks" / folder.name, ignore_errors=True)
    used = {blob.resolve() for blob in root.glob("*--*/blobs/*") if blob.is_symlink()}
    for target in shared:
        if target not in used:
            target.unlink(missing_ok=True)
    return before - _bytes(root)


def _unreferenced(folder: Path) -> list[Path]:
    """Return the blobs no snapshot of the repository shows."""
    shown = {file.readlink().name for file in (folder / "snapshots").rglob("*") if file.is_symlink()}
    return [blob for blob in (folder / "blobs").glob("*") if blob.name not in shown]


def _drop(blob: Path, root: Path) -> Path | None:
    """Remove a blob; return the file in the store shared by repositories that it was a link to, if it was one."""
    target = blob.resolve() if blob.is_symlink() else None
    blob.unlink()
    inside = target is not None and (root / "blobs").resolve() in target.parents
    return target if inside else None


def _bytes(root: Path) -> int:
    """Return the bytes of all files below ``root``, links not followed."""
    return sum(file.lstat().st_size for file in root.rglob("*") if file.is_file() and not file.is_symlink())


def _id(folder: Path) -> str:
    return folder.name.removeprefix("models--").replace("--", "/", 1)


def _refs(folder: Path) -> dict[str, str]:
    """Return branch or tag → commit."""
    refs = folder / "refs"
    files = (file for file in refs.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {file.relative_to(refs).as_posix(): file.read_text(encoding="utf-8").strip() for file in files}


def _has_weights(folder: Path) -> bool:
    if (folder / "model.safetensors").is_file():
        return True
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
        shards = set(index["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return bool(shards) and all(isinstance(shard, str) and (folder / shard).is_file() for shard in shards)
