"""WARC records as bytes, for tests: whole ones, and any way of breaking them."""

from __future__ import annotations

import gzip

SENTENCE = "The quick brown fox number {} jumps over the lazy dog, and then it goes home to sleep for the night. "


def article(number: int = 0, sentences: int = 8, furniture: bool = True) -> str:
    """Return an English page with a text of its own and what surrounds it."""
    paragraphs = "".join(f"<p>{SENTENCE.format(number * 100 + each)}</p>" for each in range(sentences))
    menu = "".join(f'<li><a href="/{each}">Menu entry {each}</a></li>' for each in range(20)) if furniture else ""
    return (
        f"<!DOCTYPE html><html><head><title>Fox {number}</title></head><body><nav><ul>{menu}</ul></nav>"
        f"<article><h1>Of the fox {number}</h1>{paragraphs}</article>"
        f"<footer><p>All rights reserved.</p></footer></body></html>"
    )


def http(
    body: bytes,
    content_type: str = "text/html; charset=utf-8",
    status: str = "200 OK",
    headers: dict[str, str] | None = None,
) -> bytes:
    """Return an HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}"] + [f"{k}: {v}" for k, v in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(body: bytes, size: int = 100) -> bytes:
    """Return a body in HTTP's chunked transfer encoding."""
    chunks = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def warc(
    url: str,
    block: bytes,
    kind: str = "response",
    content_type: str = "application/http; msgtype=response",
    length: int | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    """Return a WARC record; ``length`` is what its header claims the block to have."""
    head = {
        "WARC-Type": kind,
        "WARC-Record-ID": "<urn:uuid:00000000-0000-4000-8000-000000000001>",
        "WARC-Date": "2026-03-01T12:00:00Z",
        "WARC-Target-URI": url,
        "Content-Type": content_type,
        "Content-Length": str(len(block) if length is None else length),
    } | (headers or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"WARC/1.0\r\n{lines}\r\n".encode() + block + b"\r\n\r\n"


def page(number: int, **options: object) -> bytes:
    """Return the record of an English page of its own."""
    return warc(f"https://site.example/{number}", http(article(number).encode()), **options)  # type: ignore[arg-type]


def packed(records: list[bytes]) -> list[bytes]:
    """Return each record as a gzip member of its own."""
    return [gzip.compress(record, mtime=0) for record in records]
