"""Plain documents that teach copying: lists of keys and values, then a key again whose value has to be repeated.

Input: home values and invented words. Output: document rows: short drills, long ones with filler between the facts, and
needle tests of given lengths whose answer lies in ``meta``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

from smolforge.corpus.synthesize.config import CopyingConfig
from smolforge.corpus.synthesize.conversation import Row
from smolforge.corpus.synthesize.home_values import Filler, load_home_values
from smolforge.corpus.synthesize.keyed import keyed_random
from smolforge.corpus.synthesize.pseudo_words import pseudo_word

LISTS = ("area", "item", "name", "search_query", "timer_name")


def document(doc_id: str, text: str, source: str, language: str, meta: dict[str, object]) -> Row:
    """Return one row of the document table."""
    return {"doc_id": doc_id, "text": text, "url": "", "source": source, "licence": "Apache-2.0", "language": language,
            "meta": json.dumps(meta, ensure_ascii=False)}  # fmt: skip


class Drills:
    """Writes drills in one language from training values; each is a function of the seed and its number."""

    def __init__(self, language: str, held_out_values: float, seed: int, words: tuple[str, ...] = ()) -> None:
        self.language, self.seed = language, seed
        home = load_home_values(language, held_out_values)
        self.real, self.pseudo = Filler(home, "train", "real"), Filler(home, "train", "invented", words)

    def value(self, rng: random.Random) -> str:
        """Return a real value half of the time, invented words otherwise."""
        filler = self.real if rng.random() < 0.5 else self.pseudo
        return filler(rng.choice(LISTS), (), "", rng)

    def facts(self, rng: random.Random, count: int) -> dict[str, str]:
        """Return ``count`` different keys, each with a value."""
        keys: dict[str, str] = {}
        while len(keys) < count:
            keys.setdefault(pseudo_word(self.language, rng), self.value(rng))
        return keys

    def short(self, number: int, count: tuple[int, int]) -> Row:
        """Return some facts, then one to three of their keys asked again."""
        rng = keyed_random(self.seed, "copying", self.language, number)
        facts = self.facts(rng, rng.randint(*count))
        asked = rng.sample(list(facts), min(len(facts), rng.randint(1, 3)))
        lines = [f"{key}: {value}" for key, value in facts.items()] + [f"{key}? {facts[key]}" for key in asked]
        return document(f"copying/{self.language}/{number}", "\n".join(lines), "copying", self.language, {})

    def long(self, characters: int, count: tuple[int, int], rng: random.Random) -> tuple[str, str, str]:
        """Return (text that ends in the question, key, value): facts anywhere among filler lines, one asked.

        The text is at most ``characters`` long, unless the facts alone are longer.
        """
        facts = self.facts(rng, rng.randint(*count))
        key = rng.choice(list(facts))
        lines = [f"{name}: {value}" for name, value in facts.items()]
        room = characters - sum(len(line) + 1 for line in lines) - len(key) - 1
        filler: list[str] = []
        while (line := self.real("message", (), "", rng)) and room > len(line):
            filler.append(line)
            room -= len(line) + 1
        for line in lines:
            filler.insert(rng.randint(0, len(filler)), line)
        return "\n".join([*filler, f"{key}?"]), key, facts[key]


def copying_documents(
    config: CopyingConfig, words: Mapping[str, tuple[str, ...]], held_out_values: float, seed: int
) -> list[Row]:
    """Return the short drills of all languages in turn, then the long ones.

    ``words``: per language what the values to copy are made of, beside pseudo-words.
    """
    drills = [Drills(language, held_out_values, seed, known) for language, known in words.items()]
    rows = [drills[number % len(drills)].short(number, config.short_facts) for number in range(config.short)]
    for number in range(config.long):
        drill = drills[number % len(drills)]
        rng = keyed_random(seed, "copying_long", number)
        text, _, answer = drill.long(rng.randint(*config.long_characters), config.long_facts, rng)
        doc_id = f"copying_long/{drill.language}/{number}"
        rows.append(document(doc_id, f"{text} {answer}", "copying_long", drill.language, {"characters": len(text)}))
    return rows


def needle_documents(config: CopyingConfig, languages: tuple[str, ...], held_out_values: float, seed: int) -> list[Row]:
    """Return the test: the text ends in the question, and the answer is in ``meta``."""
    drills = [Drills(language, held_out_values, seed) for language in languages]
    rows = []
    for characters in config.needle_characters:
        for number in range(config.needles_per_length):
            drill = drills[number % len(drills)]
            rng = keyed_random(seed, "needle", characters, number)
            text, key, answer = drill.long(characters, config.long_facts, rng)
            meta: dict[str, object] = {"needle_key": key, "answer": answer, "characters": characters}
            rows.append(document(f"needle/{characters}/{number}", text, "needle", drill.language, meta))
    return rows
