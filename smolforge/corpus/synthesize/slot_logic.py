"""Slot logic: where the robot is after several places were swapped. One step is easy; all of them at once are not.

Input: a language and a generator. Output: ``Problem`` with the question, a derivation of one line per swap, and the
answer. ``replay`` is the independent check: it reads the text back, keeps the whole house and simulates every step.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from itertools import combinations

from smolforge.errors import DataError


@dataclass(frozen=True)
class Problem:
    """A question with one answer. ``kind`` names the generator, ``steps`` the lines a derivation needs."""

    kind: str
    language: str
    question: str
    derivation: str
    answer: str
    steps: int


@dataclass(frozen=True)
class Wording:
    """How a language says it: where the robot starts, what the numbered pairs are, and the question."""

    start: str
    swap: str
    ask: str


PLACES = "ABCDE"
WORDINGS: dict[str, Wording] = {
    "en": Wording("robot in {}", "swap", "where?"),
    "fr": Wording("robot dans {}", "échange", "où ?"),
    "es": Wording("robot en {}", "cambia", "¿dónde?"),
    "de": Wording("Roboter in {}", "tausche", "wo?"),
    "it": Wording("robot in {}", "scambia", "dove?"),
    "pt": Wording("robô em {}", "troca", "onde?"),
    "ru": Wording("робот: {}", "поменяй", "где?"),
    "ar": Wording("الروبوت في {}", "بدل", "أين؟"),
    "zh": Wording("机器人在 {}", "交换", "哪里？"),
}


def make_problem(language: str, rng: random.Random, steps: int, options: int) -> Problem:
    """Return a problem with ``options`` places and ``steps`` swaps.

    Every pair of places is equally likely in every step. So, whatever the last swaps are, each place remains an equally
    likely answer as long as the steps before are not known: there is no shortcut, and a guess is right once in
    ``options``. A derivation line repeats its number and its pair, then says where the robot is now.
    """
    say, places = WORDINGS[language], PLACES[:options]
    start = where = rng.choice(places)
    swaps, lines = [], []
    for number in range(1, steps + 1):
        first, second = rng.sample(places, 2)
        where = second if where == first else first if where == second else where
        swaps.append(f"{number}{first}{second}")
        lines.append(f"{swaps[-1]}:{where}")
    text = f"{say.start.format(start)}; {say.swap} {' '.join(swaps)}; {say.ask}"
    return Problem("slot_logic", language, text, "\n".join(lines), where, steps)


def replay(problem: Problem) -> str:
    """Simulate the swaps from the text alone and return the answer; DataError where text or derivation is wrong."""
    say = WORDINGS[problem.language]
    start, swaps, ask = problem.question.split("; ")
    found = re.fullmatch(re.escape(say.start).replace(r"\{\}", "(.+)"), start)
    if found is None or ask != say.ask or not swaps.startswith(f"{say.swap} "):
        raise DataError(f"slot logic: cannot read {problem.question!r}")
    house = {place: place == found.group(1) for place in PLACES}
    pairs = swaps.removeprefix(f"{say.swap} ").split()
    lines = problem.derivation.split("\n")
    if len(lines) != len(pairs):
        raise DataError(f"slot logic: {len(lines)} lines derive {len(pairs)} swaps in {problem.question!r}")
    for expected, (pair, line) in enumerate(zip(pairs, lines, strict=True), start=1):
        number, first, second = tuple(pair)
        house[first], house[second] = house[second], house[first]
        (here,) = (place for place, robot in house.items() if robot)
        if number != str(expected) or line != f"{pair}:{here}":
            raise DataError(f"slot logic: line {expected} of the derivation of {problem.question!r} is wrong: {line!r}")
    return here


def capacity(steps: tuple[int, int], options: int) -> int:
    """Return how many different problems a language has: starts times ordered pairs, over all numbers of steps."""
    pairs = 2 * len(list(combinations(range(options), 2)))
    return sum(options * pairs**number for number in range(steps[0], steps[1] + 1))
