"""The reasoning sets: problems with derivations for mid-training and SFT, and a test that asks each problem in both modes.

Input: slot logic and arithmetic problems. Output: conversation rows. A problem belongs to one set: the hash of its key decides,
so no test problem is ever trained.
"""

from __future__ import annotations

from collections.abc import Iterator

from smolforge.corpus.synthesize import arithmetic, slot_logic
from smolforge.corpus.synthesize.config import ReasoningConfig
from smolforge.corpus.synthesize.conversation import Mode, Row
from smolforge.corpus.synthesize.keyed import fraction, keyed_random
from smolforge.corpus.synthesize.slot_logic import Problem
from smolforge.errors import DataError
from smolforge.store.digest import digest_bytes

SETS = ("reasoning_midtrain", "reasoning_train", "reasoning_test")


def build_reasoning(config: ReasoningConfig, languages: tuple[str, ...], seed: int) -> dict[str, list[Row]]:
    """Return the rows of the three sets."""
    counts = dict(zip(SETS, (config.midtrain, config.train, config.test), strict=True))
    problems = sorted(_problems(config, languages, seed, sum(counts.values())), key=lambda p: fraction(seed, p.key))
    sets: dict[str, list[Row]] = {}
    start = 0
    for name, count in counts.items():
        chosen, start = problems[start : start + count], start + count
        if name == "reasoning_test":
            sets[name] = [reasoning_row(name, p, mode) for p in chosen for mode in ("think", "no_think")]
        else:
            share = config.midtrain_think_share if name == "reasoning_midtrain" else config.train_think_share
            sets[name] = [reasoning_row(name, p, _mode(seed, p, share)) for p in chosen]
    return sets


def _mode(seed: int, problem: Problem, share: float) -> Mode:
    return "think" if fraction(seed, "mode", problem.key) < share else "no_think"


def _problems(config: ReasoningConfig, languages: tuple[str, ...], seed: int, wanted: int) -> Iterator[Problem]:
    """Yield ``wanted`` different problems, slot logic in every language in turn."""
    logic = round(wanted * config.slot_logic_share)
    seen: set[str] = set()
    number = 0
    while len(seen) < logic:
        language = languages[number % len(languages)]
        rng = keyed_random(seed, "slot_logic", number)
        problem = slot_logic.make_problem(language, rng, rng.randint(*config.steps), config.options)
        if slot_logic.replay(problem) != problem.answer:
            raise DataError(f"slot logic: the replay of {problem.question!r} does not end in {problem.answer!r}")
        number += 1
        if number > 20 * logic + 1000:
            raise DataError(
                f"slot logic: fewer than {logic} different problems; raise reasoning.steps or reasoning.options"
            )
        if problem.key not in seen:
            seen.add(problem.key)
            yield problem
    for problem in arithmetic.make_problems(2 * (wanted - logic), seed):
        if len(seen) < wanted and problem.key not in seen:
            seen.add(problem.key)
            yield problem


def reasoning_row(set_name: str, problem: Problem, mode: Mode) -> Row:
    """Return one problem as a conversation; ``group`` joins the two modes of a test problem."""
    answer: Row = {"role": "assistant", "content": problem.answer}
    if mode == "think":
        answer["reasoning_content"] = problem.derivation
    group = digest_bytes(problem.key.encode())[:12]
    return {
        "id": f"{set_name}/{problem.kind}/{group}/{mode}",
        "messages": [{"role": "user", "content": problem.question}, answer],
        "mode": mode,
        "language": problem.language,
        "source": "reasoning-gym" if problem.kind != "slot_logic" else "smolforge",
        "group": group,
        "meta": {"kind": problem.kind, "steps": problem.derivation.count("\n")},
    }
