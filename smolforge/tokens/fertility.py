"""How well a tokenizer serves each language: a few numbers a language, from text it was not trained on where possible.

Input is a codec, texts by language, aligned sentences and conversations; output is ``fertility.json`` for the report.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from smolforge.tokens.template import ChatCodec

REFERENCE = "en"
# a word: a run of letters, marks and digits; a Han character is a word of its own
_WORD = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002ffff]|[^\W_\u3400-\u4dbf\u4e00-\u9fff]+")


class EncodesText(Protocol):
    """Anything that turns texts into ids."""

    def encode_text(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode texts as plain text."""


def fertility(codec: EncodesText, texts: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """Return per language: ``tokens_per_word``, ``bytes_per_token``, ``split_words`` (share of running words that are
    more than one token, alone), ``texts`` (how many were measured)."""
    result = {}
    for language, rows in texts.items():
        tokens = sum(map(len, codec.encode_text(rows)))
        words = [word for row in rows for word in _WORD.findall(row)]
        distinct = list(dict.fromkeys(words))
        pieces = dict(zip(distinct, map(len, codec.encode_text(distinct)), strict=True))
        if tokens and words:
            result[language] = {
                "tokens_per_word": round(tokens / len(words), 4),
                "bytes_per_token": round(sum(len(row.encode()) for row in rows) / tokens, 4),
                "split_words": round(sum(pieces[word] > 1 for word in words) / len(words), 4),
                "texts": len(rows),
            }
    return result


def parity(codec: EncodesText, aligned: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Return per language its tokens relative to English on sentences that both have (1 = equal)."""
    ratios: dict[str, float] = {}
    for language in sorted({key for row in aligned for key in row} - {"id", REFERENCE}):
        both = [row for row in aligned if language in row and REFERENCE in row]
        mine, theirs = (sum(map(len, codec.encode_text([row[key] for row in both]))) for key in (language, REFERENCE))
        if theirs:
            ratios[language] = round(mine / theirs, 4)
    return {REFERENCE: 1.0, **ratios} if ratios else {}


def copied_values(row: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the last user message and the string arguments of the answer's calls that are copied from it.

    ``meta.free`` names the copied arguments; without it every one that stands in the message counts.
    """
    command = next((m["content"] for m in reversed(row["messages"]) if m["role"] == "user"), "")
    free = (row.get("meta") or {}).get("free")
    pairs = [pair for call in row["messages"][-1].get("tool_calls") or [] for pair in call["arguments"].items()]
    values = [value for name, value in pairs if isinstance(value, str) and (free is None or name in free)]
    return command, [value for value in values if value and value in command]


def copy_share(codec: ChatCodec, rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return per language the share of copied values whose tokens in the answer's JSON also stand in the command."""
    same: dict[str, list[bool]] = defaultdict(list)
    opening = codec.encode_text(['"name": "'])[0]
    for row in rows:
        command, values = copied_values(row)
        for value in values:
            quoted, ids = codec.encode_text([f'"name": "{value}', command])
            wanted = quoted[len(opening) :]
            found = any(ids[i : i + len(wanted)] == wanted for i in range(len(ids) - len(wanted) + 1))
            same[row.get("language", "")].append(found)
    return {language: round(sum(found) / len(found), 4) for language, found in sorted(same.items())}
