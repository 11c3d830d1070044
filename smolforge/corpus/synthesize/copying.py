"""Plain documents that teach looking things up: lines ``key=value`` whose keys come again, and the test of it.

Input: ordinary words of each language. Output: document rows. Short drills are facts told again and again, so that most
of their tokens are answers; long ones have filler between the facts, or ask all of them at the end; needle tests of
given lengths keep the answer in ``meta``. The model learns pairs of words, the test has pairs that no drill holds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

from smolforge.corpus.synthesize.config import CopyingConfig
from smolforge.corpus.synthesize.conversation import Row
from smolforge.corpus.synthesize.home_values import Filler, load_home_values
from smolforge.corpus.synthesize.keyed import fraction, keyed_random
from smolforge.corpus.synthesize.pseudo_words import pseudo_word

HELD_OUT_PAIRS = 0.1  # share of the pairs (key, value) that only the test has
DEPTHS = 10  # the test's needles stand at as many depths, evenly spread


def document(doc_id: str, text: str, source: str, language: str, meta: dict[str, object]) -> Row:
    """Return one row of the document table."""
    return {"doc_id": doc_id, "text": text, "url": "", "source": source, "licence": "Apache-2.0", "language": language,
            "meta": json.dumps(meta, ensure_ascii=False)}  # fmt: skip


def fact(key: str, value: str) -> str:
    """Return the line that tells a fact, and asks for it where it ends behind the sign."""
    return f"{key}={value}"


class Drills:
    """Writes drills in one language; each is a function of the generator it is given."""

    def __init__(self, language: str, words: tuple[str, ...], held_out_values: float) -> None:
        self.language, self.words = language, words
        self.filler = Filler(load_home_values(language, held_out_values), "train", "real")

    def _word(self, rng: random.Random) -> str:
        return rng.choice(self.words) if self.words else pseudo_word(self.language, rng)

    def facts(self, rng: random.Random, count: int, *, held_out: bool = False) -> dict[str, str]:
        """Return ``count`` different keys with different values, all pairs of them trained or all held out."""
        keys: dict[str, str] = {}
        while len(keys) < count:
            key, value = self._word(rng), self._word(rng)
            known = {*keys, *keys.values()}
            if key != value and not {key, value} & known and self._is_held_out(key, value) == held_out:
                keys[key] = value
        return keys

    def _is_held_out(self, key: str, value: str) -> bool:
        return fraction("copying", self.language, key, value) < HELD_OUT_PAIRS

    def repeated(self, rng: random.Random, facts: dict[str, str], rounds: int) -> list[str]:
        """Return the facts ``rounds`` times, each time in another order."""
        return [fact(key, facts[key]) for _ in range(rounds) for key in rng.sample(list(facts), len(facts))]

    def short(self, rng: random.Random, config: CopyingConfig) -> str:
        """Return a few facts, told again and again."""
        facts = self.facts(rng, rng.randint(*config.short_facts))
        return "\n".join(self.repeated(rng, facts, rng.randint(*config.rounds)))

    def long(self, rng: random.Random, config: CopyingConfig) -> str:
        """Return facts told again and again with filler lines between them, and all of them once more at the end.

        How much filler there is differs from text to text, from none to four lines in five.
        """
        size, share = rng.randint(*config.long_characters), rng.uniform(0, 0.8)
        facts = self.facts(rng, rng.randint(*config.long_facts))
        lines: list[str] = []
        told = 0
        while told < size:
            for line in self.repeated(rng, facts, 1):
                while told < size and rng.random() < share:
                    lines.append(self._filler(rng))
                    told += len(lines[-1]) + 1
                lines.append(line)
                told += len(line) + 1
        return "\n".join([*lines, *self.repeated(rng, facts, 1)])

    def _filler(self, rng: random.Random) -> str:
        return self.filler("message", (), "", rng)

    def needle(self, rng: random.Random, characters: int, count: int, depth: float) -> tuple[str, str, str]:
        """Return (text that ends in the question, key, value): facts among filler, the asked one at ``depth`` (0 to 1).

        The text is at most ``characters`` long, unless the facts alone are longer.
        """
        facts = self.facts(rng, count, held_out=True)
        asked, *others = facts
        question = fact(asked, "")
        room = characters - sum(len(fact(*pair)) + 1 for pair in facts.items()) - len(question)
        lines: list[str] = []
        while (line := self._filler(rng)) and room > len(line):
            lines.append(line)
            room -= len(line) + 1
        for key in others:
            lines.insert(rng.randint(0, len(lines)), fact(key, facts[key]))
        lines.insert(round(depth * len(lines)), fact(asked, facts[asked]))
        return "\n".join([*lines, question]), asked, facts[asked]


def writers(config: CopyingConfig, words: Mapping[str, tuple[str, ...]], held_out_values: float) -> list[Drills]:
    """Return a writer for each language, of its short ``words`` (none: invented ones)."""
    short = {language: tuple(w for w in known if len(w) <= config.word_length) for language, known in words.items()}
    return [Drills(language, known, held_out_values) for language, known in short.items()]


def copying_documents(config: CopyingConfig, drills: list[Drills], seed: int) -> dict[str, list[Row]]:
    """Return the short drills, ``copying``, and the long ones, ``copying_long``; the languages take turns."""
    rows: dict[str, list[Row]] = {}
    for name, count, write in (("copying", config.short, Drills.short), ("copying_long", config.long, Drills.long)):
        rows[name] = []
        for number in range(count):
            drill = drills[number % len(drills)]
            text = write(drill, keyed_random(seed, name, number), config)
            rows[name].append(document(f"{name}/{drill.language}/{number}", text, name, drill.language, {}))
    return rows


def needle_documents(config: CopyingConfig, drills: list[Drills], seed: int) -> list[Row]:
    """Return the test: the text ends in the question, and the answer is in ``meta``."""
    rows = []
    for characters in config.needle_characters:
        for number in range(config.needles_per_length):
            drill = drills[number % len(drills)]
            rng = keyed_random(seed, "needle", characters, number)
            depth = (number % DEPTHS) / (DEPTHS - 1)
            text, key, answer = drill.needle(rng, characters, config.needle_facts, depth)
            meta: dict[str, object] = {"needle_key": key, "answer": answer, "characters": characters}
            rows.append(document(f"needle/{characters}/{number}", text, "needle", drill.language, meta))
    return rows
