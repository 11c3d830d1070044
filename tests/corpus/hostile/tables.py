"""Hostile tables: CSV, Parquet and Arrow whose bytes, types or promises are wrong."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from tests.corpus.hostile.common import ANY, LOUD, PROBLEM, Hostile, file, good_text, noise, places, quiet
from tests.corpus.hostile.lines import BAD_UTF8

CSV, FAMILY = "cells", "tables"
_ROWS = 8


def inputs() -> Iterator[Hostile]:
    """Yield all hostile tables."""
    yield from _csv()
    yield from _typed()
    yield from _whole_rows()
    yield from _changed("parquet", _parquet(_table("changed"), row_group_size=4), 60, 40)
    yield from _changed("arrow", _arrow(_table("changed")), 30, 20)
    for number, magic in enumerate(
        (b"", b"PAR1", b"PAR1PAR1", b"PARE" + bytes(40) + b"PARE", b"ARROW1", b"\xff\xff\xff\xff", b"x")
    ):
        yield file(FAMILY, f"magic-{number}.parquet", magic, quiet())
        yield file(FAMILY, f"magic-{number}.arrow", magic, quiet())


def _table(name: str) -> pa.Table:
    return pa.table({"text": [good_text(f"{name} {row}", 8) for row in range(_ROWS)], "id": list(range(_ROWS))})


def _parquet(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def _arrow(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return buffer.getvalue()


def _changed(suffix: str, data: bytes, changes: int, cuts: int) -> Iterator[Hostile]:
    """Yield a file with one byte changed, most often in its last third where the promises stand, and cut files."""
    for number in range(changes):
        at = (
            places(len(data), changes)[number]
            if number % 3 == 0
            else len(data) * 2 // 3 + places(len(data) // 3, changes)[number]
        )
        value = (0xFF, 0x80, 0x00)[number % 3]
        changed = data[:at] + bytes([value if data[at] != value else 0x7F]) + data[at + 1 :]
        yield file(FAMILY, f"changed-{number:02d}.{suffix}", changed, quiet())
    for number, end in enumerate(places(len(data), cuts)[:-1]):
        yield file(FAMILY, f"cut-{number:02d}.{suffix}", data[:end], LOUD)


def _typed() -> Iterator[Hostile]:
    """Yield tables whose column of texts holds something else."""
    kinds: dict[str, Any] = {
        "int": pa.array([1, 2]), "float": pa.array([1.5, None]), "bool": pa.array([True, False]), "null": pa.nulls(2),
        "binary": pa.array([b"a", b"\xff"]), "list": pa.array([["a"], []]), "struct": pa.array([{"a": "b"}, None]),
        "date": pa.array([1, 2], pa.date32()), "time": pa.array([1, 2], pa.timestamp("ns")), "map": pa.array([[("a",
        1)], []], pa.map_(pa.string(), pa.int8())),
        "deep": pa.array([[[[["a"]]]], []]), "decimal": pa.array([1, 2], pa.decimal128(38, 5)), "half": pa.array([1,
        2], pa.uint8()),
        "dictionary-int": pa.array([1, 1]).dictionary_encode(), "fixed": pa.array([b"abcd", b"efgh"], pa.binary(4)),
    }  # fmt: skip
    for name, column in kinds.items():
        yield file(FAMILY, f"type-{name}.parquet", _parquet(pa.table({"text": column})), LOUD)
        yield file(FAMILY, f"type-{name}.arrow", _arrow(pa.table({"text": column})), LOUD)
    wide = pa.table({f"c{number}": [1] for number in range(3000)})
    yield file(FAMILY, "wide.parquet", _parquet(wide), LOUD)
    yield file(FAMILY, "wide.arrow", _arrow(wide), LOUD)
    twice = pa.table([["a b c"], ["d e f"]], names=["text", "text"])
    yield file(FAMILY, "twice.parquet", _parquet(twice), LOUD)
    yield file(FAMILY, "twice.arrow", _arrow(twice), LOUD)
    empty = pa.table({"text": pa.array([], pa.string())})
    yield file(FAMILY, "no-rows.parquet", _parquet(empty), quiet())
    yield file(FAMILY, "no-rows.arrow", _arrow(empty), quiet())
    yield file(FAMILY, "no-columns.parquet", _parquet(pa.table({})), LOUD)
    yield file(FAMILY, "nulls.parquet", _parquet(pa.table({"text": pa.array([None] * 5000, pa.string())})), quiet())
    yield file(FAMILY, "groups.parquet", _parquet(pa.table({"text": ["x"] * 2000}), row_group_size=1), ANY)
    yield file(
        FAMILY, "huge-cell.parquet", lambda: _parquet(pa.table({"text": ["a" * (17 << 20)]}), compression="zstd"), LOUD
    )
    long = pa.table({"text": ["b" * (1 << 20)] * 50})  # a dictionary of one value: 50 MB from a few bytes
    yield file(FAMILY, "repeated.parquet", _parquet(long, compression="zstd"), ANY)


def _whole_rows() -> Iterator[Hostile]:
    """Yield tables in which a row is no text and those beside it are."""
    for number, bad in enumerate(BAD_UTF8):
        name = f"bytes-{number:02d}"
        before, after = good_text(f"{name} before"), good_text(f"{name} after")
        values = pa.array([before.encode(), b"text " + bad, after.encode()])
        table = pa.table({"text": values.view(pa.string())})
        suffix, data = ("parquet", _parquet(table)) if number % 2 else ("arrow", _arrow(table))
        yield file(FAMILY, f"{name}.{suffix}", data, ANY if bad.isascii() else LOUD, (before, after))
    for number, index in enumerate((-1, 5, 1 << 20)):
        column = pa.DictionaryArray.from_arrays(pa.array([0, index], pa.int32()), pa.array(["a"]), safe=False)
        yield file(FAMILY, f"index-{number}.arrow", _arrow(pa.table({"text": column})), LOUD)


def _csv() -> Iterator[Hostile]:
    text = good_text("cell", 4)
    found: dict[str, bytes | Callable[[], bytes]] = {
        "unclosed": b'text,id\n"' + text.encode() + b"\n" * 50,
        "quotes": b'text,id\n"a""b"c,1\n"""",2\n"x" y,3\n',
        "quote-flood": b"text,id\n" + b'"' * 300_001 + b"\n",
        "huge-cell": lambda: b"text,id\n" + b"a" * (17 << 20) + b",1\n",
        "huge-quoted": lambda: b'text,id\n"' + (b"a" * 999 + b"\n") * 17_500 + b'",1\n',
        "mixed": b"text;id\na,b\nc;d\te|f\n" + text.encode() + b";1\n",
        "mark": b"\xef\xbb\xbftext,id\n" + text.encode() + b",1\n",
        "marks": b"\xef\xbb\xbf\xef\xbb\xbftext,id\n" + text.encode() + b",1\n",
        "cr": b"text,id\r" + text.encode() + b",1\r",
        "crs": b"text,id\r\n\r\r\n" + text.encode() + b",1\r\r\n",
        "nul": b"te\0xt,id\na\0b,1\n",
        "nuls": bytes(5000),
        "header-alone": b"text,id\n",
        "no-header": text.encode() + b"\n",
        "twice": b"text,text,id\na,b,1\n",
        "no-text": b"a,b\n1,2\n",
        "ragged": b"text,id\n" + b"a\n" * 300 + b"a,b,c,d\n" * 300,
        "wide": lambda: b"text," + b"c," * 50_000 + b"\n" + b"a," * 50_001 + b"\n",
        "commas": lambda: b"text,id\n" + b"," * 2_000_000 + b"\n",
        "utf-16": ("text,id\n" + text + ",1\n").encode("utf-16"),
        "utf-32": ("text,id\n" + text + ",1\n").encode("utf-32"),
        "noise": noise("csv", 5000),
        "noise-rows": b"text,id\n" + noise("csv rows", 5000),
        "blank": b"\n" * 5000,
        "blank-cells": b"text,id\n" + b" ,1\n" * 500,
        "zero": b"",
        "formula": b"text,id\n=cmd|' /C calc'!A0,1\n",
        "header-open": b'"text,id\na,1\n',
        "header-quotes": b'"te"xt,"id\n' + text.encode() + b",1\n",
        "tabs": b"text\tid\n" + text.encode() + b"\t1\n",
        "zip": b"PK\x03\x04" + noise("zip", 500),
        "one-line": lambda: b"text," + b"x" * (17 << 20),
    }
    for name, data in found.items():
        yield file(
            CSV,
            f"{name}.csv",
            data,
            quiet() if name in ("blank", "blank-cells", "zero", "header-alone", "nuls", "no-header") else ANY,
        )
    for number, bad in enumerate(BAD_UTF8[:12]):
        yield file(CSV, f"bytes-{number}.csv", b"text,id\n" + text.encode() + bad + b",1\n")
    good = good_text("packed cell")
    rows = f"text,id\n{good},1\n".encode() + b"".join(f"{good_text(f'cell {n}', 3)},2\n".encode() for n in range(40))
    packed = gzip.compress(rows, mtime=0)
    for number, end in enumerate(places(len(packed), 12)[:-1]):
        yield file(CSV, f"cut-{number:02d}.csv.gz", packed[:end], LOUD)
    yield file(CSV, "bomb.csv.gz", lambda: gzip.compress(b"text,id\n" + bytes(100_000_000), 1, mtime=0), quiet())
    yield file(
        CSV,
        "bomb-cell.csv.gz",
        lambda: gzip.compress(b"text,id\n" + b"a" * 100_000_000, 1, mtime=0),
        frozenset({PROBLEM}),
    )
