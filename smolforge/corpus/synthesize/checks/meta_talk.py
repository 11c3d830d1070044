"""Refusals and talk about the task: "As an AI", "Sure, here is", in nine languages.

Input: a candidate. Output: a finding that quotes the words. Phrases are data (``meta_talk.yaml``): those of an
opening count where a message begins, those of a closing where it ends, the others anywhere.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import yaml

from smolforge.corpus.synthesize.candidate import PASSED, Candidate, Finding
from smolforge.corpus.synthesize.limits import Limits

_EDGE = 160  # characters of a beginning or an end


@functools.cache
def _phrases() -> dict[str, re.Pattern[str]]:
    data = yaml.safe_load((Path(__file__).parent / "meta_talk.yaml").read_text("utf-8"))
    joined = {where: "|".join(p for phrases in by.values() for p in phrases) for where, by in data.items()}
    return {
        "opening": re.compile(rf"\A[\W_]*(?:{joined['opening']})", re.IGNORECASE),
        "anywhere": re.compile(rf"(?:{joined['anywhere']})", re.IGNORECASE),
        "closing": re.compile(rf"(?:{joined['closing']})", re.IGNORECASE),
    }


def find_meta_talk(text: str) -> str | None:
    """Return the words that speak of the task and not of its matter, or None."""
    plain = text.replace("’", "'").replace("\u00a0", " ").strip()
    phrases = _phrases()
    found = (
        phrases["opening"].search(plain[:_EDGE])
        or phrases["anywhere"].search(plain)
        or phrases["closing"].search(plain[-_EDGE:])
    )
    return found[0].strip() if found else None


def meta_talk(candidate: Candidate, limits: Limits) -> Finding:
    """No answer refuses, greets, announces or comments what was asked for."""
    for name, value in candidate.values.items():
        if isinstance(value, str) and name in candidate.values.get("asked", ()):
            found = find_meta_talk(value)
            if found:
                return Finding(f"'{name}' says {found!r}")
    return PASSED
