"""Language step: what language a document is written in, and whether that is one we want.

Input: texts and their declared languages. Output: labels with confidences, checked against the script. The model is
py3langid's, limited to the wanted languages and their closest neighbours, so that a neighbour is recognised as one;
its automaton runs in the native kernel, over the beginning and the middle of a text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus import _text
from smolforge.corpus.config import NOT_DETECTED, LanguageConfig
from smolforge.corpus.document import Verdict
from smolforge.corpus.text.characters import flags
from smolforge.corpus.text.kernel import buffer_of
from smolforge.corpus.text.language_model import language_model

STEP = "language"
DECLARED_ONLY = frozenset(NOT_DETECTED)
_LATIN, _HAN, _SCRIPTS = 1, 3, {"ar": 2, "zh": 3, "ru": 4}  # columns of script_counts; column 0: all letters
_HAN_LETTERS = 3  # a word of two Han characters says what one of five to seven letters does


@dataclass(frozen=True)
class Detection:
    """``label`` with its probability among the candidate languages, and the share of letters in the label's script."""

    label: str
    confidence: float
    script_share: float


@dataclass(frozen=True)
class Detections:
    """The same for many texts: labels, and float32 columns of their length."""

    labels: list[str]
    confidence: NDArray[np.float32]
    script_share: NDArray[np.float32]


def detect_all(
    texts: Sequence[str], declared: Sequence[str], languages: Sequence[str], sample_characters: int = 1500
) -> Detections:
    """Return what each text is written in; ``code`` and ``math`` are taken as declared, at full confidence.

    Of a longer text, ``sample_characters`` are read: half of them from its beginning, half from its middle.
    ConfigError for a language that the classifier does not know.
    """
    natural = tuple(code for code in languages if code not in DECLARED_ONLY)
    rows = [row for row, code in enumerate(declared) if code not in DECLARED_ONLY]
    labels = list(declared)
    confidence, share = np.ones(len(labels), np.float32), np.ones(len(labels), np.float32)
    samples = [_sample(texts[row], sample_characters) for row in rows]
    found, confidence[rows] = _classify(samples, natural)
    counts = _text.script_counts(flags(), *buffer_of(samples))
    share[rows] = _shares(counts, found)
    for row, label in zip(rows, found, strict=True):
        labels[row] = label
    return Detections(labels, confidence, share)


def detect(text: str, declared: str, languages: Sequence[str], sample_characters: int = 1500) -> Detection:
    """Return what one text is written in, as ``detect_all``."""
    found = detect_all([text], [declared], languages, sample_characters)
    return Detection(found.labels[0], float(found.confidence[0]), float(found.script_share[0]))


def _sample(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    middle, half = len(text) // 2, characters // 2
    return f"{text[:half]}\n{text[max(half, middle) : max(half, middle) + half]}"


def _classify(samples: Sequence[str], languages: tuple[str, ...]) -> tuple[list[str], NDArray[np.float32]]:
    """Return the most probable label of each text and its probability: a softmax of the scores over the root of the
    number of bytes, which keeps it calibrated from a line to a book (py3langid)."""
    model, names = language_model(languages)
    data, offsets = buffer_of(
        [unicodedata.normalize("NFC", text.lower() if text.isupper() else text) for text in samples]
    )
    scores = model.scores(data, offsets) / np.sqrt(np.maximum(np.diff(offsets), 1))[:, None].astype(np.float32)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    odds /= odds.sum(axis=1, keepdims=True)
    labels = list(dict.fromkeys(names))  # a language in two scripts has two classes
    joined = np.stack([odds[:, [name == label for name in names]].sum(axis=1) for label in labels], axis=1)
    best = joined.argmax(axis=1)
    return [labels[place] for place in best], joined[np.arange(len(best)), best]


def script_share(text: str, language: str) -> float:
    """Return the share of letters that belong to the language's script (0 for a text without letters).

    A Han character counts as three letters: with one each, a third of good technical pages in Chinese would fall to
    their Latin names.
    """
    return float(_shares(_text.script_counts(flags(), *buffer_of([text])), [language])[0])


def _shares(counts: NDArray[np.int32], languages: Sequence[str]) -> NDArray[np.float64]:
    """Return the share of each row of ``script_counts`` (n, 5) that is in the script of its language."""
    letters = counts.astype(np.int64)
    letters[:, 0] += (_HAN_LETTERS - 1) * letters[:, _HAN]
    letters[:, _HAN] *= _HAN_LETTERS
    scripts = [_SCRIPTS.get(language, _LATIN) for language in languages]
    return np.asarray(letters[np.arange(len(letters)), scripts] / np.maximum(letters[:, 0], 1))


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
