"""Hostile pages of a person's own: depth, size, lies about characters, and markup that is all trap and no text."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.hostile.common import DROPPED, PROBLEM, Hostile, file, good_text, noise
from tests.corpus.warc_bytes import article

FAMILY = "pages"
_SENTENCE = "The miller carried the old lantern through the village before the winter began. " * 8
_EMPTY = frozenset({DROPPED, PROBLEM})


def inputs() -> Iterator[Hostile]:
    """Yield all hostile pages."""
    found = [*_deep(), *_large(), *_encodings(), *_traps(), *_entities(), *_invisible()]
    for number, (what, data) in enumerate(found):
        yield file(FAMILY, f"{number:03d}-{what}.html", data)


def _deep() -> Iterator[tuple[str, bytes]]:
    text = _SENTENCE.encode()
    for tag in ("div", "span", "b", "font", "ul><li", "table><tr><td", "blockquote", "a href=x", "svg", "math",
        "template",
                "form", "select", "button", "h1", "p", "ruby", "object", "section", "dl><dd"):  # fmt: skip
        for depth in (500, 5000):
            yield f"deep-{depth}", f"<{tag}>".encode() * depth + text
    for tag in ("div", "b", "span"):
        yield "deep-100000", f"<{tag}>".encode() * 100_000 + text
        yield "deep-closed", f"<{tag}>".encode() * 20_000 + text + f"</{tag}>".encode() * 20_000


def _large() -> Iterator[tuple[str, bytes]]:
    text = _SENTENCE.encode()
    yield "attribute", b"<div title='" + b"x" * 2_000_000 + b"'>" + text
    yield "attributes", b"<div " + b"".join(b"a%d=b " % n for n in range(50_000)) + b">" + text
    yield "same-attribute", b"<div " + b"a=b " * 100_000 + b">" + text
    yield "attribute-unclosed", b"<p>" + text + b"<div title='" + b"x" * 500_000
    yield "tag-name", b"<" + b"x" * 500_000 + b">" + text
    yield "title", b"<title>" + b"word " * 200_000 + b"</title><p>" + text
    yield "data-address", b"<img src='data:image/png;base64," + b"A" * 2_000_000 + b"'><p>" + text
    yield "cells", b"<table>" + b"<tr><td>x</td></tr>" * 20_000 + b"</table>" + text
    yield "options", b"<select>" + b"<option>word</option>" * 20_000 + b"</select>" + text
    yield "links", b"<a href='/x'>word</a> " * 20_000
    yield "rel", b"<a rel=" * 20_000 + text
    yield "breaks", b"<br>" * 100_000 + text
    yield "line", b"<p>" + b"a" * 2_000_000
    yield "too-large", b"<p>" + b"word " * 3_500_000
    yield "classes", b"<div class='" + b"c " * 200_000 + b"'>" + text


def _encodings() -> Iterator[tuple[str, bytes]]:
    html = f"<html><head>{{meta}}</head><body><p>{_SENTENCE} äöü 漢字 Ж</p></body></html>"
    for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "utf-8-sig", "cp037", "gb18030", "euc_jp"):
        yield f"in-{name}", html.format(meta="").encode(name, "replace")
        yield f"in-{name}-said-utf-8", html.format(meta="<meta charset=utf-8>").encode(name, "replace")
    for name in (
        "utf-7",
        "utf-16",
        "no-such",
        "",
        "x-user-defined",
        "iso-2022-jp",
        "replacement",
        "\xff",
        "a" * 9000,
        "utf-8;x",
    ):
        yield "said", html.format(meta=f"<meta charset='{name}'>").encode()
    yield "two-marks", b"\xef\xbb\xbf\xff\xfe" + html.encode()
    yield "mark-alone", b"\xff\xfe"
    yield "odd-utf-16", b"\xff\xfe" + html.encode("utf-16-le") + b"x"
    yield "lone-surrogates-utf-16", b"\xff\xfe<\0p\0>\0" + b"\x00\xd8" * 500 + _SENTENCE.encode("utf-16-le")
    for number, bad in enumerate(
        (b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff", b"\x80", b"\xe2\x82", b"\xf8\x88\x80\x80\x80")
    ):
        yield f"bad-{number}", b"<p>" + (_SENTENCE.encode() + bad) * 3
    yield "nuls", b"<p>" + _SENTENCE.encode().replace(b" ", b"\0 ")
    for size in (10, 1000, 100_000):
        yield "noise", noise(f"page {size}", size)
        yield "noise-in-page", b"<html><body><p>" + noise(f"in page {size}", size) + _SENTENCE.encode()


def _traps() -> Iterator[tuple[str, bytes]]:
    text = _SENTENCE.encode()
    yield from {
        "script-alone": b"<script>" + b"var a = 1;\n" * 5000 + b"</script>",
        "script-unclosed": b"<p>" + text + b"<script>" + b"var a = 1;\n" * 5000,
        "style-alone": b"<style>" + b"p { color: red }\n" * 5000 + b"</style>",
        "comment-unclosed": b"<!-- " + text * 20,
        "comments": b"<!--" * 50_000 + text,
        "comment-ends": b"<!-->" * 50_000 + text,
        "cdata": b"<![CDATA[" + text + b"]]>" * 20_000,
        "less": b"<" * 200_000 + text,
        "greater": b">" * 200_000 + text,
        "half-tags": b"<p" * 100_000 + text,
        "ends": b"</p>" * 100_000 + text,
        "crossed": b"<b><i></b></i>" * 20_000 + text,
        "formatting": b"<b><p>" * 3000 + text,
        "doctypes": b"<!DOCTYPE html>" * 20_000 + text,
        "frames": b"<frameset>" + b"<frame src=x>" * 5000,
        "noscript": b"<noscript>" + text + b"</noscript>",
        "iframe": b"<iframe srcdoc='<iframe srcdoc=" * 2000 + text,
        "template": b"<template>" + text + b"</template>",
        "plaintext": b"<plaintext>" + b"<p>" * 20_000 + text,
        "textarea": b"<textarea>" + text * 20,
        "hidden": b"<div style='display:none'>" + text + b"</div>",
        "base": b"<base href='javascript:alert(1)'><p>" + text,
        "nested-tables": b"<table><tr><td>" * 3000 + text,
        "nested-lists": b"<ul><li>" * 3000 + text,
        "nested-links": b"<a href=x>" * 20_000 + text,
        "white": b" \n\t" * 100_000,
        "zero": b"",
        "one": b"<",
        "only-tags": b"<p></p>" * 20_000,
        "xml": b"<?xml version='1.0'?>" * 5000 + text,
        "instructions": b"<?php " + text * 5,
        "conditional": b"<!--[if IE]>" + text + b"<![endif]-->" * 5000,
        "form-feed": b"\f" * 100_000 + text,
        "pre": b"<pre>" + b"\n" * 500_000 + text,
    }.items()
    for magic in (
        b"%PDF-1.7\n",
        b"PK\x03\x04",
        b"\x1f\x8b\x08\0",
        b"\x89PNG\r\n\x1a\n",
        b"SQLite format 3\0",
        b"PAR1",
        b"BZh9",
    ):
        yield f"magic-{magic[:3].hex()}", magic + article(1).encode()


def _entities() -> Iterator[tuple[str, bytes]]:
    lines = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">\n' for n in range(1, 12))
    laughs = f'<!DOCTYPE lolz [<!ENTITY l0 "ha">\n{lines}]>'
    yield "laughs", f'<?xml version="1.0"?>{laughs}<html><body><p>&l11; {_SENTENCE}</p></body></html>'.encode()
    yield "laughs-alone", f"{laughs}<p>&l11;</p>".encode()
    yield "quadratic", f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]><p>{"&a;" * 20_000}</p>'.encode()
    yield "outside", f'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><p>&a; {_SENTENCE}</p>'.encode()
    yield "parameter", f'<!DOCTYPE x [<!ENTITY % a SYSTEM "http://localhost:1/x">%a;]><p>{_SENTENCE}</p>'.encode()
    for number, entity in enumerate(
        ("&#0;", "&#xD800;", "&#x110000;", "&#99999999999999;", "&#x;", "&", "&amp", "&#x202E;", "&NotEqualTilde;")
    ):
        yield f"entity-{number}", f"<p>{_SENTENCE}{entity * 5000}</p>".encode()


def _invisible() -> Iterator[tuple[str, bytes]]:
    text = good_text("invisible")
    for (
        mark
    ) in "\u200b\u200d\u2060\ufeff\u202e\u2066\u2069\u00ad\u180e\u034f\U000e0041\ufe0f\u0301\u0489\x07\x1b\x85\u2028":
        yield f"between-{ord(mark):x}", ("<p>" + mark.join(text) + "</p>").encode()
        yield f"run-{ord(mark):x}", ("<p>" + mark * 20_000 + text[:400] + "</p>").encode()
