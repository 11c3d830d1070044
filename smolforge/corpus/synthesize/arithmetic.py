"""Small problems of reasoning-gym with a derivation of ours that its own verifier accepts.

Input: how many, and a seed. Output: ``Problem`` objects. An answer that reasoning-gym does not score 1 is an error.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

from smolforge.corpus.synthesize.slot_logic import Problem
from smolforge.errors import DataError, MissingDependencyError

CHAIN = {"min_terms": 3, "max_terms": 5, "min_digits": 1, "max_digits": 1, "allow_negation": False}
WORD = {"min_word_len": 3, "max_word_len": 6}


def make_problems(count: int, seed: int) -> Iterator[Problem]:
    """Yield ``count`` problems: four sums with running totals to one word spelled backwards."""
    if importlib.util.find_spec("reasoning_gym") is None:
        raise MissingDependencyError("reasoning-gym", "data", "arithmetic problems")
    import reasoning_gym  # type: ignore[import-untyped]

    backwards = count // 5
    for name, size, options in (("chain_sum", count - backwards, CHAIN), ("spell_backward", backwards, WORD)):
        if size:
            dataset = reasoning_gym.create_dataset(name, size=size, seed=seed, **options)
            for index in range(size):
                yield _checked(name, dataset, dataset[index])


def _checked(name: str, dataset: Any, entry: dict[str, Any]) -> Problem:
    question, derivation, answer = _chain_sum(entry) if name == "chain_sum" else _spell_backward(entry)
    if dataset.score_answer(answer=answer, entry=entry) != 1.0:
        raise DataError(f"reasoning-gym {name}: its verifier refuses {answer!r} for {entry['question']!r}")
    return Problem(name, "en", question, derivation, answer, derivation.count("\n") + 1)


def _chain_sum(entry: dict[str, Any]) -> tuple[str, str, str]:
    """One line per step: the running total, the sign, the term, the new total."""
    expression = str(entry["metadata"]["expression"])
    total, *rest = expression.split()
    lines = []
    for sign, term in zip(rest[::2], rest[1::2], strict=True):
        after = str(int(total) + int(term) if sign == "+" else int(total) - int(term))
        lines.append(f"{total} {sign} {term} = {after}")
        total = after
    return f"{expression} =", "\n".join(lines), total


def _spell_backward(entry: dict[str, Any]) -> tuple[str, str, str]:
    """The letters apart, then apart from the end."""
    word = str(entry["metadata"]["word"])
    return f"Spell backwards: {word}", f"{' '.join(word)}\n{' '.join(word[::-1])}", word[::-1]
