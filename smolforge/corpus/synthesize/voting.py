"""Self-consistency: several samples of one answer, and the one that most of them agree on.

Input: answers in the order of their seeds. Output: the first sample of the largest group, and the group's size. After
Wang et al., "Self-Consistency Improves Chain of Thought Reasoning" (arXiv 2203.11171): samples that reason
differently and agree are right more often than any one of them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from smolforge.corpus.synthesize.equations import number_in

_ANSWER = re.compile(
    r"(?mi)^[^\w\n]*(?:the |final |la |die |il |a )*"
    r"(?:answer|réponse|respuesta|antwort|risposta|resposta|ответ|答案|الإجابة|الجواب)(?: is)?[^\w\n]*?[:：]\s*"
)
_THINK = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
_NUMBER_ALONE = re.compile(r"[^\w]*[-−]?\d[\d.,'\s]*\s*(?:%|\w{1,20})?[^\w]*")


def thoughts_and_answer(text: str) -> tuple[str, str]:
    """Divide a solution at its last line "Answer: "; the answer is "" where there is none."""
    found = list(_ANSWER.finditer(text))
    if not found:
        return text.strip(), ""
    last = found[-1]
    answer = text[last.end() :].strip().strip("*").strip()
    return text[: last.start()].strip().rstrip("*").strip(), answer


def normalised(answer: Any) -> str:
    """Return the form in which two answers are the same: a number's value, JSON in canonical order, bare lower case."""
    if not isinstance(answer, str):
        return json.dumps(answer, sort_keys=True, ensure_ascii=False).casefold()
    if _NUMBER_ALONE.fullmatch(answer.strip("$€£¥ ")):
        value = number_in(answer)
        if value is not None:
            return str(value)
    folded = unicodedata.normalize("NFKC", answer).casefold()
    return " ".join(re.sub(r"[^\w%]+", " ", folded).split())


def majority(answers: Sequence[Any]) -> tuple[int, int]:
    """Return (position of the first answer of the largest group, size of the group); answers None or empty are in no
    group. Of groups of one size, the one whose first answer comes first. (-1, 0) where there is no answer."""
    keys = [normalised(answer) if answer not in (None, "") else "" for answer in answers]
    counts = Counter(key for key in keys if key)
    if not counts:
        return -1, 0
    most = max(counts.values())
    return next((i, most) for i, key in enumerate(keys) if key and counts[key] == most)


def without_thinking(text: str) -> tuple[str, str]:
    """Return (reasoning, answer) of a reply whose generator writes its reasoning between tags into the text."""
    found = _THINK.match(text)
    return (found[1].strip(), text[found.end() :]) if found else ("", text)
