"""Plain text and web pages of a person's own: a file is a document, and a large text is read in blocks.

Input: an open file. Output: its text, or a page to extract; what is not text is reported with its first bad byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from smolforge.corpus.ingest.packed import SNIFF_BYTES, sniff
from smolforge.corpus.ingest.report import SourceRecord
from smolforge.corpus.rows import MAX_ROW_BYTES, Page, Row, failed

BLOCK_BYTES = 8 << 20
MAX_BAD_SHARE = 0.01  # of characters that are not text; above it a file is not text
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(file: BinaryIO, relative: str, record: SourceRecord) -> Iterator[Row]:
    """Yield the text of a file, in blocks cut at the end of a paragraph or line where it is long."""
    position, rest = 0, b""
    while block := file.read(BLOCK_BYTES - len(rest)):
        if position == 0 and (kind := sniff(block[:SNIFF_BYTES])):
            yield failed("", "not text", f"named like text, but begins like {kind} data")
            return
        if position == 0 and block.startswith(_UTF16) and len(block) == BLOCK_BYTES:
            yield failed("", "file too large", f"UTF-16 text is read up to {BLOCK_BYTES} bytes; store it as UTF-8")
            return
        data = rest + block
        end = len(data) if len(data) < BLOCK_BYTES else _cut(data)
        yield _decoded(data[:end], position, relative, record)
        position, rest = position + end, data[end:]
    if rest:
        yield _decoded(rest, position, relative, record)


def _cut(data: bytes) -> int:
    """Return where a block of a longer text ends: after a paragraph, a line, a word, at worst a whole character."""
    for mark in (b"\n\n", b"\n", b" "):
        at = data.rfind(mark, len(data) // 2)
        if at >= 0:
            return at + len(mark)
    end = len(data)
    while end > len(data) - 4 and data[end - 1] & 0xC0 == 0x80:
        end -= 1
    return end - 1


def _decoded(data: bytes, position: int, relative: str, record: SourceRecord) -> Row:
    place = f"byte{position}" if position else ""
    text, bad = decode(data)
    if text is None:
        detail = f"byte {position + bad}: binary data or another encoding than UTF-8"
        return failed(place, "not text", detail)
    if bad >= 0:
        record.problem(relative, f"byte {position + bad}", "characters that are not UTF-8 text, left out")
    return Row(place, text)


def decode(data: bytes) -> tuple[str | None, int]:
    """Return bytes as text without what is not UTF-8 (or UTF-16 with a mark), and the first such byte (-1: none).

    None as text where more than ``MAX_BAD_SHARE`` of the characters are no text.
    """
    if data.startswith(_UTF16):
        text = data.decode("utf-16", "replace")
    else:
        text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    bad = text.count("\0") + text.count("\ufffd")
    if bad > MAX_BAD_SHARE * len(text):
        return None, _first_bad(data)
    if bad:
        text = text.replace("\0", "").replace("\ufffd", "")
    return text.replace("\r\n", "\n").replace("\r", "\n"), _first_bad(data) if bad else -1


def _first_bad(data: bytes) -> int:
    zero = data.find(b"\0")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start if zero < 0 else min(zero, error.start)
    return max(zero, 0)


def read_html(file: BinaryIO) -> Iterator[Row]:
    """Yield a file as one page."""
    data = file.read(MAX_ROW_BYTES + 1)
    if len(data) > MAX_ROW_BYTES:
        yield failed("", "page too large", f"more than {MAX_ROW_BYTES} bytes")
    elif kind := sniff(data[:SNIFF_BYTES]):
        yield failed("", "not a page", f"named like a page, but begins like {kind} data")
    else:
        yield Row("", page=Page(data))
