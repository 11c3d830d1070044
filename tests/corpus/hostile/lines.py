"""Hostile JSON lines and plain texts: characters that are none, values beyond measure, packings that break off."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import zstandard

from tests.corpus.hostile.common import (
    ANY,
    LOUD,
    POISONED,
    PROBLEM,
    TEXT,
    Hostile,
    file,
    good_text,
    noise,
    places,
    quiet,
)

FAMILY = "lines"
TEXTS = "texts"
_LONG = 100_000_000  # bytes of a line that no reader may hold
BAD_UTF8 = (
    b"\x80", b"\xbf", b"\xc0\x80", b"\xc0\xaf", b"\xc1\xbf", b"\xc2", b"\xdf ", b"\xe0\x80\x80", b"\xe0\x9f\xbf",
    b"\xe2\x82",
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xef\xbf", b"\xf0\x80\x80\x80", b"\xf0\x9f\x98",
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff",
    b"\xfe\xff", b"\xff\xfe", b"\xa0", b"\xe9", b"caf\xe9 ", b"\x81\x40", b"\x1b$B", b"\xc3\x28",
)  # fmt: skip


def inputs() -> Iterator[Hostile]:
    """Yield all hostile files of lines and text."""
    for number, (what, line, may) in enumerate(_lines()):
        name = f"{number:03d}-{what}.jsonl"
        before, after = good_text(f"{name} before"), good_text(f"{name} after")
        yield file(FAMILY, name, _row(before) + line + b"\n" + _row(after), may, (before, after))
    yield from _packed()
    for number, (what, data) in enumerate(_texts()):
        yield file(TEXTS, f"{number:03d}-{what}", data, quiet() if what.startswith("blank") else ANY)
    yield Hostile(TEXTS, "sparse.txt", _sparse, frozenset({PROBLEM}))
    yield Hostile(FAMILY, "sparse.jsonl", _sparse, LOUD)


def _row(text: str) -> bytes:
    return json.dumps({"text": text}).encode() + b"\n"


def _sparse(path: Path) -> None:
    """Write 100 MB of zeros that take no room."""
    with path.open("wb") as stream:
        stream.truncate(_LONG)


def _lines() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    text = good_text("line")[:300]
    for number, bad in enumerate(BAD_UTF8):
        yield f"bytes-{number}", b'{"text": "' + text.encode() + bad + b'"}', ANY
    for what in ("not JSON", "{", "}", "[", "]", '"', "null", "true", "0", "-", "NaN", "Infinity", "'text'",
        "{text: 1}", "[]", "{}",
                 '{"text"', '{"text":', '{"text": "', '{"text": "a" "b"}', '{"text": "a"}}',
                     '{"text": "a"} {"text": "b"}',
                 '{"text": "\\x"}', '{"text": "\\u12"}', '{"text": "\t"}', '{"text": "a",}', '{"other": "a"}',
                     '{"text ": "a"}',
                 "// comment", "{'text': 'a'}", "undefined", "<html>", "\ufeff{}", '{"TEXT": "a"}'):  # fmt: skip
        yield "syntax", what.encode(), LOUD
    for value in (None, True, 1, -0.5, 10**300, [], ["a"], {}, {"text": "a"}, [[["a"]]]):
        yield "value", json.dumps({"text": value}).encode(), LOUD
    for digits in (
        "1" * 4000,
        "1" * 500_000,
        "1e999999",
        "-1e-999999",
        "0." + "1" * 100_000,
        "1E400",
        "00",
        "+1",
        "0x10",
        "1_000",
    ):
        yield "number", f'{{"text": {json.dumps(text)}, "n": {digits}}}'.encode(), ANY
    for key in ("text", "url", "licence", "date", "other"):
        yield "surrogate", f'{{"text": {json.dumps(text)}, "{key}": "\\ud800 {text} \\udfff"}}'.encode(), ANY
        yield "nul", f'{{"text": {json.dumps(text)}, "{key}": "\\u0000{text}\\u0000"}}'.encode(), ANY
        yield "long", f'{{"text": {json.dumps(text)}, "{key}": "{"x" * 3_000_000}"}}'.encode(), ANY
        yield "twice", f'{{"{key}": 1, "text": {json.dumps(text)}, "{key}": {json.dumps(text)}}}'.encode(), ANY
        yield "typed", f'{{"text": {json.dumps(text)}, "{key}": [{{}}]}}'.encode(), ANY
    yield "surrogate-key", f'{{"\\ud800": 1, "text": {json.dumps(text)}}}'.encode(), ANY
    for open_, close in (("[", "]"), ('{"a":', "}")):
        for depth in (900, 5000, 300_000):
            yield "deep", f'{{"text": {open_ * depth}1{close * depth}}}'.encode(), LOUD
            yield "deep-beside", f'{{"text": {json.dumps(text)}, "x": {open_ * depth}1{close * depth}}}'.encode(), ANY
    yield (
        "many-keys",
        ("{" + "".join(f'"k{n}": 1, ' for n in range(200_000)) + f'"text": {json.dumps(text)}}}').encode(),
        ANY,
    )
    yield "utf-16", f'{{"text": "{text}"}}'.encode("utf-16"), ANY
    yield "utf-32", f'{{"text": "{text}"}}'.encode("utf-32"), ANY
    yield "escapes", b'{"text": "' + b"\\ud83d\\ude00" * 50_000 + b'"}', ANY
    yield "line-ends", f'{{"text": "{text}"}}\r\n\r\n\v\f\x85'.encode(), ANY
    yield "zeros", bytes(5000), LOUD
    yield "noise", noise("lines", 5000), LOUD
    yield "blank", b"   \t  ", quiet()
    yield "empty-text", b'{"text": ""}', quiet()
    yield "white-text", b'{"text": " \\n\\u00a0\\u3000 "}', quiet()
    yield "too-long", b'{"text": "' + b"a" * (17 << 20) + b'"}', LOUD


def _packed() -> Iterator[Hostile]:
    packings: dict[str, Callable[[bytes], bytes]] = {
        "gz": lambda data: gzip.compress(data, 1, mtime=0),
        "zst": lambda data: bytes(zstandard.compress(data)),
    }
    for suffix, pack in packings.items():
        for number in range(20):
            name = f"cut-{number:02d}.jsonl.{suffix}"
            first, second = good_text(f"{name} first"), good_text(f"{name} second")
            whole = pack(_row(first) + b'{"text": 0}\n'), pack(_row(second))
            end = places(len(whole[0]) + len(whole[1]), 20)[number]
            good = ((first,) if end >= len(whole[0]) else ()) + ((second,) if end >= sum(map(len, whole)) else ())
            yield file(FAMILY, name, b"".join(whole)[:end], LOUD, good)
        good_one = good_text(f"beside {suffix}")
        bombs: dict[str, Callable[[], bytes]] = {
            "zeros": lambda: bytes(_LONG),
            "line": lambda: b'{"text": "' + b"a" * _LONG + b'"}',
            "list": lambda: b'{"text": ' + b"[" * 15_000_000,
        }
        for what, line in bombs.items():
            data = partial(_bomb, pack, line, _row(good_one))
            yield file(FAMILY, f"bomb-{what}.jsonl.{suffix}", data, LOUD, (good_one,) if what == "zeros" else ())
        yield file(FAMILY, f"blanks.jsonl.{suffix}", partial(_bomb, pack, lambda: b"\n" * 5_000_000, b""), quiet())
        yield file(FAMILY, f"empty.jsonl.{suffix}", b"", quiet())
        yield file(FAMILY, f"after.jsonl.{suffix}", pack(_row(good_text(f"after {suffix}"))) + noise(suffix, 500), LOUD,
                   (good_text(f"after {suffix}"),))  # fmt: skip
        yield file(FAMILY, f"plain.jsonl.{suffix}", _row(good_text(f"plain {suffix}")), frozenset({PROBLEM}),
                   (good_text(f"plain {suffix}"),))  # fmt: skip
        yield file(FAMILY, f"twice.jsonl.{suffix}", pack(pack(_row("twice"))), LOUD | {POISONED})
        yield file(FAMILY, f"magic.jsonl.{suffix}", pack(b"")[:4], quiet(LOUD))
    yield file(FAMILY, "window.jsonl.zst", b"\x28\xb5\x2f\xfd\x00\xff" + bytes(20), LOUD)
    yield file(FAMILY, "size.jsonl.zst", b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + b"\x01\0\0", LOUD)
    yield file(FAMILY, "skippable.jsonl.zst", b"\x50\x2a\x4d\x18\x04\0\0\0abcd" * 50, quiet())


def _bomb(pack: Callable[[bytes], bytes], line: Callable[[], bytes], rest: bytes) -> bytes:
    return pack(line() + b"\n" + rest)


def _texts() -> Iterator[tuple[str, bytes]]:
    text = good_text("text")
    data = text.encode()
    for number, bad in enumerate(BAD_UTF8):
        yield f"bytes-{number}.txt", data + bad + b" end"
    for name in (
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "utf-7",
        "cp037",
        "gb18030",
        "shift_jis",
        "koi8_r",
        "utf-8-sig",
    ):
        yield f"{name}.txt", (text + " äöü Жук 漢字").encode(name, "replace")
    for mark in "\u200b\u202e\u2066\u00ad\u0301\ufe0f\u1160\x0c\x1b\x7f":
        yield f"run-{ord(mark):x}.txt", (mark * 30_000 + text).encode()
        yield f"between-{ord(mark):x}.txt", mark.join(text).encode()
    for what in ("1", "a@", "1.", ":", "0-", "+49 ", "'", "''", "- ", "#", "|", "/", "\\", "=", "(", "-----BEGIN ",
        "AKIA", "eyJ", "://",
                 "1.1.1.1 ", "::1 ", "4111 ", "DE89 ", "a.b@c.d ", "\u0660", "…", "ﷺ", "\U0001d400", "한", "漢", "ß",
                 "İ"):  # fmt: skip
        yield "many.txt", (what * 30_000).encode()
    yield "nuls.txt", bytes(3000)
    yield "nul-between.txt", data.replace(b" ", b"\0")
    yield "noise.txt", noise("text", 30_000)
    yield "line.txt", b"word " * 1_000_000
    yield "unbroken.txt", b"a" * 9_000_000
    yield "line-ends.txt", b"\r" * 100_000 + data
    yield "blank.txt", b" \n\t\r\n" * 1000
    yield "blank-mark.txt", b"\xef\xbb\xbf"
    yield "blank-zero.txt", b""
    yield "utf-16-odd.txt", b"\xff\xfe" + text.encode("utf-16-le") + b"x"
    yield "utf-16-surrogates.txt", b"\xff\xfe" + b"\x00\xd8" * 800 + text.encode("utf-16-le")
    yield "utf-16-large.txt", b"\xff\xfe" + "word ".encode("utf-16-le") * 900_000
    for suffix in ("txt", "md"):
        for magic in (
            b"PAR1",
            b"\x1f\x8b\x08",
            b"\x28\xb5\x2f\xfd",
            b"ARROW1",
            b"PK\x03\x04",
            b"%PDF",
            b"\x89PNG",
            b"\x7fELF",
        ):
            yield f"magic-{magic[:3].hex()}.{suffix}", magic + data


__all__ = ["BAD_UTF8", "FAMILY", "TEXT", "TEXTS", "inputs"]
