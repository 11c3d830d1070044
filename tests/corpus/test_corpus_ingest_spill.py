"""Large packed files and tables as text are copied into pieces, and these give what the whole file gives."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Document, Verdict
from smolforge.corpus.engine import Runner
from smolforge.corpus.engine.inline import InlineLauncher
from smolforge.corpus.ingest import Ledger, Unit, read_unit, units
from smolforge.corpus.spill_job import spill_large
from smolforge.corpus.stage import SCRATCH, run
from smolforge.store import QuietProgress, StageContext, read_json
from tests.corpus.warc_bytes import page

TEXTS = [text for _, text in sorted(topics.items()) if 800 < len(text) < 8000][:60]
LONGEST = 12_000  # of a line or cell, in these tests
PIECE = "smolforge.corpus.ingest.folder.PIECE_BYTES"


def json_lines() -> bytes:
    """Real texts between an empty line, one that is no JSON, one without text, and two that are too long."""
    lines = [json.dumps({"text": text}).encode() for text in TEXTS]
    lines[7:7] = [b"", b"{not json", b'{"title": "no text"}']
    lines[20:20] = [b'{"text": "' + b"x" * LONGEST + b'"}', b"x" * (LONGEST - 1)]
    lines[30:30] = [b"x" * LONGEST, b"x" * (LONGEST + 1), b"x" * (3 * LONGEST)]
    return b"\n".join(lines)


def table() -> bytes:
    """Rows with line ends inside quotes, an empty row, one of three cells, one with a cell beyond all measure, and
    two whose quotes never end."""
    rows = [f'{number},"{text.replace(chr(34), chr(34) * 2)}"' for number, text in enumerate(TEXTS)]
    rows[5:5] = ["", "1,2,3"]
    rows[25:25] = ['9,"never closed', "", "1,short"]
    rows[15:15] = [f'9,"{"long " * LONGEST}"', f"9,{'x' * 3 * LONGEST}"]
    return ("id,text\n" + "\n".join(rows) + '\n99,"no end\n to it').encode()


def records() -> bytes:
    """Pages between a record whose length lies, bytes that are none, and one with fewer line ends than it should."""
    salts = (
        "".join(hashlib.sha512(b"%d %d" % (n, i)).hexdigest() for i in range(20)) for n in range(24)
    )  # hardly packed
    found = [page(number, headers={"X-Salt": salt}) for number, salt in enumerate(salts)]
    found[4] = re.sub(rb"(?<=Content-Length: )\d+", b"9", found[4], count=1)
    found[9] = found[9][:-2]
    found[15] = b"no record at all\r\n" * 40
    return b"".join(found)


GZIP: Callable[[bytes], bytes] = gzip.compress
CASES = {
    "lines.jsonl.gz": (json_lines, GZIP),
    "members.jsonl.gz": (json_lines, lambda data: GZIP(data[:9000]) + GZIP(data[9000:])),
    "torn.jsonl.gz": (json_lines, lambda data: GZIP(data)[:-4000]),
    "lines.jsonl.zst": (json_lines, zstandard.compress),
    "torn.jsonl.zst": (json_lines, lambda data: zstandard.compress(data)[:-3000]),
    "empty.jsonl.gz": (lambda: b"", GZIP),
    "rows.csv": (table, bytes),
    "rows.csv.gz": (table, GZIP),
    "torn.csv.gz": (table, lambda data: GZIP(data)[:-4000]),
    "records.warc.zst": (records, zstandard.compress),
    "torn.warc.zst": (records, lambda data: b"".join(map(zstandard.compress, (data[:90_000], data[90_000:])))[:-300]),
    "damage.warc.zst": (lambda: b"WARC/1.1 " * 3000, zstandard.compress),
    "header.csv.zst": (lambda: b"id,text\n", zstandard.compress),
}


def configured(path: Path, **settings: Any) -> CorpusConfig:
    return CorpusConfig.model_validate({"sources": [{"kind": "folder", "path": str(path), **settings}]})


def spilled(config: CorpusConfig, scratch: Path, ledger: Ledger) -> list[Unit]:
    with Runner(scratch, config, QuietProgress(), InlineLauncher()) as runner:
        found, gone = spill_large(units(config, ledger), config, runner, scratch)
    assert not gone
    return found


def read(found: list[Unit], config: CorpusConfig, ledger: Ledger) -> list[tuple[Document, Verdict | None]]:
    rows: list[tuple[Document, Verdict | None]] = []
    for unit in found:
        part = Ledger()
        rows += read_unit(Unit.from_json(json.loads(json.dumps(unit.as_json()))), config, part)
        ledger.add(part)
    return rows


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("piece", [1, 5_000, 20_000])
def test_pieces_give_the_rows_numbers_and_problems_of_the_whole_file(
    name: str, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("jsonl", "csv_file"):
        monkeypatch.setattr(f"smolforge.corpus.ingest.{module}.MAX_ROW_BYTES", LONGEST)
    content, pack = CASES[name]
    path = tmp_path / name
    path.write_bytes(pack(content()))
    config, expected, ledger = configured(path, rules="notes"), Ledger(), Ledger()
    whole = read(units(config, expected), config, expected)
    monkeypatch.setattr(PIECE, piece)
    cut = spilled(config, tmp_path / "scratch", ledger)
    assert (len(cut) > 3) == (len(content()) > 1000 and "damage" not in name)
    assert read(cut, config, ledger) == whole
    assert ledger.as_json() == expected.as_json()


def test_a_row_of_a_piece_can_be_left_out_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines.jsonl.gz"
    path.write_bytes(gzip.compress(json_lines()))
    monkeypatch.setattr(PIECE, 15_000)
    config = configured(path)
    second = spilled(config, tmp_path / "scratch", Ledger())[1]
    every = read([second], config, Ledger())
    without = second.only(((0, 2), (3, second.items)))
    assert read([without], config, Ledger()) == every[:2] + every[3:]


def test_what_unpacks_to_a_thousand_times_its_size_takes_little_disk(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b"\0" * (80 << 20) + b"\n" + json_lines()))
    folder = tmp_path / "pieces"
    config = configured(path)
    whole = Unit(0, ("bomb",), "jsonl", (path.name,), "gzip", ((0, 1 << 40),))
    with Runner(folder, config, QuietProgress(), InlineLauncher()) as runner:
        (unit, *_), _ = spill_large([whole], config, runner, folder)
    assert unit.size < 20 << 20, "of a line beyond all measure no more than shows that it is one"
    assert sum(file.stat().st_size for file in folder.rglob("*.zst")) < 1 << 20


def test_little_of_a_large_file_is_read_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines.jsonl.gz"
    path.write_bytes(gzip.compress(json_lines()))
    monkeypatch.setattr(PIECE, 10_000)
    (little,), (much,) = (units(configured(path, max_bytes=share), Ledger()) for share in (10_000, 10_001))
    assert (little.spills, much.spills) == (False, True)


def test_the_stage_keeps_every_row_of_a_torn_archive_and_names_the_tear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, work = tmp_path / "torn.jsonl.gz", tmp_path / "work"
    path.write_bytes(gzip.compress(json_lines())[:-4000])
    config = configured(path, rules="notes").model_copy(update={"workers": 2})
    ledger = Ledger()
    whole = read(units(config, ledger), config, ledger)
    monkeypatch.setattr(PIECE, 15_000)
    run(config, StageContext(work, {}, 7))
    assert len([each for each in (work / SCRATCH / "read").iterdir() if each.is_dir()]) > 4
    rows = [row for name in ("kept", "held_out", "dropped") for row in pq.read_table(work / name).to_pylist()]
    assert sorted(row["doc_id"] for row in rows) == sorted(document.doc_id for document, _ in whole)
    assert read_json(work / "sources.json") == ledger.as_json()
    assert ledger.as_json()[0]["problems"][-1]["position"].startswith("after line")


def test_a_file_that_no_process_survives_copying_is_one_dropped_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.jsonl").write_bytes(json_lines())
    # one character beyond the basic plane makes four bytes of each of the others, twice
    row = f"1,\U0001f600{'x' * (15 << 20)}\n".encode()
    (tmp_path / "in" / "wide.csv.gz").write_bytes(gzip.compress(b"id,text\n" + row * 5, 1))
    monkeypatch.setattr(PIECE, 100_000)
    config = configured(tmp_path / "in", rules="notes").model_copy(update={"memory_mib": 96})
    run(config, StageContext(tmp_path / "work", {}, 7))
    dropped = pq.read_table(tmp_path / "work" / "dropped").to_pylist()
    (lost,) = [row for row in dropped if row["step"] == "poisoned"]
    assert lost["url"] == "file:wide.csv.gz" and lost["detail"] == "took more than 96 MiB of memory"
    assert pq.read_table(tmp_path / "work" / "kept").num_rows > len(TEXTS) // 2
