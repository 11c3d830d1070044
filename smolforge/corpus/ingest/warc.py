"""Web archives: the pages and texts of a WARC file, each record with a clear outcome.

Input: an open WARC file and a byte range. Output: a row a response, resource or conversion record: a page to extract, a
text (WET), or why there is none. Other kinds of record are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from smolforge.corpus.document import Verdict
from smolforge.corpus.ingest.packed import SNIFF_BYTES, sniff
from smolforge.corpus.ingest.report import SourceRecord
from smolforge.corpus.ingest.warc_records import Found, records
from smolforge.corpus.rows import MAX_ROW_BYTES, Page, Row, failed
from smolforge.errors import MissingDependencyError

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_TEXT_TYPES = frozenset({"text/plain", "text/markdown"})
_READ_BYTES = 128 << 10
DAMAGED = "damaged WARC record"
_READ = ("response", "resource", "conversion")


def read_warc(
    file: BinaryIO, packing: str, ranges: tuple[tuple[int, int], ...], record: SourceRecord, begins: int = 0
) -> Iterator[Row]:
    """Yield the rows of the records that begin in ``ranges``, bytes of the file (unpacked ones where it is packed with
    zstd, and ``begins`` of them came before a spilled piece)."""
    for first, last in ranges:
        for found in records(file, packing, first, last, begins):
            position = f"byte{found.byte}" + (f"+{found.inner}" if found.inner else "")
            if found.problem:
                yield failed(position, DAMAGED, found.problem)
            else:
                yield from _rows(position, found, record)


def _rows(position: str, found: Found, record: SourceRecord) -> Iterator[Row]:
    try:
        from fastwarc.warc import WarcRecord
    except ImportError:
        raise MissingDependencyError("fastwarc", "data", "reading WARC files") from None
    fields: dict[str, Any] = {}
    try:
        warc = WarcRecord.from_bytes(found.data)
        kind = str(warc.headers.get("WARC-Type", "")).lower()
        if kind in _READ:
            fields = _fields(warc.headers)
            yield _row(position, warc, kind, fields)
        else:
            record.leave_out(f"WARC records of type {kind if kind.isalpha() else 'unknown'}")
    except (OSError, ValueError) as error:
        yield failed(position, DAMAGED, str(error), fields)


def _row(position: str, warc: Any, kind: str, fields: dict[str, Any]) -> Row:
    """Return the row of a record; OSError where its HTTP message is broken."""
    mime, charset = _content_type(warc.headers.get("Content-Type", ""))
    if kind == "response":
        if mime != "application/http":
            return _refused(position, "not an HTTP response", mime or "no Content-Type", fields)
        warc.parse_http(auto_decode="all", quirks_mode=True)
        headers = warc.http_headers
        if headers.status_code != 200:
            return _refused(position, "HTTP status", str(headers.status_code), fields)
        mime, charset = _content_type(headers.get("Content-Type", ""))
    data = _read(warc.reader)
    if len(data) > MAX_ROW_BYTES:
        return _refused(position, "page too large", f"more than {MAX_ROW_BYTES} bytes unpacked", fields)
    if mime in (*HTML_TYPES, *_TEXT_TYPES) and (kind := sniff(data[:SNIFF_BYTES])):
        return _refused(position, "not a page", f"{mime} that begins like {kind} data", fields)
    if mime in HTML_TYPES or (not mime and data.lstrip()[:1] == b"<"):
        return Row(position, fields=fields, page=Page(data, charset, crawled=True))
    if mime in _TEXT_TYPES:
        text = _text(data, charset)
        if data.strip() and not text.strip():
            return _refused(position, "not text", f"no characters of {charset or 'utf-8'}", fields)
        return Row(position, text=text, fields=fields)
    return _refused(position, "not a page", mime or "no Content-Type", fields)


def _read(reader: Any) -> bytes:
    """Return an unpacked payload; a longer one than ``MAX_ROW_BYTES`` is broken off behind that."""
    parts, size = [], 0
    while size <= MAX_ROW_BYTES and (part := reader.read(_READ_BYTES)):  # it reserves what it is asked for
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _refused(position: str, reason: str, detail: str, fields: dict[str, Any]) -> Row:
    """Return a row for a record that is whole but holds no text: dropped, and no problem of the file."""
    return Row(position, fields=fields, verdict=Verdict("extract", reason, detail))


def _fields(headers: Any) -> dict[str, Any]:
    found = {"url": headers.get("WARC-Target-URI", "").strip("<>"), "crawl_date": headers.get("WARC-Date", "")}
    if truncated := headers.get("WARC-Truncated", ""):
        found["truncated"] = truncated
    return found | {"profile": "prose"}


def _content_type(value: str) -> tuple[str, str]:
    """Return (MIME type, charset) of a Content-Type header, both lower case and "" where absent."""
    mime, *parameters = (part.strip() for part in value.lower().split(";"))
    charsets = (each.partition("=")[2].strip("\"' ") for each in parameters if each.startswith("charset="))
    return mime, next(charsets, "")


def _text(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset or "utf-8", "replace").replace("\ufffd", "").replace("\0", "")
    except LookupError:
        return data.decode("utf-8", "ignore").replace("\0", "")
