"""Message catalogues: gettext ``.po`` and ``.mo`` files read into messages.

Input: the bytes of a catalogue. Output: messages in file order. Format: GNU gettext manual, "The Format of PO Files"
and "The Format of GNU MO Files". Fuzzy and obsolete entries are not translations and are left out.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from smolforge.errors import DataError

_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"$')
_KEYWORD = re.compile(r"^(msgctxt|msgid_plural|msgid|msgstr(?:\[\d+\])?)\s+(\".*)$")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f", "a": "\a", "b": "\b"}
_MO_MAGIC = 0x950412DE


@dataclass(frozen=True)
class Message:
    """One entry: the text in the source language and its translations (one, or one a plural form; () if none)."""

    context: str
    source: str
    plural: str
    translations: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the message in every language of the catalogue."""
        return self.context, self.source


def parse_po(data: bytes, name: str = "catalogue") -> list[Message]:
    """Read a ``.po`` file (UTF-8). DataError names file and line of the first malformed line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: byte {error.start}: not UTF-8") from None
    messages: list[Message] = []
    entry: dict[str, list[str]] = {}
    fuzzy, current = False, ""
    for number, raw in enumerate([*text.splitlines(), ""], 1):
        line = raw.strip()
        keyword = _KEYWORD.match(line) if line.startswith("msg") else None
        starts = (
            keyword is not None and keyword[1] in ("msgctxt", "msgid") and any(k.startswith("msgstr") for k in entry)
        )
        if not line or line.startswith("#") or starts:
            if entry and (starts or not line or any(k.startswith("msgstr") for k in entry)):
                if not fuzzy:
                    messages.extend(_message(entry))
                entry, fuzzy, current = {}, False, ""
            if line.startswith("#,"):
                fuzzy = fuzzy or "fuzzy" in line
            if not starts:
                continue
        if keyword:
            current, line = keyword[1], keyword[2]
        string = _STRING.match(line)
        if string is None or not current:
            raise DataError(f"{name}: line {number}: expected a keyword and a quoted string, got {line[:40]!r}")
        entry.setdefault(current, []).append(_unescape(string[1]))
    return messages


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), text) if "\\" in text else text


def _message(entry: dict[str, list[str]]) -> list[Message]:
    joined = {key: "".join(parts) for key, parts in entry.items()}
    if not joined.get("msgid"):
        return []  # the header
    forms = [joined[key] for key in sorted(joined) if key.startswith("msgstr")]
    translations = tuple(form for form in forms if form)
    return [Message(joined.get("msgctxt", ""), joined["msgid"], joined.get("msgid_plural", ""), translations)]


def parse_mo(data: bytes, name: str = "catalogue") -> list[Message]:
    """Read a ``.mo`` file; every offset is checked. DataError names the file and the byte where it is torn."""
    if len(data) < 28:
        raise DataError(f"{name}: byte {len(data)}: too short for a .mo file")
    order = "<" if struct.unpack_from("<I", data)[0] == _MO_MAGIC else ">"
    magic, _, count, originals, translations = struct.unpack_from(f"{order}5I", data)
    if magic != _MO_MAGIC:
        raise DataError(f"{name}: byte 0: not a .mo file")
    messages: list[Message] = []
    for index in range(count):
        source = _mo_string(data, order, originals + 8 * index, name)
        target = _mo_string(data, order, translations + 8 * index, name)
        if not source:
            continue
        context, _, rest = source.rpartition("\x04")
        singular, _, plural = rest.partition("\0")
        messages.append(Message(context, singular, plural, tuple(form for form in target.split("\0") if form)))
    return messages


def _mo_string(data: bytes, order: str, entry: int, name: str) -> str:
    if entry + 8 > len(data):
        raise DataError(f"{name}: byte {entry}: the string table runs past the end of the file")
    length, offset = struct.unpack_from(f"{order}2I", data, entry)
    if offset + length > len(data):
        raise DataError(f"{name}: byte {offset}: a string of {length} bytes runs past the end of the file")
    try:
        return data[offset : offset + length].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: byte {offset + error.start}: not UTF-8") from None
