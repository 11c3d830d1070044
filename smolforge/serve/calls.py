"""Finds the calls in an answer while it is written: words first, then calls, their arguments piece by piece.

Input: pieces of the text of an answer that keeps to the grammar of ``smolforge.tasks.tool_grammar``. Output: words,
the beginnings of calls, and pieces of their arguments, which join to the same whatever the pieces were.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from smolforge.tokens.special import END_TOOL_CALL, TOOL_CALL

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)')


@dataclass(frozen=True)
class Said:
    """Words of the answer."""

    text: str


@dataclass(frozen=True)
class Called:
    """Call number ``index`` begins."""

    index: int
    name: str


@dataclass(frozen=True)
class Arguments:
    """The next piece of the JSON text of a call's arguments."""

    index: int
    text: str


Part = Said | Called | Arguments


class _Where(Enum):
    WORDS = 1
    HEAD = 2
    ARGUMENTS = 3
    TAIL = 4


class CallReader:
    """Follows one answer. Words behind the first call are none that the grammar knows, and are left out.

    So is a call that repeats an earlier one: what may still become a repetition is held back until it differs.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.made = list[tuple[str, str]]()  # name and arguments of each call that is complete
        self._name, self._text, self._begun = "", "", False  # the call that is read, and whether it was told
        self._where, self._held = _Where.WORDS, ""
        self._depth, self._string, self._escaped = 0, False, False

    def push(self, text: str) -> Iterator[Part]:
        """Take a piece of text; yield what has become certain."""
        self._held += text
        moved = True
        while moved:
            before = self._where
            if before is _Where.WORDS:
                yield from self._words()
            elif before is _Where.HEAD:
                yield from self._head()
            elif before is _Where.ARGUMENTS:
                yield from self._arguments()
            elif END_TOOL_CALL in self._held:
                self._held = self._held.partition(END_TOOL_CALL)[2]
                self._where = _Where.WORDS
            moved = self._where is not before

    def finish(self) -> Iterator[Part]:
        """Yield the words that were held back; the head of a call that was cut off says nothing."""
        if self._where is _Where.WORDS and not self.calls and self._held:
            yield Said(self._held)

    def _words(self) -> Iterator[Part]:
        words, tag, rest = self._held.partition(TOOL_CALL)
        if tag:
            words = words.removesuffix("\n")
            self._where, self._held = _Where.HEAD, rest
        else:
            held = _beginning(words, "\n" + TOOL_CALL) or _beginning(words, TOOL_CALL)
            words, self._held = words[: len(words) - held], words[len(words) - held :]
        if words and not self.calls:
            yield Said(words)

    def _head(self) -> Iterator[Part]:
        if found := _HEAD.match(self._held):
            self._name, self._text, self._begun = str(json.loads(found[1])), "", False
            self._where, self._held = _Where.ARGUMENTS, self._held[found.end() :]
            yield from self._tell("")

    def _arguments(self) -> Iterator[Part]:
        """Yield the text of an object up to the brace that closes it."""
        end = len(self._held)
        for i, character in enumerate(self._held):
            self._follow(character)
            if not self._depth and not self._string:
                end, self._where = i + 1, _Where.TAIL
                break
        piece, self._held = self._held[:end], self._held[end:]
        yield from self._tell(piece)

    def _tell(self, piece: str) -> Iterator[Part]:
        """Take a piece of the call's arguments; yield what is known to be no repetition."""
        self._text += piece
        if not self._begun:
            if any(name == self._name and text.startswith(self._text) for name, text in self.made):
                return
            self._begun, piece = True, self._text
            yield Called(self.calls, self._name)
            self.calls += 1
        if piece:
            yield Arguments(self.calls - 1, piece)
        if self._where is _Where.TAIL:
            self.made.append((self._name, self._text))

    def _follow(self, character: str) -> None:
        if self._string:
            self._string = self._escaped or character != '"'
            self._escaped = character == "\\" and not self._escaped
        elif character == '"':
            self._string = True
        else:
            self._depth += (character in "{[") - (character in "}]")


def read_whole(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the words of a whole answer, and (name, arguments) of each call."""
    reader = CallReader()
    words, calls = "", list[tuple[str, str]]()
    for part in (*reader.push(text), *reader.finish()):
        if isinstance(part, Said):
            words += part.text
        elif isinstance(part, Called):
            calls.append((part.name, ""))
        else:
            name, arguments = calls[part.index]
            calls[part.index] = name, arguments + part.text
    return words, calls


def whole_calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (name, arguments) of each call of a whole answer; one that was cut off is none."""
    reader = CallReader()
    deque(reader.push(text), maxlen=0)
    return [(name, json.loads(arguments)) for name, arguments in reader.made]


def _beginning(text: str, tag: str) -> int:
    """Return the length of the longest end of ``text`` that begins ``tag``."""
    return next((n for n in range(min(len(text), len(tag) - 1), 0, -1) if text.endswith(tag[:n])), 0)
