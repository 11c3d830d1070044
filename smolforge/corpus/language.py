"""Language step: what language a document is written in, and whether that is one we want.

Input: text and the declared language. Output: a label with its confidence, checked against the script. The classifier
is py3langid, limited to the wanted languages and their closest neighbours, so that a neighbour is recognised as one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smolforge.corpus.config import LanguageConfig
from smolforge.corpus.document import Verdict
from smolforge.corpus.text import HAN
from smolforge.errors import ConfigError, MissingDependencyError, nearest

STEP = "language"
DECLARED_ONLY = frozenset({"code", "math"})  # no classifier knows them; the source kind says so
_NEIGHBOURS = "ca gl oc nl lb ro da no sv pl cs tr la fa ur ps uk bg be sr mk kk ja ko he el hi vi id"
NEIGHBOURS = tuple(_NEIGHBOURS.split())
SCRIPTS = {
    "ar": re.compile(r"[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff]"),
    "zh": re.compile(rf"[{HAN}]"),
    "ru": re.compile(r"[\u0400-\u052f]"),
}
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")


@dataclass(frozen=True)
class Detection:
    """``label`` with its probability among the candidate languages, and the share of letters in the label's script."""

    label: str
    confidence: float
    script_share: float


@functools.lru_cache(maxsize=4)
def _classifier(languages: tuple[str, ...]) -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]
    except ImportError:
        raise MissingDependencyError("py3langid", "data", "the language step") from None
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    known = set(identifier.labels)
    for language in languages:
        if language not in known:
            raise ConfigError(
                f"corpus.languages: '{language}' is not known to the classifier{nearest(language, known)}"
            )
    identifier.set_languages([*languages, *(code for code in NEIGHBOURS if code not in languages and code in known)])
    return identifier


def detect(text: str, declared: str, languages: Sequence[str], sample_characters: int = 4000) -> Detection:
    """Return what the text is written in; ``code`` and ``math`` are taken as declared, at full confidence."""
    if declared in DECLARED_ONLY:
        return Detection(declared, 1.0, 1.0)
    sample = text[:sample_characters]
    natural = tuple(code for code in languages if code not in DECLARED_ONLY)
    label, confidence = _classifier(natural).classify(sample)
    return Detection(str(label), round(float(confidence), 4), round(script_share(sample, str(label)), 4))


def script_share(text: str, language: str) -> float:
    """Return the share of letters that belong to the language's script (0 for a text without letters)."""
    letters = "".join(filter(str.isalpha, text))
    return len(SCRIPTS.get(language, _LATIN).findall(letters)) / len(letters) if letters else 0.0


def judge(detection: Detection, declared: str, languages: Sequence[str], config: LanguageConfig) -> Verdict | None:
    """Return why a document is not in a wanted language, or None."""
    label, evidence = detection.label, f"{detection.label} {detection.confidence:.2f}"
    if label in DECLARED_ONLY:
        return None
    if detection.confidence < config.confidence:
        return Verdict(STEP, "language unclear", f"{evidence}, floor {config.confidence}")
    if label not in languages:
        return Verdict(STEP, "language not wanted", evidence)
    if declared and declared != label:
        return Verdict(STEP, "not the declared language", f"declared {declared}, reads as {evidence}")
    if detection.script_share < config.script_share:
        share = f"{detection.script_share:.2f} of letters in the script of {label}, floor {config.script_share}"
        return Verdict(STEP, "script of another language", share)
    return None
