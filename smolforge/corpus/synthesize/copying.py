"""Plain documents that teach copying: lists of keys and values, then a key again whose value has to be repeated.

Input: home values and invented words. Output: document rows: short drills, long ones with filler between the facts, and needle
tests of given lengths whose answer lies in ``meta``.
"""

from __future__ import annotations

import json
import random

from smolforge.corpus.synthesize.config import CopyingConfig
from smolforge.corpus.synthesize.conversation import Row
from smolforge.corpus.synthesize.home_values import Filler, load_home_values
from smolforge.corpus.synthesize.keyed import keyed_random
from smolforge.corpus.synthesize.pseudo_words import pseudo_word

LISTS = ("area", "item", "name", "search_query", "timer_name", "message")


def document(doc_id: str, text: str, source: str, language: str, meta: dict[str, object]) -> Row:
    """Return one row of the document table."""
    return {"doc_id": doc_id, "text": text, "url": "", "source": source, "licence": "Apache-2.0", "language": language,
            "meta": json.dumps(meta, ensure_ascii=False)}  # fmt: skip


class Drills:
    """Writes drills in one language from training values; each is a function of the seed and its number."""

    def __init__(self, language: str, held_out_values: float, seed: int) -> None:
        self.language, self.seed = language, seed
        home = load_home_values(language, held_out_values)
        self.real, self.pseudo = Filler(home, "train", "real"), Filler(home, "train", "pseudo")

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

    def short(self, number: int) -> Row:
        """Return three to seven facts, then two to four keys asked again."""
        rng = keyed_random(self.seed, "copying", self.language, number)
        facts = self.facts(rng, rng.randint(3, 7))
        asked = rng.sample(list(facts), rng.randint(2, min(4, len(facts))))
        lines = [f"{key}: {value}" for key, value in facts.items()] + [f"{key}? {facts[key]}" for key in asked]
        return document(
            f"copying/{self.language}/{number}", "\n".join(lines), "copying", self.language, {"kind": "short"}
        )

    def long(self, doc_id: str, characters: int, rng: random.Random) -> tuple[str, str, str]:
        """Return (text up to the question, key, value): facts one a line until ``characters`` are filled, one asked."""
        lines: dict[str, str] = {}
        length = 0
        while length < characters:
            key, value = pseudo_word(self.language, rng), self.value(rng)
            if key not in lines:
                lines[key] = value
                length += len(key) + len(value) + 3
        key = rng.choice(list(lines))
        body = "\n".join(f"{name}: {value}" for name, value in lines.items())
        return f"{body}\n{key}?", key, lines[key]


def copying_documents(
    config: CopyingConfig, languages: tuple[str, ...], held_out_values: float, seed: int
) -> list[Row]:
    """Return the short drills of all languages in turn, then the long ones."""
    drills = {language: Drills(language, held_out_values, seed) for language in languages}
    rows = [drills[languages[n % len(languages)]].short(n) for n in range(config.short)]
    for number in range(config.long):
        language = languages[number % len(languages)]
        rng = keyed_random(seed, "copying_long", language, number)
        doc_id = f"copying_long/{language}/{number}"
        text, _, answer = drills[language].long(doc_id, rng.randint(*config.long_characters), rng)
        rows.append(document(doc_id, f"{text} {answer}", "copying", language, {"kind": "long"}))
    return rows


def needle_documents(config: CopyingConfig, languages: tuple[str, ...], held_out_values: float, seed: int) -> list[Row]:
    """Return the test: the text ends in the question, the answer is in ``meta`` and nowhere after it."""
    rows = []
    for characters in config.needle_characters:
        for number in range(config.needles_per_length):
            language = languages[number % len(languages)]
            rng = keyed_random(seed, "needle", language, characters, number)
            doc_id = f"needle/{characters}/{number}"
            text, key, answer = Drills(language, held_out_values, seed).long(doc_id, characters, rng)
            meta: dict[str, object] = {"needle_key": key, "answer": answer, "characters": characters}
            rows.append(document(doc_id, text, "needle", language, meta))
    return rows
