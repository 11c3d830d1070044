"""The checks by name: each sample passes all that its format lists, or is rejected with what failed and the evidence.

Input: a ``Candidate`` and ``Limits``. Output: ``Finding``s by check. The cheap checks all run, so that a rejected
sample shows every fault; code is executed only where they passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from smolforge.corpus.synthesize.candidate import Candidate, Finding
from smolforge.corpus.synthesize.checks import calls, code, numbers, text, translation
from smolforge.corpus.synthesize.checks.meta_talk import meta_talk
from smolforge.corpus.synthesize.limits import Limits

Check = Callable[[Candidate, Limits], Finding]

CHEAP: dict[str, Check] = {
    "finished": text.finished,
    "meta_talk": meta_talk,
    "pattern": text.pattern,
    "table": text.table,
    "length_ratio": text.length_ratio,
    "repetition": text.repetition,
    "copy_rate": text.copy_rate,
    "grounding": text.grounding,
    "language": text.language,
    "arithmetic": numbers.arithmetic,
    "final_answer": numbers.final_answer,
    "tool_call": calls.tool_call,
    "self_consistency": calls.self_consistency,
    "bitext": translation.bitext,
}
COSTLY: dict[str, Check] = {"executed_code": code.executed_code}
CHECKS: dict[str, Check] = {**CHEAP, **COSTLY}


def examine(candidate: Candidate, names: Iterable[str], limits: Limits) -> tuple[dict[str, str], dict[str, Any]]:
    """Return (faults by check, measures by name). A sample without faults is kept."""
    faults: dict[str, str] = {}
    measures: dict[str, Any] = {}
    for name in sorted(names, key=lambda name: name in COSTLY):
        if name in COSTLY and faults:
            continue
        finding = CHECKS[name](candidate, limits)
        measures.update(finding.measures)
        if finding.fault is not None:
            faults[name] = finding.fault
    return faults, measures
