"""Slot logic: who is where after a few swaps and moves, told over rooms. One step is easy; all of them at once are not.

Input: a language and a generator. Output: ``Problem`` with the question, a derivation that restates only what the question
needs, and the answer. ``replay`` is the independent check: it reads the text back and simulates every step.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from smolforge.errors import DataError

DEVICES = "ABCDE"


@dataclass(frozen=True)
class Problem:
    """A question with one answer. ``kind`` names the generator, ``key`` the question in a form no wording changes."""

    kind: str
    language: str
    question: str
    derivation: str
    answer: str
    key: str


@dataclass(frozen=True)
class Wording:
    """How a language says it: the three commands and the question."""

    start: str
    swap: str
    rotate: str
    ask: str
    rooms: tuple[str, ...]


WORDINGS: dict[str, Wording] = {
    "en": Wording(
        "{} in {}", "swap {} and {}", "rotate {}", "where is {}?", ("kitchen", "hall", "garage", "office", "attic")
    ),
    "fr": Wording(
        "{} dans {}",
        "échange {} et {}",
        "tourne {}",
        "où est {} ?",
        ("cuisine", "salon", "garage", "bureau", "grenier"),
    ),
    "es": Wording(
        "{} en {}", "cambia {} y {}", "rota {}", "¿dónde está {}?", ("cocina", "salón", "garaje", "oficina", "ático")
    ),
    "de": Wording(
        "{} in {}", "tausche {} und {}", "drehe {}", "wo ist {}?", ("Küche", "Flur", "Garage", "Büro", "Keller")
    ),
    "it": Wording(
        "{} in {}", "scambia {} e {}", "ruota {}", "dove è {}?", ("cucina", "salotto", "garage", "ufficio", "cantina")
    ),
    "pt": Wording(
        "{} em {}", "troca {} e {}", "roda {}", "onde está {}?", ("cozinha", "sala", "garagem", "escritório", "cave")
    ),
    "ru": Wording("{} в {}", "поменяй {} и {}", "поверни {}", "где {}?", ("кухня", "зал", "гараж", "офис", "подвал")),
    "ar": Wording("{} في {}", "بدل {} و {}", "دور {}", "أين {}؟", ("مطبخ", "صالة", "مرآب", "مكتب", "قبو")),
    "zh": Wording("{}在{}", "交换{}和{}", "轮换{}", "{}在哪里？", ("厨房", "客厅", "车库", "书房", "阁楼")),
}


def make_problem(language: str, rng: random.Random, steps: int, options: int) -> Problem:
    """Return a problem with ``options`` rooms, one device in each, and ``steps`` commands over the rooms.

    ``swap X and Y`` exchanges what stands in two rooms. The asked device is traced: a line per step, ``X`` where the device
    was and is, ``X Y`` where the step carried it. At least half of the steps move it, so that guessing its start fails.
    """
    say = WORDINGS[language]
    rooms = list(say.rooms[:options])
    rng.shuffle(rooms)
    device = rng.randrange(options)
    where = rooms[device]
    sentences = [say.start.format(DEVICES[i], room) for i, room in enumerate(rooms)]
    lines = [where]
    for number in range(steps):
        others = [room for room in rooms if room != where]
        if rng.random() < 0.65 or (number == steps - 1 and len(set(lines)) == 1):
            target = rng.choice(others)
            pair = [where, target]
            where = target
        else:
            pair = rng.sample(others, 2)
        rng.shuffle(pair)
        sentences.append(say.swap.format(*pair))
        lines.append(where)
    joint = "；" if language == "zh" else "; "
    question = joint.join([*sentences, say.ask.format(DEVICES[device])])
    return Problem("slot_logic", language, question, "\n".join(lines), where, f"{language} {question}")


def replay(problem: Problem) -> str:
    """Simulate the commands from the text alone and return the answer; DataError where the text or the derivation is wrong.

    Reads the sentences with its own patterns, keeps the whole board, and compares every line of the derivation.
    """
    say = WORDINGS[problem.language]
    board: dict[str, str] = {}
    asked = _match(say.ask, re.split(r"[;；] ?", problem.question)[-1])
    if asked is None:
        raise DataError(f"slot logic: no question in {problem.question!r}")
    trace: list[str] = []
    for sentence in re.split(r"[;；] ?", problem.question)[:-1]:
        if placed := _match(say.start, sentence):
            board[placed[0]] = placed[1]
            continue
        swapped = _match(say.swap, sentence)
        if swapped is None or not set(swapped) <= set(board.values()):
            raise DataError(f"slot logic: cannot read {sentence!r}")
        trace = trace or [board[asked[0]]]
        first, second = swapped
        board = {name: second if room == first else first if room == second else room for name, room in board.items()}
        trace.append(board[asked[0]])
    if problem.derivation.split("\n") != trace:
        raise DataError(f"slot logic: the derivation of {problem.question!r} should be {trace}")
    return trace[-1]


def _match(pattern: str, sentence: str) -> tuple[str, ...] | None:
    expression = "(.+)".join(re.escape(part) for part in pattern.split("{}"))
    found = re.fullmatch(expression, sentence)
    return found.groups() if found else None
