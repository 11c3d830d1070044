"""Reading web archives: whole, cut into ranges, torn, lying and hostile ones."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard
from fastwarc.stream_io import BrotliWriter
from fastwarc.warc import ArchiveIterator

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Document, Verdict
from smolforge.corpus.ingest import Ledger, read_unit, units, warc, warc_records
from smolforge.corpus.ingest.report import SourceRecord
from smolforge.corpus.ingest.warc import read_warc
from smolforge.corpus.rows import Row
from tests.corpus.warc_bytes import article, chunked, http, packed, page
from tests.corpus.warc_bytes import warc as record


def rows(data: bytes, packing: str = "gzip", ranges: Sequence[tuple[int, int]] | None = None) -> list[Row]:
    """Read a WARC file's bytes."""
    span = tuple(ranges) if ranges is not None else ((0, len(data)),)
    return list(read_warc(io.BytesIO(data), packing, span, SourceRecord("test", "", "")))


def urls(found: list[Row]) -> list[str]:
    """Addresses of the rows that hold a page, "!" for a failed one."""
    return ["!" if row.verdict else row.fields["url"].rsplit("/", 1)[-1] for row in found]


def whys(found: list[Row]) -> list[str]:
    return [f"{row.verdict.reason}: {row.verdict.detail}" for row in found if row.verdict]


def test_our_reading_agrees_with_fastwarcs_own() -> None:
    data = b"".join(packed([page(number) for number in range(5)]))
    theirs = [(each.headers["WARC-Target-URI"], each.reader.read()) for each in ArchiveIterator(io.BytesIO(data))]
    ours = [(row.fields["url"], row.page.html) for row in rows(data) if row.page]
    assert ours == theirs
    assert len(ours) == 5


@pytest.mark.parametrize("packing", ["gzip", ""])
def test_two_ranges_own_each_record_once_wherever_they_meet(packing: str) -> None:
    records = [page(number) for number in range(4)] + [record("https://a.example/r", b"x", kind="request")]
    data = b"".join(packed(records) if packing else records)
    whole = rows(data, packing)
    assert urls(whole) == ["0", "1", "2", "3"]
    for cut in range(0, len(data), 53):
        assert rows(data, packing, [(0, cut)]) + rows(data, packing, [(cut, len(data))]) == whole


def test_zstd_archives_are_read_and_ranges_count_unpacked_bytes() -> None:
    records = [page(number) for number in range(3)]
    data = b"".join(zstandard.compress(each) for each in records)
    assert urls(rows(data, "zstd", [(0, 1 << 40)])) == ["0", "1", "2"]
    assert urls(rows(data, "zstd", [(1, 1 << 40)])) == ["1", "2"]


def test_after_a_torn_gzip_member_the_next_ones_are_read_on() -> None:
    members = packed([page(number) for number in range(5)])
    found = rows(b"".join([members[0], members[1][:-40], *members[2:]]))
    assert urls(found) == ["0", "!", "2", "3", "4"]
    assert found[1].position == f"byte{len(members[0])}"


def test_a_flipped_bit_costs_its_record() -> None:
    members = packed([page(number) for number in range(3)])
    broken = bytearray(members[1])
    broken[len(broken) // 2] ^= 0x10
    assert urls(rows(members[0] + bytes(broken) + members[2])) == ["0", "!", "2"]


def test_a_file_that_ends_early_gives_what_came_before() -> None:
    data = b"".join(packed([page(number) for number in range(3)]))
    for lost in (1, 30, 200):
        assert urls(rows(data[:-lost]))[:2] == ["0", "1"]
        assert whys(rows(data[:-lost]))[-1].startswith("damaged WARC record: ")


@pytest.mark.parametrize("length", [99_999_999_999, 90_000, 30, 0])
def test_a_record_that_lies_about_its_length_costs_itself_alone(length: int) -> None:
    records = [page(0), page(1, length=length), page(2), page(3)]
    for data, packing in ((b"".join(packed(records)), "gzip"), (b"".join(records), "")):
        found = rows(data, packing)
        assert [url for url in urls(found) if url != "!"] == ["0", "2", "3"]
        assert found[1].verdict is not None


def test_garbage_between_records_is_reported_with_its_place() -> None:
    data = page(0) + b"no record at all \n" * 50 + page(1)
    found = rows(data, "")
    assert urls(found) == ["0", "!", "1"]
    assert found[1].position == f"byte{len(page(0))}"


def test_a_whole_archive_in_one_gzip_member_is_read_as_a_stream() -> None:
    found = rows(gzip.compress(b"".join(page(number) for number in range(4))))
    assert urls(found) == ["0", "1", "2", "3"]
    assert len({row.position for row in found}) == 4


def test_bodies_are_unpacked_whatever_their_encoding() -> None:
    body = article(7).encode()
    brotli = io.BytesIO()
    writer = BrotliWriter(brotli)
    writer.write(body)
    writer.close()
    encoded = {
        "gzip": http(gzip.compress(body), headers={"Content-Encoding": "gzip"}),
        "brotli": http(brotli.getvalue(), headers={"Content-Encoding": "br"}),
        "chunked": http(chunked(body), headers={"Transfer-Encoding": "chunked"}),
        "both": http(
            chunked(gzip.compress(body)), headers={"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"}
        ),
        "plain": http(body),
    }
    found = rows(b"".join(packed([record(f"https://a.example/{name}", block) for name, block in encoded.items()])))
    assert [row.page.html == body for row in found if row.page] == [True] * 5


def test_a_body_that_is_not_what_its_header_says_is_one_failed_row() -> None:
    block = http(b"not gzip at all", headers={"Content-Encoding": "gzip"})
    found = rows(b"".join(packed([record("https://a.example/x", block), page(1)])))
    assert urls(found) == ["!", "1"]
    assert found[0].fields["url"] == "https://a.example/x"


def test_every_kind_of_record_has_an_outcome() -> None:
    text = b"A plain text of a crawl. "
    ledger = SourceRecord("test", "", "")
    data = b"".join(
        [
            record(
                "https://a.example/info", b"software: x\r\n", kind="warcinfo", content_type="application/warc-fields"
            ),
            record("https://a.example/ask", b"GET / HTTP/1.1\r\n\r\n", kind="request"),
            record("https://a.example/wet", text, kind="conversion", content_type="text/plain"),
            record("https://a.example/res", article().encode(), kind="resource", content_type="text/html"),
            record("https://a.example/dns", b"1.2.3.4", kind="resource", content_type="text/dns"),
            record("https://a.example/404", http(b"<p>gone</p>", status="404 Not Found")),
            record("https://a.example/png", http(b"\x89PNG\r\n", content_type="image/png")),
            record("https://a.example/pdf", http(b"%PDF-1.7 ...", content_type="text/html")),
            record("https://a.example/broken", b"no HTTP here"),
            record("https://a.example/txt", http(text, content_type="text/plain; charset=latin-1")),
        ]
    )
    found = list(read_warc(io.BytesIO(data), "", ((0, len(data)),), ledger))
    outcome = {
        row.fields["url"].rsplit("/", 1)[-1]: row.verdict.reason if row.verdict else row.text or "page" for row in found
    }
    broken = outcome.pop("broken")
    assert broken in ("damaged WARC record", "HTTP status")
    assert outcome == {
        "wet": text.decode(),
        "res": "page",
        "dns": "not a page",
        "404": "HTTP status",
        "png": "not a page",
        "pdf": "not a page",
        "txt": text.decode(),
    }
    assert ledger.left_out == {"WARC records of type warcinfo": 1, "WARC records of type request": 1}


def test_dates_and_truncation_of_the_crawl_are_kept() -> None:
    (found,) = rows(page(1, headers={"WARC-Truncated": "length"}), "")
    assert found.fields["crawl_date"] == "2026-03-01T12:00:00Z"
    assert found.fields["truncated"] == "length"


def test_bombs_and_records_beyond_measure_are_one_row_each(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = http(gzip.compress(bytes(40 << 20)), headers={"Content-Encoding": "gzip"})
    monkeypatch.setattr(warc_records, "MAX_RECORD_BYTES", 1 << 20)
    monkeypatch.setattr(warc, "MAX_ROW_BYTES", 1 << 20)
    huge = record("https://a.example/huge", http(bytes(30 << 20)))
    found = rows(b"".join(packed([record("https://a.example/bomb", bomb), huge, page(2)])))
    assert urls(found) == ["!", "!", "2"]
    assert [why.split(":")[0] for why in whys(found)] == ["page too large", "damaged WARC record"]


def documents(path: Path, **settings: object) -> tuple[list[tuple[Document, Verdict | None]], Ledger]:
    """Read a source by its units."""
    config = CorpusConfig.model_validate({"sources": [str(path)], **settings})
    ledger = Ledger()
    found = []
    for unit in units(config, ledger):
        read = Ledger()
        found.extend(read_unit(unit, config, read))
        ledger.add(read)
    return found, ledger


def test_an_archive_becomes_documents_and_every_page_has_its_outcome(tmp_path: Path) -> None:
    records = [page(1), page(1), record("https://a.example/404", http(b"", status="404 Not Found")), page(2)]
    members = packed(records)
    (tmp_path / "a.warc.gz").write_bytes(b"".join([*members[:3], members[3][:-30]]))
    found, ledger = documents(tmp_path / "a.warc.gz")
    kept = [document for document, verdict in found if verdict is None]
    assert [document.url for document in kept] == ["https://site.example/1"] * 2
    assert len({document.doc_id for document, _ in found}) == 4, "one address twice is two documents"
    assert kept[0].meta["crawl_date"] == "2026-03-01T12:00:00Z"
    assert kept[0].meta["profile"] == "prose"
    assert kept[0].meta["place"] == "file:a.warc.gz#byte0"
    assert [verdict.reason for _, verdict in found if verdict] == ["HTTP status", "damaged WARC record"]
    (source,) = ledger.records.values()
    assert [problem.position for problem in source.problems] == [f"byte{sum(map(len, members[:3]))}"]


def test_a_large_archive_is_cut_into_units_that_give_the_same_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(packed([page(number) for number in range(12)])))
    whole, _ = documents(path)
    monkeypatch.setattr("smolforge.corpus.ingest.folder.PIECE_BYTES", 1500)
    config = CorpusConfig.model_validate({"sources": [str(path)]})
    cut = units(config, Ledger())
    assert len(cut) > 3
    assert documents(path)[0] == whole
    assert len(whole) == 12
    lone = [
        d
        for each in cut
        for at in range(0, each.items, 100)
        for d in read_unit(each.only([(at, at + 100)]), config, Ledger())
    ]
    assert lone == whole, "the items of a unit can be read apart"
