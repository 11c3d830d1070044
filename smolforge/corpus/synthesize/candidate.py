"""What is judged: one sample with the document it came from, and what a check has to say about it.

Input: the answers to a format's asks. Output: ``Candidate`` and ``Finding``; every check is a function from one to
the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smolforge.corpus.document import Document


@dataclass(frozen=True)
class Candidate:
    """``source``: the document, cut to what the generator was shown. ``values``: answers by name, and what the checks
    need (``tools``, ``target``). ``votes``: (samples that agree, samples asked), where there was a vote. ``keys``:
    the requests whose answers it is made of. ``text``: all of the result that a person reads."""

    source: Document
    values: Mapping[str, Any]
    text: str
    keys: tuple[str, ...] = ()
    votes: tuple[int, int] | None = None


@dataclass(frozen=True)
class Finding:
    """What one check found. ``fault`` is the evidence against a sample, None where it passed; ``measures`` are what was
    measured either way, by name."""

    fault: str | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


PASSED = Finding()
