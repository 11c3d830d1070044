"""Addresses of pages that are not worth reading: by words of the address alone, before the page is looked at.

Input: an address. Output: why the page goes, or None. The words are data (``url_words.json``); the rule of one hard or
two soft words is FineWeb's (arXiv:2406.17557), with words of our own.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from smolforge.corpus.document import Verdict
from smolforge.corpus.extract.one_page import STEP

_WORD = re.compile(r"[^\W\d_]+")
_SOFT_WORDS = 2
_MAX_CHARACTERS = 2000  # of an address; what is longer is a tracker


@dataclass(frozen=True)
class _Words:
    hard: frozenset[str]
    hard_parts: re.Pattern[str]
    soft: frozenset[str]


@functools.cache
def _words() -> _Words:
    table = json.loads((Path(__file__).parent / "url_words.json").read_text(encoding="utf-8"))
    parts = re.compile("|".join(map(re.escape, table["hard_parts"])))
    return _Words(frozenset(table["hard"]), parts, frozenset(table["soft"]))


def judge_url(address: str) -> Verdict | None:
    """Return why a page of this address is not read, or None. An address that cannot be split is judged as a whole."""
    words = _words()
    try:
        parts = urlsplit(address[:_MAX_CHARACTERS])
        host, path = parts.hostname or "", unquote(parts.path)
    except ValueError:
        host, path = "", address[:_MAX_CHARACTERS]
    found = set(_WORD.findall(f"{host} {path}".lower()))
    hard = sorted(found & words.hard)
    part = words.hard_parts.search(host)
    if hard or part:
        return Verdict(STEP, "address blocked", hard[0] if hard else f"'{part[0]}' in the host" if part else "")
    soft = sorted(found & words.soft)
    if len(soft) >= _SOFT_WORDS:
        return Verdict(STEP, "address blocked", f"{' and '.join(soft[:3])}")
    return None
