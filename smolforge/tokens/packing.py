"""Packing: how documents of any length become windows of one length.

Input is the document lengths of a source; output is a table of windows, each a run of segments (document, offset,
length), which the reader turns into token arrays. Documents stay apart: the reader masks across their borders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smolforge.tokens.permutation import permutation_key, permute

Ints = NDArray[np.int64]
CHUNK = 8192  # documents packed together: enough for a good fit, few enough that neighbours vary


@dataclass(frozen=True)
class Windows:
    """Window w is the segments from ``first[w]`` up to ``first[w + 1]``.

    Segment s is ``length[s]`` tokens of ``document[s]`` from ``offset[s]``. ``truncated`` documents lost their end,
    ``dropped`` ones are in no window.
    """

    first: Ints
    document: Ints
    offset: Ints
    length: Ints
    truncated: int = 0
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.first) - 1


def document_order(documents: int, *key: int | str) -> Ints:
    """Return a keyed order of ``documents`` indices, int64 (documents,)."""
    return permute(np.arange(documents, dtype=np.int64), documents, permutation_key("documents", *key))


def pack_stream(lengths: Ints, order: Ints, window: int) -> Windows:
    """Lay documents end to end in ``order`` and cut every ``window`` tokens; the last window may be short."""
    run = lengths[order]
    starts, total = np.cumsum(run) - run, int(run.sum())
    cuts = np.union1d(starts[run > 0], np.arange(0, total, window))
    document_rank = np.searchsorted(starts, cuts, side="right") - 1
    # equal starts (empty documents) resolve to the last, which is the one that holds tokens
    length = np.diff(cuts, append=total)
    first = np.searchsorted(cuts, np.arange(0, total, window))
    return Windows(
        np.append(first, len(cuts)).astype(np.int64), order[document_rank], cuts - starts[document_rank], length
    )


def pack_whole(lengths: Ints, order: Ints, window: int) -> Windows:
    """Best-fit decreasing of whole documents, in chunks of ``order``; longer ones are cut to ``window`` and counted.

    Documents of length 0 (nothing to learn from) are left out and counted as dropped.
    """
    fitted = np.minimum(lengths, window)
    rows: list[list[int]] = []
    for begin in range(0, len(order), CHUNK):
        chunk = order[begin : begin + CHUNK]
        chunk = chunk[fitted[chunk] > 0]
        rows += _best_fit_decreasing(chunk, fitted, window)
    document = np.fromiter((d for row in rows for d in row), dtype=np.int64)
    first = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    truncated, dropped = int((lengths > window).sum()), int((lengths <= 0).sum())
    return Windows(first, document, np.zeros_like(document), fitted[document], truncated, dropped)


def _best_fit_decreasing(documents: Ints, lengths: Ints, window: int) -> list[list[int]]:
    """Bit r of ``open_rooms`` is set while some row has r tokens left, so the tightest fit is the lowest set bit."""
    by_length = documents[np.argsort(-lengths[documents], kind="stable")]
    rows: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(window + 1)]
    open_rooms = 0
    for document, length in zip(by_length.tolist(), lengths[by_length].tolist(), strict=True):
        fitting = open_rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            row = by_room[room].pop()
            if not by_room[room]:
                open_rooms ^= 1 << room
        else:
            room, row = window, len(rows)
            rows.append([])
        rows[row].append(document)
        left = room - length
        if left:
            by_room[left].append(row)
            open_rooms |= 1 << left
    return rows


def join(parts: Sequence[Windows]) -> Windows:
    """Return the windows of ``parts`` one after another."""
    first, at = [np.zeros(1, np.int64)], 0
    for part in parts:
        first.append(at + part.first[1:])
        at += int(part.first[-1])
    document, offset, length = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("document", "offset", "length")
    )
    # every part counts the cut and empty documents of the whole source
    truncated, dropped = max(p.truncated for p in parts), max(p.dropped for p in parts)
    return Windows(np.concatenate(first), document, offset, length, truncated, dropped)


def concatenate_ranges(starts: Ints, lengths: Ints) -> Ints:
    """Return [s0, s0+1, …, s0+l0−1, s1, …]: the ranges laid end to end, int64 (sum of lengths,)."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(total) + np.repeat(starts - (ends - lengths), lengths), dtype=np.int64)
