"""A small crawl to measure with: a ``.warc.gz`` of pages as the web has them, made from texts.

In: texts with their languages. Out: a WARC file with a request and a response a page. Each page wraps its text in what
pages carry: styles, scripts, a menu, a cookie notice, teasers beside it, comments and a foot. Beside the pages with a
text of their own there are pages of links alone, errors, pictures and copies, in the shares below.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TITLES = 60  # characters of a title
_DATE = "2026-03-01T12:00:00Z"
_THIN, _ERROR, _PICTURE, _COPY = 0.15, 0.05, 0.03, 0.07  # shares of pages made beside those with a text


@dataclass(frozen=True)
class Text:
    """A text that becomes a page."""

    language: str
    text: str


def draw(key: str, purpose: str) -> float:
    """Return a number in [0, 1) that depends on its arguments alone."""
    return int.from_bytes(hashlib.blake2b(f"{purpose}\0{key}".encode(), digest_size=7).digest(), "big") / 2**56


def title_of(text: str) -> str:
    """Return the first words of a text, as a title."""
    return " ".join(re.sub(r"[#*`|<>\[\]]", " ", text[:300]).split())[:_TITLES]


def body_html(text: str) -> str:
    """Return a text as the elements of an article: headings, lists, code, paragraphs."""
    parts = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if line.strip()]
        if not lines:
            continue
        if lines[0].startswith("#") and len(lines) == 1:
            parts.append(f"<h2>{html.escape(lines[0].lstrip('# '))}</h2>")
        elif all(re.match(r"\s*[-*] ", line) for line in lines):
            items = "".join(f"<li>{html.escape(line.strip()[2:])}</li>" for line in lines)
            parts.append(f"<ul>{items}</ul>")
        elif all(line.startswith("    ") for line in lines):
            parts.append(f"<pre><code>{html.escape(block)}</code></pre>")
        else:
            parts.append(f"<p>{html.escape(' '.join(line.strip() for line in lines))}</p>")
    return "\n".join(parts)


_STYLE = "".join(f".c{step}{{margin:{step}px;padding:{step % 7}px;color:#{step:06x}}}\n" for step in range(150))


def _script(number: int) -> str:
    lines = (
        f"function f{step}(a,b){{return a*{step}+b.map(function(x){{return x.length>{step}?x:0}}).length;}}\n"
        for step in range(120)
    )
    return f"window.cfg={{id:{number}}};" + "".join(lines)


class Crawl:
    """Pages made of texts; what surrounds a text is made of the titles of the others of its language."""

    def __init__(self, texts: Sequence[Text]) -> None:
        self.texts = texts
        self._titles: dict[str, list[str]] = {}
        for each in texts:
            self._titles.setdefault(each.language, []).append(title_of(each.text))

    def page(self, number: int, text: str, language: str) -> str:
        """Return an HTML page around a text ("" for a page of links alone)."""
        host = number % 40
        links = functools.partial(self._links, language, host)
        title = html.escape(title_of(text)) or f"Index {number}"
        main = f'<article class="post"><h1>{title}</h1><div class="entry-content">{body_html(text)}</div></article>'
        listing = f'<ul class="listing">{links("entry", number, 60)}</ul>'
        return f"""<!DOCTYPE html>
<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><script>{_script(number)}</script>
<link rel="stylesheet" href="/theme.css"></head>
<body><header class="site-header"><div class="logo"><a href="/">Site {host}</a></div>
<nav class="menu"><ul>{links("menu", host * 7, 45)}</ul></nav></header>
<div class="cookie-banner"><p>This site uses cookies to improve your visit.</p><button>Accept</button></div>
<div class="breadcrumbs"><a href="/">Home</a> &gt; <a href="/{host}">Section {host}</a></div>
<main>{main if text else listing}</main>
<aside class="sidebar"><h3>Related</h3><ul>{links("teaser", number * 5, 25)}</ul>
<form action="/search"><input name="q"><button>Search</button></form></aside>
<section class="comments" id="comments">{self._comments(number, language)}</section>
<footer class="site-footer"><ul>{links("foot", host * 11, 30)}</ul>
<p>Copyright 2026 Site {host}. All rights reserved.</p></footer>
<script>{_script(number)[:4000]}</script></body></html>"""

    def _links(self, language: str, host: int, kind: str, start: int, count: int) -> str:
        titles = self._titles[language]
        return "".join(
            f'<li class="{kind}-item"><a class="{kind}-link" href="/{host}/{place}">'
            f"{html.escape(titles[place % len(titles)])}</a></li>\n"
            for place in range(start, start + count)
        )

    def _comments(self, number: int, language: str) -> str:
        titles = self._titles[language]
        return "".join(
            f'<div class="comment"><span class="author">user{number + step}</span>'
            f"<p>{html.escape(titles[(number * 3 + step) % len(titles)])}</p></div>"
            for step in range(number % 6)
        )

    def responses(self) -> Iterator[tuple[str, str, str, bytes]]:
        """Yield (address, status, content type, body) of the crawl, in an order of its own."""
        page_type = "text/html; charset=utf-8"
        for number, each in enumerate(self.texts):
            address = f"https://site{number % 40}.example/{each.language}/{number}"
            key = str(number)
            body = self.page(number, each.text, each.language).encode()
            yield address, "200 OK", page_type, body
            if draw(key, "copy") < _COPY:
                yield address + "?print=1", "200 OK", page_type, body
            if draw(key, "thin") < _THIN:
                yield address + "/index", "200 OK", page_type, self.page(number, "", each.language).encode()
            if draw(key, "error") < _ERROR:
                yield address + "/gone", "404 Not Found", page_type, b"<html><h1>Not found</h1></html>"
            if draw(key, "picture") < _PICTURE:
                yield address + ".png", "200 OK", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(2000)


def warc_record(kind: str, address: str, content_type: str, block: bytes, number: int, payload: str = "") -> bytes:
    """Return one WARC record (WARC 1.0)."""
    identity = hashlib.blake2b(f"{kind}{address}{number}".encode(), digest_size=16).hexdigest()
    identified = f"WARC-Identified-Payload-Type: {payload}\r\n" if payload else ""
    uuid = f"{identity[:8]}-{identity[8:12]}-{identity[12:16]}-{identity[16:20]}-{identity[20:]}"
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{uuid}>\r\nWARC-Date: {_DATE}\r\n"
        f"WARC-Target-URI: {address}\r\n{identified}Content-Type: {content_type}\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def write_warc(path: Path, texts: Sequence[Text]) -> tuple[int, int]:
    """Write a crawl as ``.warc.gz``, a gzip member a record; return the number of responses and bytes of pages."""
    count = size = 0
    with path.open("wb") as file:
        for address, status, content_type, body in Crawl(texts).responses():
            request = f"GET {address} HTTP/1.1\r\nHost: site.example\r\n\r\n".encode()
            head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            for kind, block in (("request", request), ("response", head + body)):
                payload = content_type.partition(";")[0] if kind == "response" else ""
                record = warc_record(kind, address, f"application/http; msgtype={kind}", block, count, payload)
                file.write(gzip.compress(record, 6, mtime=0))
            count += 1
            size += len(body)
    return count, size
