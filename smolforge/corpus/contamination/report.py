"""What was found of each benchmark: items hit, documents that hold them, shares.

Input: the index, and (document, match) pairs from any number of shards. Output: one row a benchmark.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from smolforge.corpus.contamination.index import ContaminationIndex


@dataclass(frozen=True)
class BenchmarkRow:
    """``searchable`` of the ``items`` can be found, ``hit`` were; ``documents`` hold at least one; shares of 1."""

    benchmark: str
    items: int
    searchable: int
    hit: int
    share_hit: float
    documents: int
    share_of_documents: float


def benchmark_rows(
    index: ContaminationIndex, hits: Iterable[tuple[str, str, str]], documents: int
) -> list[BenchmarkRow]:
    """Return a row a benchmark, by name. ``hits``: (doc_id, benchmark, item); ``documents``: how many were searched."""
    items = Counter(benchmark for benchmark, _ in index.names)
    searchable = Counter(name for (name, _), found in zip(index.names, index.searchable, strict=True) if found)
    held: dict[str, set[str]] = defaultdict(set)
    hit: dict[str, set[str]] = defaultdict(set)
    for doc_id, benchmark, item in hits:
        held[benchmark].add(doc_id)
        hit[benchmark].add(item)
    return [
        BenchmarkRow(
            name, items[name], searchable[name], len(hit[name]), len(hit[name]) / items[name],
            len(held[name]), len(held[name]) / max(1, documents),
        )
        for name in sorted(items)
    ]  # fmt: skip


def as_text(rows: Iterable[BenchmarkRow]) -> str:
    """Return the rows as a table for a terminal."""
    lines = [f"{'benchmark':<24}{'items':>8}{'findable':>10}{'hit':>8}{'documents':>11}{'share':>10}"]
    lines += [
        f"{r.benchmark:<24}{r.items:>8}{r.searchable:>10}{r.hit:>8}{r.documents:>11}{r.share_of_documents:>10.4%}"
        for r in rows
    ]
    return "\n".join(lines)


def as_json(rows: Iterable[BenchmarkRow]) -> list[dict[str, object]]:
    """Return the rows as JSON values."""
    return [asdict(row) for row in rows]
