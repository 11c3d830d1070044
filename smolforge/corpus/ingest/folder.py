"""A person's own files, or a crawl's: what lies at a path or address, cut into pieces of bounded size.

Input: a path, or an address of ``fsspec``. Output: batches of small files, and ranges of large ones.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from smolforge.corpus.ingest.formats import WHOLE, Format, format_of, known_suffixes, true_format
from smolforge.corpus.ingest.packed import SNIFF_BYTES
from smolforge.corpus.ingest.parquet import parquet_ranges
from smolforge.corpus.ingest.remote import StoredFile, is_remote, join, list_remote, open_file
from smolforge.corpus.ingest.report import SourceRecord
from smolforge.errors import DataError

PIECE_BYTES = 32 << 20  # of input, in one piece, once it is unpacked
BATCH_FILES = 1000


@dataclass(frozen=True)
class Piece:
    """Files that are read whole (``form`` is None), or ``ranges`` of one file. ``size`` is in bytes of input, about,
    once it is unpacked."""

    files: tuple[str, ...]
    size: int
    form: Format | None = None
    ranges: tuple[tuple[int, int], ...] = ()


def list_files(root: str, record: SourceRecord) -> list[StoredFile]:
    """Return the regular files at or below a path in name order, without hidden ones. Links are not followed (a loop
    of links cannot trap the walk) and reported. DataError where there is nothing."""
    if is_remote(root):
        return [file for file in list_remote(root) if not _hidden(file.name)]
    path = Path(root).expanduser()
    if not path.exists():
        raise DataError(f"corpus.sources: '{root}' does not exist (and is not one of the built-in source kinds)")
    return [StoredFile(path.name, path.stat().st_size)] if path.is_file() else list(_walk(path, record))


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _walk(root: Path, record: SourceRecord) -> Iterator[StoredFile]:
    def unreadable(error: OSError) -> None:
        path = os.path.relpath(error.filename or root, root)
        record.problem(path, "path", f"not readable ({error.strerror})")

    for folder, folders, names in os.walk(root, onerror=unreadable, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(folders + names):
            path = Path(folder) / name
            relative = path.relative_to(root).as_posix()
            try:
                state = path.lstat()
            except OSError as error:
                unreadable(error)
                continue
            if stat.S_ISLNK(state.st_mode):
                record.problem(relative, "path", "a symbolic link, not followed")
            elif stat.S_ISREG(state.st_mode):
                if not name.startswith("."):
                    yield StoredFile(relative, state.st_size)
            elif not stat.S_ISDIR(state.st_mode):
                record.problem(relative, "path", "neither a file nor a folder (a pipe, socket or device)")


def pieces(root: str, files: Iterable[StoredFile], key: str | None, record: SourceRecord) -> list[Piece]:
    """Cut files into pieces of about ``PIECE_BYTES``: small files together, large ones in ranges where their format
    allows it. DataError where none of the files is of a kind that is read."""
    found: list[Piece] = []
    small: list[StoredFile] = []
    for file in files:
        named = format_of(file.name)
        if named is None:
            record.leave_out("files of another kind")
        elif (size := file.size * named.ratio) <= PIECE_BYTES // 2:
            if small and (_size(small) + size > PIECE_BYTES or len(small) == BATCH_FILES):
                found.append(batch(small))
                small = []
            small.append(replace(file, size=size))
        else:
            found.extend(_large(root, file, named, key, record))
    found.extend([batch(small)] if small else [])
    if not found:
        raise DataError(f"corpus.sources: '{root}' has none of {known_suffixes()} files")
    return found


def batch(files: list[StoredFile]) -> Piece:
    """Return a piece of files that are read whole."""
    return Piece(tuple(file.name for file in files), _size(files))


def _size(files: Iterable[StoredFile]) -> int:
    return sum(file.size for file in files)


def _large(root: str, file: StoredFile, named: Format, key: str | None, record: SourceRecord) -> Iterator[Piece]:
    try:
        with open_file(join(root, file.name)) as stream:
            form, problem = true_format(named, stream.read(SNIFF_BYTES))
            stream.seek(0)
            if problem and form.reader != "none":
                record.problem(file.name, "byte 0", problem)
            cuts = parquet_ranges(stream, key, PIECE_BYTES) if form.reader == "parquet" else _ranges(form, file.size)
    except OSError:
        cuts, form = [], named  # reading it reports what is wrong
    if not cuts:
        yield Piece((file.name,), file.size * form.ratio)
    for first, last, size in cuts:
        yield Piece((file.name,), size, form, ((first, last),))


def _ranges(form: Format, size: int) -> list[tuple[int, int, int]]:
    """Return ranges of the bytes of a file with their sizes, all of it where it is to be spilled, none where it is
    read whole."""
    if form.spills and size * form.ratio > 2 * PIECE_BYTES:
        return [(*WHOLE[0], size * form.ratio)]
    if not form.splits:
        return []
    step = max(PIECE_BYTES // form.ratio, 1)
    edges = [*range(0, size, step), size]
    return [(first, last, (last - first) * form.ratio) for first, last in pairwise(edges)]
