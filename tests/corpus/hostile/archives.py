"""Hostile web archives: torn, lying, bombs, damaged between and inside records. Each file holds good texts as well."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator

import zstandard
from fastwarc.stream_io import BrotliWriter

from tests.corpus.hostile.common import (
    ANY,
    DROPPED,
    LOUD,
    PROBLEM,
    TEXT,
    Hostile,
    file,
    good_text,
    noise,
    places,
    quiet,
)
from tests.corpus.warc_bytes import article, chunked, http, page
from tests.corpus.warc_bytes import warc as record

FAMILY = "archives"
_SAID = frozenset({PROBLEM, DROPPED})
_NEXT = b"WARC/1.0\r\nWARC-Type: response\r\n"


def wet(name: str) -> tuple[str, bytes]:
    """Return a good text and its record."""
    text = good_text(name)
    return text, record(f"https://good.example/{name}", text.encode(), kind="conversion", content_type="text/plain")


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def inputs() -> Iterator[Hostile]:
    """Yield all hostile archives."""
    yield from _cut_off()
    yield from _damaged_inside()
    for packing in ("", ".gz"):
        yield from _surrounded("record", _records(), packing)
    yield from _surrounded("body", _bodies(), ".gz")
    yield from _surrounded("member", _members(), ".gz", packed=True)


def _cut_off() -> Iterator[Hostile]:
    """Yield archives that end at every kind of place."""
    for suffix, pack, count in (("", bytes, 45), (".gz", gz, 45), (".zst", zstandard.compress, 20)):
        for number in range(count):
            name = f"cut-{number:02d}.warc{suffix}"
            pieces = [wet(f"{name} {at}") for at in range(3)]
            packed = [pack(each) for _, each in pieces]
            data = b"".join(packed)
            end = places(len(data), count)[number]
            whole, size = [], 0
            for (text, _), each in zip(pieces, packed, strict=True):
                size += len(each)
                whole += [text] if size <= end else []
            at_edge = end >= len(data) - 4 or any(end - sum(map(len, packed[:n])) in range(3) for n in range(3))
            yield file(FAMILY, name, data[:end], quiet() if at_edge else ANY, tuple(whole))


def _damaged_inside() -> Iterator[Hostile]:
    """Yield archives whose second record has one byte changed, or some missing: the others stay."""
    for number in range(60):
        name = f"hurt-{number:02d}.warc.gz"
        pieces = [wet(f"{name} {at}") for at in range(3)]
        first, second, third = (gz(each) for _, each in pieces)
        at = places(len(second), 60)[number]
        changed = second[:at] + (bytes([second[at] ^ 0x55]) + second[at + 1 :] if number % 2 else second[at + 9 :])
        yield file(FAMILY, name, first + changed + third, ANY, (pieces[0][0], pieces[2][0]))


def _surrounded(
    kind: str, hostile: Iterator[tuple[str, bytes, frozenset[str]]], suffix: str, packed: bool = False
) -> Iterator[Hostile]:
    """Yield an archive for each record, between two good ones."""
    for number, (what, data, may) in enumerate(hostile):
        name = f"{kind}-{number:02d}-{what}.warc{suffix}"
        (before, first), (after, last) = wet(f"{name} before"), wet(f"{name} after")
        pack = gz if suffix else bytes
        middle = data if packed else pack(data)
        yield file(FAMILY, name, pack(first) + middle + pack(last), may, (before, after))


_STATUSES = ("999 x", "-1 x", "abc", "20000000000 OK", "", "200", "404 Not Found", "301 x", "206 x")
_LENGTHS = ("-1", "0", "1", "30", "90000", "33554433", "99999999999", "9" * 18, "9" * 40, "", "abc", "0x20", "1e3",
    "12 34",
            "+5", "٣")  # fmt: skip


def _records() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    body = http(article(7).encode())
    plain = record("https://bad.example/", body)
    stated = f"Content-Length: {len(body)}".encode()
    for number, length in enumerate(_LENGTHS):
        yield f"length-{number}", plain.replace(stated, f"Content-Length: {length}".encode(), 1), ANY
    yield "no-length", plain.replace(stated + b"\r\n", b"", 1), ANY
    yield "two-lengths", plain.replace(stated, stated + b"\r\nContent-Length: 3", 1), ANY
    yield "version", plain.replace(b"WARC/1.0", b"WARC/9.9", 1), LOUD
    yield "no-version", plain.replace(b"WARC/1.0\r\n", b"", 1), LOUD
    yield "no-type", plain.replace(b"WARC-Type: response\r\n", b"", 1), quiet()
    yield "binary-type", plain.replace(b"Type: response", b"Type: \xff\xfe\x00", 1), quiet()
    yield "no-address", plain.replace(b"WARC-Target-URI: https://bad.example/\r\n", b"", 1), ANY
    yield "address-binary", plain.replace(b"https://bad.example/", b"\xff\xc0\xaf\x01", 1), ANY
    yield "address-lines", plain.replace(b"https://bad.example/", b"https://a\r\n b\r\n c", 1), ANY
    yield "address-long", record("https://bad.example/" + "a" * 60_000, body), ANY
    yield "header-too-long", record("https://bad.example/", body, headers={"X": "y" * 70_000}), LOUD
    yield "many-headers", record("https://b.example/", body, headers={f"X-{n}": "y" for n in range(4000)}), ANY
    yield "no-colon", plain.replace(b"WARC-Date:", b"WARC-Date", 1), ANY
    yield "nul-header", plain.replace(b"WARC-Date:", b"WARC\0Date:", 1), ANY
    yield "header-alone", b"WARC/1.0\r\nWARC-Type: response\r\n", ANY
    yield "starts", _NEXT * 4000, LOUD
    yield "lengths", (_NEXT + b"Content-Length: 30000000\r\n\r\n") * 2000, LOUD
    yield "garbage", noise("garbage", 5000), LOUD
    yield "nuls", bytes(5000), LOUD
    yield "line-ends", b"\r\n" * 5000, quiet()
    yield "html", article(3).encode(), LOUD
    yield "inside", record("https://bad.example/", http(page(1) + page(2))), ANY


def _bodies() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    html = article(8).encode()
    for number, (body, headers) in enumerate(_encoded(html)):
        yield f"encoding-{number}", record("https://bad.example/", http(body, headers=headers)), ANY
    for number, status in enumerate(_STATUSES):
        yield f"status-{number}", record("https://bad.example/", http(html, status=status)), ANY
    types = ("", "text/html; charset=", "text/html; charset=utf-7", "text/html;charset=\xff", "text/html; " * 50,
             "application/octet-stream", "image/svg+xml", "text/html; charset=utf-16", "multipart/mixed; boundary=x",
             "TEXT/HTML", "text/html; charset=\"utf-8", "text/plain; charset=no-such", "text/plain; charset=utf-32",
             "text/plain; charset=rot13", "text/plain; charset=zlib", "text/plain; charset=idna")  # fmt: skip
    for number, kind in enumerate(types):
        yield f"type-{number}", record("https://bad.example/", http(html, kind)), ANY
    yield "no-http", record("https://bad.example/", html), ANY
    yield "http-0.9", record("https://bad.example/", b"<html>" + html), ANY
    yield "empty", record("https://bad.example/", b""), quiet()
    yield "no-end", record("https://bad.example/", b"HTTP/1.1 200 OK\r\nContent-Type: text/html"), quiet()
    yield (
        "many-lines",
        record("https://bad.example/", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n" + html),
        ANY,
    )
    yield (
        "binary-head",
        record("https://bad.example/", b"HTTP/1.1 200 OK\r\n" + noise("head", 900) + b"\r\n\r\n" + html),
        ANY,
    )
    yield "mime", record("https://bad.example/", http(html), content_type="text/html"), ANY
    yield "no-mime", record("https://bad.example/", http(html), content_type=""), ANY
    for magic in (
        b"PK\x03\x04",
        b"%PDF-1.7",
        b"\x89PNG\r\n",
        b"GIF89a",
        b"\x7fELF",
        b"\x1f\x8b\x08",
        b"\x28\xb5\x2f\xfd",
    ):
        yield (
            f"magic-{magic[:3].hex()}",
            record("https://bad.example/", http(magic + html)),
            frozenset({DROPPED, PROBLEM}),
        )


def _encoded(html: bytes) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Yield bodies that are not what their headers say, or far more."""
    bomb = bytes(40_000_000)
    packed = {
        "gzip": gz(html),
        "deflate": zlib.compress(html),
        "br": _brotli(html),
        "zstd": zstandard.compress(html),
    }
    for name, body in packed.items():
        for data in (b"not packed at all", body[: len(body) // 2], b"", body[:1], body + noise(name, 50), body * 2):
            yield data, {"Content-Encoding": name}
    yield gz(bomb), {"Content-Encoding": "gzip"}
    yield _brotli(bomb), {"Content-Encoding": "br"}
    yield zlib.compress(bomb), {"Content-Encoding": "deflate"}
    yield zstandard.compress(bomb), {"Content-Encoding": "zstd"}
    yield gz(gz(bomb)), {"Content-Encoding": "gzip, gzip"}
    yield gz(html), {"Content-Encoding": ", ".join(["gzip"] * 50)}
    yield html, {"Content-Encoding": "no-such"}
    whole = chunked(html)
    for data in (
        b"zz\r\n" + html, b"-5\r\nabc\r\n0\r\n\r\n", b"ffffffffffffffff\r\nabc", whole[:-7], whole[: len(whole) // 2],
        b"0\r\n\r\n" + html, html, b"", b"5;" + b"x" * 50_000 + b"\r\nabcde\r\n0\r\n\r\n", b"1\r\nX\r\n" * 5000,
        whole.replace(b"\r\n", b"\n"), b"5\r\nabc\r\n0\r\n\r\n", b"\r\n" * 500, chunked(gz(bomb)), whole + whole,
    ):  # fmt: skip
        yield data, {"Transfer-Encoding": "chunked"}


def _brotli(data: bytes) -> bytes:
    buffer = io.BytesIO()
    writer = BrotliWriter(buffer)
    writer.write(data)
    writer.close()
    return buffer.getvalue()


def _members() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    """Yield what may stand between two gzip members that are whole."""
    html = page(9)
    good = gz(html)
    yield "empty-members", gz(b"") * 500, quiet()
    yield "zeros", bytes(3000), quiet()
    yield "garbage", noise("between", 3000), quiet()
    yield "plain-record", html, ANY | {"nothing"}
    yield "magic-flood", b"\x1f\x8b\x08" * 20_000, LOUD
    yield "checksum", good[:-8] + bytes(4) + good[-4:], ANY
    yield "size", good[:-4] + b"\xff\xff\xff\xff", ANY
    yield "flags", good[:3] + b"\xff" + good[4:], ANY
    yield "name-without-end", good[:3] + b"\x08" + good[4:10] + b"a" * 3000, ANY
    yield "extra", good[:3] + b"\x04" + good[4:10] + b"\xff\xff" + good[10:], ANY
    yield "method", good[:2] + b"\x07" + good[3:], ANY | {"nothing"}
    yield "bomb", gz(html + bytes(60_000_000)), LOUD
    yield "record-bomb", gz(record("https://bad.example/", http(b"<p>" + b"a" * 34_000_000))), LOUD
    yield "two-halves", gz(html[:400]) + gz(html[400:]), LOUD
    yield "text", gz(b"no record here\n" * 500), LOUD
    yield "nothing-but-start", good[:10], ANY
    yield "stored", zlib_stored(html), frozenset({TEXT, DROPPED, PROBLEM})


def zlib_stored(data: bytes) -> bytes:
    """Return a gzip member of a stored block that claims more bytes than follow."""
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return (
        head
        + b"\x01"
        + (len(data) + 500).to_bytes(2, "little")
        + (0xFFFF - len(data) - 500).to_bytes(2, "little")
        + data
    )
