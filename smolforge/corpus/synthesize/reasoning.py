"""The reasoning sets: problems with derivations for mid-training and SFT, and a test that asks each in both modes.

Input: slot logic and arithmetic problems. Output: conversation rows. A problem belongs to one set, so no test problem
is ever trained.
"""

from __future__ import annotations

from collections.abc import Iterator

from smolforge.corpus.synthesize import arithmetic, slot_logic
from smolforge.corpus.synthesize.config import ReasoningConfig
from smolforge.corpus.synthesize.conversation import Mode, Row
from smolforge.corpus.synthesize.keyed import fraction, keyed_random
from smolforge.corpus.synthesize.slot_logic import Problem
from smolforge.errors import ConfigError, DataError
from smolforge.store.digest import digest_bytes

SETS = ("reasoning_midtrain", "reasoning_train", "reasoning_test")


def build_reasoning(config: ReasoningConfig, languages: tuple[str, ...], seed: int) -> dict[str, list[Row]]:
    """Return the rows of the three sets."""
    counts = dict(zip(SETS, (config.midtrain, config.train, config.test), strict=True))
    wanted = sum(counts.values())
    logic = round(wanted * config.slot_logic_share)
    made = [*_slot_logic(config, languages, seed, logic), *_arithmetic(seed, wanted - logic)]
    problems = sorted(made, key=lambda problem: fraction(seed, problem.language, problem.question))
    sets: dict[str, list[Row]] = {}
    for name, count in counts.items():
        chosen, problems = problems[:count], problems[count:]
        if name == "reasoning_test":
            sets[name] = [reasoning_row(name, problem, mode) for problem in chosen for mode in ("think", "no_think")]
        else:
            share = config.midtrain_think_share if name == "reasoning_midtrain" else config.train_think_share
            sets[name] = [reasoning_row(name, problem, _mode(seed, problem, share)) for problem in chosen]
    return sets


def _mode(seed: int, problem: Problem, share: float) -> Mode:
    return "think" if fraction(seed, "mode", problem.language, problem.question) < share else "no_think"


def _slot_logic(config: ReasoningConfig, languages: tuple[str, ...], seed: int, wanted: int) -> Iterator[Problem]:
    """Yield ``wanted`` different problems in the languages in turn, each replayed by the independent check."""
    chosen: tuple[str, ...] = config.slot_logic_languages
    spoken = [language for language in languages if language in chosen] or list(languages[:1])
    most = slot_logic.capacity(config.steps, config.options) * len(spoken)
    if wanted > most // 2:
        raise ConfigError(
            f"reasoning: {wanted} slot logic problems asked for, at most {most // 2} fit into reasoning.steps "
            f"{list(config.steps)} with {config.options} options; raise either or lower the counts"
        )
    seen: set[str] = set()
    number = 0
    while len(seen) < wanted:
        language = spoken[number % len(spoken)]
        rng = keyed_random(seed, "slot_logic", number)
        problem = slot_logic.make_problem(language, rng, rng.randint(*config.steps), config.options)
        if slot_logic.replay(problem) != problem.answer:
            raise DataError(f"slot logic: {problem.question!r} does not end in {problem.answer!r}")
        number += 1
        if problem.question not in seen:
            seen.add(problem.question)
            yield problem


def _arithmetic(seed: int, wanted: int) -> list[Problem]:
    """Return up to ``wanted`` different problems of all kinds; small sums repeat, so more are drawn."""
    different = {problem.question: problem for problem in arithmetic.make_problems(2 * wanted, seed)}
    return sorted(different.values(), key=lambda problem: fraction(seed, "chosen", problem.question))[:wanted]


def reasoning_row(set_name: str, problem: Problem, mode: Mode) -> Row:
    """Return one problem as a conversation; ``group`` joins the two modes of a test problem."""
    answer: Row = {"role": "assistant", "content": problem.answer}
    if mode == "think":
        answer["reasoning_content"] = problem.derivation
    group = digest_bytes(f"{problem.language} {problem.question}".encode())[:12]
    return {
        "id": f"{set_name}/{problem.kind}/{group}/{mode}",
        "messages": [{"role": "user", "content": problem.question}, answer],
        "mode": mode,
        "language": problem.language,
        "source": "smolforge" if problem.kind == "slot_logic" else "reasoning-gym",
        "group": group,
        "meta": {"kind": problem.kind, "steps": problem.steps},
    }
