"""Checks on arithmetic: every equation holds, and the answer is the number the working comes to.

Input: a candidate. Output: findings; a wrong equation is the evidence.
"""

from __future__ import annotations

from smolforge.corpus.synthesize.candidate import Candidate, Finding
from smolforge.corpus.synthesize.equations import equations, number_in
from smolforge.corpus.synthesize.limits import Limits
from smolforge.corpus.synthesize.voting import thoughts_and_answer


def arithmetic(candidate: Candidate, limits: Limits) -> Finding:
    """Every equation that can be recomputed is right, and there are as many as the limits ask for."""
    count, wrong = equations(candidate.text)
    if wrong:
        return Finding(wrong[0], {"equations": count, "wrong_equations": len(wrong)})
    if count < limits.equations:
        return Finding(f"{count} equations that can be recomputed, fewer than {limits.equations}", {"equations": count})
    return Finding(measures={"equations": count})


def final_answer(candidate: Candidate, limits: Limits) -> Finding:
    """The answer is a number, and the last one of the working before it."""
    thoughts, answer = thoughts_and_answer(str(candidate.values["solution"]))
    stated, reached = number_in(answer), number_in(thoughts)
    if stated is None:
        return Finding(
            "no line 'Answer: ' with a number" if not answer else f"the answer {answer[:80]!r} has no number"
        )
    if reached != stated:
        return Finding(
            f"the answer is {answer[:80]!r}, the working ends in {'no number' if reached is None else reached}"
        )
    return Finding()
