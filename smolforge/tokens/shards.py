"""Token shards: documents as one flat array of ids on disk, memory-mapped when read.

Input is token ids of the tokenize stage; output is a folder of ``tokens.bin``, ``document_ends.bin``,
``supervised.bin`` (absent when every token is a target), ``difficulty.bin`` (where documents have one) and
``shard.json``, which reader and evaluation open.
"""

from __future__ import annotations

import json
import math
import shutil
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import DataError, FormatError
from smolforge.store import fsync_tree, write_json
from smolforge.store.atomic import fsync_path, part_path

TOKENS, ENDS, SUPERVISED, HEADER = "tokens.bin", "document_ends.bin", "supervised.bin", "shard.json"
DIFFICULTY = "difficulty.bin"


@dataclass(frozen=True)
class ShardHeader:
    """``shard.json``: counts, the token dtype, the digest of the tokenizer, and the UTF-8 bytes of the text."""

    name: str
    dtype: str
    tokens: int
    documents: int
    supervised_tokens: int
    tokenizer: str
    bytes: int


class ShardWriter:
    """Write documents one by one into ``folder``; nothing is there until ``close`` renames the finished folder.

    As a context manager it closes on success and removes what it wrote when an exception passes through.
    """

    def __init__(self, folder: Path, *, vocab_size: int, tokenizer: str, name: str | None = None) -> None:
        self.folder, self.name, self.tokenizer, self.vocab_size = folder, name or folder.name, tokenizer, vocab_size
        self.dtype = "uint16" if vocab_size <= 1 << 16 else "uint32"
        self._part = part_path(folder)
        self._part.mkdir(parents=True)
        self._tokens: IO[bytes] = (self._part / TOKENS).open("wb")
        self._supervised: IO[bytes] = (self._part / SUPERVISED).open("wb")
        self._ends, self._difficulty = array("Q"), array("f")
        self._supervised_tokens, self._bytes = 0, 0
        self.header: ShardHeader  # set by close

    def add(self, ids: Sequence[int] | NDArray[Any], mask: Sequence[int] | NDArray[Any] | None = None, *,
            text_bytes: int = 0, difficulty: float | None = None) -> None:  # fmt: skip
        """Append one document: ``ids`` (n,), ``mask`` (n,) of 0/1 targets (None: all are). DataError when it is bad.

        ``difficulty`` is a finite number for every document of a shard, or for none.
        """
        row = np.asarray(ids, dtype=np.int64)
        if row.ndim != 1 or row.size == 0:
            raise DataError(f"shard '{self.name}': document {len(self._ends)} is empty")
        if row.min() < 0 or row.max() >= self.vocab_size:
            raise DataError(
                f"shard '{self.name}': document {len(self._ends)} has an id outside 0..{self.vocab_size - 1}"
            )
        targets = np.ones(row.size, np.uint8) if mask is None else np.asarray(mask, dtype=np.uint8)
        if targets.shape != row.shape or targets.max() > 1:
            raise DataError(f"shard '{self.name}': document {len(self._ends)} needs one 0/1 mask value for each token")
        if difficulty is not None:
            if not math.isfinite(difficulty):
                raise DataError(f"shard '{self.name}': document {len(self._ends)} has difficulty {difficulty}")
            self._difficulty.append(difficulty)
        if len(self._difficulty) not in (0, len(self._ends) + 1):
            raise DataError(f"shard '{self.name}': document {len(self._ends)} has no difficulty, and others have")
        self._tokens.write(row.astype(f"<{np.dtype(self.dtype).str[1:]}").tobytes())
        self._supervised.write(targets.tobytes())
        self._ends.append((self._ends[-1] if self._ends else 0) + row.size)
        self._supervised_tokens += int(targets.sum())
        self._bytes += text_bytes

    def close(self) -> ShardHeader:
        """Flush, write the header and rename the folder into place (an older shard there is replaced)."""
        self._tokens.close()
        self._supervised.close()
        (self._part / ENDS).write_bytes(np.asarray(self._ends, dtype="<u8").tobytes())
        if self._difficulty:
            (self._part / DIFFICULTY).write_bytes(np.asarray(self._difficulty, dtype="<f4").tobytes())
        tokens = self._ends[-1] if self._ends else 0
        if self._supervised_tokens == tokens:
            (self._part / SUPERVISED).unlink()
        header = ShardHeader(
            self.name, self.dtype, tokens, len(self._ends), self._supervised_tokens, self.tokenizer, self._bytes
        )
        write_json(self._part / HEADER, asdict(header))
        fsync_tree(self._part)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._part.rename(self.folder)
        fsync_path(self.folder.parent)
        self.header = header
        return header

    def abort(self) -> None:
        """Remove everything that ``close`` did not rename into place."""
        self._tokens.close()
        self._supervised.close()
        shutil.rmtree(self._part, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self.abort()


@dataclass(frozen=True)
class Shard:
    """An open shard: ``tokens`` (n,) uint16 or uint32; ``ends`` (documents,) exclusive; ``supervised`` (n,) or None;
    ``difficulty`` (documents,) float32 or None."""

    path: Path
    header: ShardHeader
    tokens: NDArray[Any]
    ends: NDArray[np.int64]
    supervised: NDArray[np.uint8] | None
    difficulty: NDArray[np.float32] | None = None

    @classmethod
    def open(cls, path: Path, *, tokenizer: str | None = None) -> Shard:
        """Open a shard folder; FormatError when a file is torn, DataError when made with another tokenizer."""
        header = _read_header(path)
        if tokenizer is not None and header.tokenizer != tokenizer:
            raise DataError(
                f"{path}: made with tokenizer {header.tokenizer}, but this run uses {tokenizer}; tokenize again"
            )
        tokens = _map(path / TOKENS, f"<{np.dtype(header.dtype).str[1:]}", header.tokens)
        ends = _map(path / ENDS, "<u8", header.documents).astype(np.int64)
        masked = header.supervised_tokens != header.tokens
        supervised = _map(path / SUPERVISED, "u1", header.tokens) if masked else None
        if np.any(np.diff(ends, prepend=0) <= 0) or (int(ends[-1]) if ends.size else 0) != header.tokens:
            raise FormatError(f"{path / ENDS}: document ends do not rise to {header.tokens} tokens")
        graded = (path / DIFFICULTY).is_file()
        difficulty = _map(path / DIFFICULTY, "<f4", header.documents) if graded else None
        return cls(path, header, tokens, ends, supervised, difficulty)

    def __len__(self) -> int:
        return len(self.ends)

    def document(self, index: int) -> NDArray[np.int64]:
        """Return the ids of one document, int64 (length,)."""
        start = int(self.ends[index - 1]) if index else 0
        return np.asarray(self.tokens[start : int(self.ends[index])], dtype=np.int64)

    def document_mask(self, index: int) -> NDArray[np.uint8]:
        """Return the 0/1 targets of one document, uint8 (length,)."""
        start, end = int(self.ends[index - 1]) if index else 0, int(self.ends[index])
        return np.ones(end - start, np.uint8) if self.supervised is None else np.array(self.supervised[start:end])


def _read_header(path: Path) -> ShardHeader:
    try:
        header = ShardHeader(**json.loads((path / HEADER).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise FormatError(f"{path}: no {HEADER}; not a token shard") from None
    except (TypeError, ValueError) as error:
        raise FormatError(f"{path / HEADER}: not a shard header ({error})") from None
    if header.dtype not in ("uint16", "uint32"):
        raise FormatError(f"{path / HEADER}: dtype '{header.dtype}', expected uint16 or uint32")
    return header


def _map(path: Path, dtype: str, count: int) -> NDArray[Any]:
    wanted = count * np.dtype(dtype).itemsize
    size = path.stat().st_size if path.is_file() else -1
    if size != wanted:
        raise FormatError(
            f"{path}: {'missing' if size < 0 else f'{size} bytes'}, expected {wanted} ({count} × {dtype})"
        )
    if count == 0:
        return np.empty(0, dtype)
    # a plain view: indexing an np.memmap builds a subclass object each time, which costs more than the read
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))
