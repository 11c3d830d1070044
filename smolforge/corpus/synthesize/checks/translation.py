"""Bitext scoring: a translation is in its language, of its length, with the same numbers and names, and comes back.

Input: a candidate with ``translation`` and ``back``. Output: a finding with the first score below its limit, and all
scores.
"""

from __future__ import annotations

from smolforge.corpus.synthesize import bitext as scores
from smolforge.corpus.synthesize.candidate import Candidate, Finding
from smolforge.corpus.synthesize.checks.text import in_language
from smolforge.corpus.synthesize.limits import Limits


def bitext(candidate: Candidate, limits: Limits) -> Finding:
    """Hold the translation against the text, and the text against what came back."""
    text, language = candidate.source.text, candidate.source.language
    target = str(candidate.values["target_code"])
    translation, back = str(candidate.values["translation"]), str(candidate.values["back"])
    if translation.strip() == text.strip():
        return Finding("the translation is the text itself")
    spoken = in_language(translation, target, limits)
    returned = in_language(back, language, limits)
    ratio = scores.length_ratio(text, translation, language, target)
    measured = {
        "numbers": scores.preserved(scores.numbers(text), scores.numbers(translation)),
        "entities": scores.preserved(scores.names(text), scores.names(translation)),
        "chrf": scores.chrf(back, text),
    }
    measures = {name: round(value, 4) for name, value in {"translation_ratio": ratio, **measured}.items()}
    least, most = limits.translation_ratio
    fault = None
    if spoken.fault or returned.fault:
        fault = f"the translation: {spoken.fault}" if spoken.fault else f"the way back: {returned.fault}"
    elif not least <= ratio <= most:
        fault = f"{ratio:.2f} times as long as is usual, expected {least} to {most}"
    else:
        floors = {"numbers": limits.numbers, "entities": limits.entities, "chrf": limits.chrf}
        low = next((name for name, value in measured.items() if value < floors[name]), None)
        fault = f"{low} {measured[low]:.2f}, expected {floors[low]} or more" if low else None
    return Finding(fault, measures)
