"""Fetching a model into the cache: pinned, checked byte for byte, resumed where an earlier attempt broke off.

Input: a ``ModelName``. Output: a snapshot in the Hugging Face cache layout. A file appears under its digest only when
its bytes have that digest, a snapshot only when its files are there, and a branch's name only when its snapshot is.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from smolforge.errors import NetworkError
from smolforge.hub.choose import choose_files
from smolforge.hub.lock import hold
from smolforge.hub.names import ModelName
from smolforge.hub.part import Part
from smolforge.hub.remote import Broken, Hub, RemoteFile, RemoteModel, Unreachable
from smolforge.store.atomic import fsync_path, replacing, write_atomic

BLOCK = 1 << 18
ATTEMPTS = 6  # in a row without a single new byte
LONGEST_WAIT = 30.0  # seconds
ROOM_TO_LEAVE = 64 << 20  # bytes

Report = Callable[[str, int, int], None]  # (file, bytes here of all files, bytes of all files)
Wait = Callable[[float], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Pulled:
    """What a pull left behind: the snapshot, its commit, its files, and how many bytes came over the network."""

    snapshot: Path
    commit: str
    files: list[str]
    fetched: int


def pull(name: ModelName, root: Path, hub: Hub, report: Report, *, wait: Wait = time.sleep) -> Pulled:
    """Fetch ``name`` into the cache at ``root``; NetworkError or ConfigError if it cannot be had.

    Interrupt it at any moment and call it again: what has arrived is kept. ``wait`` sleeps between attempts.
    """
    model = _patiently(lambda: hub.model(name), str(name), wait)
    chosen = set(choose_files([file.path for file in model.files], name.quant, f"{hub.host}: {name}"))
    files = [file for file in model.files if file.path in chosen]
    folder = root / name.folder
    _check_room(folder / "blobs", files)
    fetch = _Fetch(hub, model, folder / "blobs", report, wait, sum(file.size for file in files))
    for file in files:
        with hold(root / ".locks" / name.folder / f"{file.digest}.lock"):
            fetch.file(file)
    snapshot = folder / "snapshots" / model.commit
    for file in files:
        _link(snapshot / file.path, folder / "blobs" / file.digest)
    if name.revision != model.commit:
        write_atomic(folder / "refs" / name.revision, model.commit.encode())
    return Pulled(snapshot, model.commit, [file.path for file in files], fetch.fetched)


class _Fetch:
    """Brings files one after the other and counts bytes over all of them."""

    def __init__(self, hub: Hub, model: RemoteModel, blobs: Path, report: Report, wait: Wait, total: int) -> None:
        self._hub, self._model, self._blobs, self._report, self._wait = hub, model, blobs, report, wait
        self._total, self._here, self.fetched = total, 0, 0

    def file(self, file: RemoteFile) -> None:
        """Bring one file, unless it is here: a blob of the right name and size was checked when it arrived."""
        blob = self._blobs / file.digest
        if not (blob.is_file() and blob.stat().st_size == file.size):
            part = blob.with_name(f"{file.digest}.incomplete")
            self._bring(file, part)
            part.replace(blob)
            fsync_path(blob.parent)
        self._here += file.size
        self._report(file.path, self._here, self._total)

    def _bring(self, file: RemoteFile, path: Path) -> None:
        """Fill ``path`` and check it. A wrong digest after a resume may be the kept part's fault: once more from 0."""
        with Part(path, file) as part:
            resumed = part.size > 0
            self._fill(file, part)
            if not part.right and resumed:
                part.restart()
                self._fill(file, part)
            if part.right:
                return
        path.unlink()
        raise NetworkError(
            f"{self._model.name}: {file.path} did not arrive as {self._hub.host} announced it (its digest differs); "
            "nothing of it was kept. Try again; if it stays so, a proxy or the hub changes files"
        )

    def _fill(self, file: RemoteFile, part: Part) -> None:
        """Append until all bytes are here, through broken connections."""
        failures = 0
        while not part.whole:
            before, problem = part.size, "the connection ended early"
            try:
                self._append(file, part)
            except (Broken, Unreachable) as error:
                if isinstance(error, Unreachable) and not self.fetched:
                    raise
                problem = str(error)
            if not part.whole:
                failures = 0 if part.size > before else failures + 1
                if failures == ATTEMPTS:
                    raise _given_up(f"{self._model.name}: {file.path}", problem)
                self._wait(min(LONGEST_WAIT, 2.0**failures))

    def _append(self, file: RemoteFile, part: Part) -> None:
        """Write what one connection brings; Broken when it breaks."""
        with self._hub.open(self._model, file, part.size) as source:
            if source.start != part.size:
                part.restart()
            for block in source.blocks(BLOCK):
                part.write(block)
                self.fetched += len(block)
                self._report(file.path, self._here + part.size, self._total)
                if part.size > file.size:
                    return


def _patiently(ask: Callable[[], T], what: str, wait: Wait) -> T:
    """Ask again while the hub is busy."""
    for failures in range(ATTEMPTS - 1):
        try:
            return ask()
        except Broken:
            wait(min(LONGEST_WAIT, 2.0**failures))
    try:
        return ask()
    except Broken as error:
        raise _given_up(what, str(error)) from None


def _given_up(what: str, problem: str) -> NetworkError:
    return NetworkError(f"{what}: given up after {ATTEMPTS} attempts ({problem}); run it again to go on from here")


def _check_room(blobs: Path, files: Sequence[RemoteFile]) -> None:
    """Refuse before the first byte what the disk cannot hold."""
    missing = 0
    for file in files:
        places = (blobs / file.digest, blobs / f"{file.digest}.incomplete")
        missing += max(0, file.size - max((place.stat().st_size for place in places if place.is_file()), default=0))
    disk = blobs
    while not disk.exists():
        disk = disk.parent
    free = shutil.disk_usage(disk).free
    if missing and missing + ROOM_TO_LEAVE > free:
        raise NetworkError(
            f"{blobs}: {missing / 1e9:.2f} GB are still to come and {free / 1e9:.2f} GB of disk are free; "
            "make room with 'smolforge rm', or name another place with HF_HUB_CACHE"
        )


def _link(place: Path, blob: Path) -> None:
    """Make ``place`` show ``blob``: a relative link, or a copy where the system has no links."""
    with replacing(place) as part:
        try:
            part.symlink_to(os.path.relpath(blob, place.parent))
        except (OSError, NotImplementedError):
            shutil.copyfile(blob, part)
