"""What a home fills in: rooms, floors, device names, items, messages; our own lists in nine languages, and their split.

Input: ``home/values.<language>.json`` beside this file. Output: values for free slots, either trained or held out, real
or invented. A held-out value is held out of every list it stands in, so that no training row contains it as a value.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from smolforge.corpus.synthesize.keyed import fraction
from smolforge.corpus.synthesize.pseudo_words import pseudo_phrase, pseudo_word
from smolforge.errors import DataError

Split = Literal["train", "held_out"]
Style = Literal["real", "mixed", "pseudo"]

POOL_OF_LIST = {"shopping_list_item": "item", "todo_list_item": "item", "timer_command": "conversation_command"}
POOLS = ("area", "floor", "item", "message", "search_query", "zone", "timer_name", "conversation_command")
DOMAIN_ALIAS = {"input_button": "button"}
ANY_DOMAIN = ("light", "switch", "fan", "media_player", "climate", "cover")
SHORT_WORD = 2  # "de", "a", "в" say nothing about what a device is
COMPOUND_ENDING = 4  # German "Stehlampe" and "Leselampe" share "ampe"
HEAD_FIRST = frozenset({"fr", "es", "it", "pt", "ar"})
_ALTERNATIVES = re.compile(r"\(([^()]*\|[^()]*)\)")
_PREPOSITIONS = {"ru": re.compile(r"(?:^|\s)(?:в|во|на) $", re.IGNORECASE)}


@dataclass(frozen=True)
class HomeValues:
    """The lists of one language, each cut in two. ``pools[split][name]``; device names lie under ``name.<domain>``."""

    language: str
    pools: dict[Split, dict[str, tuple[str, ...]]]
    known: frozenset[str]
    nouns: frozenset[str]

    def has_trained_noun(self, value: str) -> bool:
        """Say whether a value has a word that some trained value has (in Chinese and in compounds: its ending)."""
        return not self.nouns.isdisjoint(_nouns(self.language, value))

    def pool(self, split: Split, list_name: str, domains: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
        """Return the values fitting a slot list of the package; ``domains`` says what a device name may stand for."""
        if list_name != "name":
            return self.pools[split][POOL_OF_LIST.get(list_name, list_name)]
        names = [f"name.{DOMAIN_ALIAS.get(domain, domain)}" for domain in domains or ANY_DOMAIN]
        present = [name for name in names if name in self.pools[split]]
        if not present:
            raise DataError(f"values.{self.language}.json: no device names for any of {', '.join(names)}")
        return self.pools[split][rng.choice(present)]


def expand(entry: str) -> list[str]:
    """Return what an entry stands for: ``(a|b) c`` is ``a c`` and ``b c``; several groups multiply."""
    found = _ALTERNATIVES.search(entry)
    if found is None:
        return [entry]
    head, tail = entry[: found.start()], entry[found.end() :]
    return [text for choice in found.group(1).split("|") for text in expand(head + choice + tail)]


@cache
def load_home_values(language: str, held_out: float) -> HomeValues:
    """Read and split the lists of a language; ``held_out`` is the share of each list that training never sees."""
    source = resources.files("smolforge.corpus.synthesize") / "home" / f"values.{language}.json"
    if not source.is_file():
        raise DataError(f"no home values for the language '{language}': {source} does not exist")
    lists = _flatten(json.loads(source.read_text(encoding="utf-8")))
    missing = [name for name in POOLS if name not in lists]
    if missing:
        raise DataError(f"{source}: the list '{missing[0]}' is missing")
    kept_back: set[str] = set()
    for values in lists.values():
        by_hash = sorted(values, key=lambda value: fraction(language, value.casefold()))
        count = max(1, round(len(values) * held_out))
        kept_back.update(value.casefold() for value in by_hash[:count])
    train = {name: tuple(v for v in values if v.casefold() not in kept_back) for name, values in lists.items()}
    held = {name: tuple(v for v in values if v.casefold() in kept_back) for name, values in lists.items()}
    empty = [name for name, values in train.items() if not values]
    if empty:
        raise DataError(f"{source}: the list '{empty[0]}' is too short to be split")
    known = frozenset(value.casefold() for values in lists.values() for value in values)
    nouns = frozenset(noun for values in train.values() for value in values for noun in _nouns(language, value))
    return HomeValues(language, {"train": train, "held_out": held}, known, nouns)


def _nouns(language: str, value: str) -> set[str]:
    if language == "zh":
        return {value[-1:]}
    words = [word for word in value.casefold().split() if len(word) > SHORT_WORD]
    return {*words, *(word[-COMPOUND_ENDING:] for word in words if language == "de")}


def _flatten(raw: dict[str, object]) -> dict[str, list[str]]:
    """Expand every list and give device names the key ``name.<domain>``; duplicates are dropped."""
    lists: dict[str, list[str]] = {}
    for key, value in raw.items():
        if isinstance(value, dict):
            lists.update({f"{key}.{domain}": entries for domain, entries in value.items()})
        elif isinstance(value, list):
            lists[key] = value
    return {name: list(dict.fromkeys(v for e in entries for v in expand(e))) for name, entries in lists.items()}


@dataclass(frozen=True)
class Filler:
    """Chooses values for one draw: from one split, in one style. ``mixed`` keeps the noun of a device name and invents
    the rest ("zorbal lamp"), so that a command whose verb depends on the device stays decidable."""

    home: HomeValues
    split: Split
    style: Style

    def __call__(self, list_name: str, domains: tuple[str, ...], before: str, rng: random.Random) -> str:
        """Return a value for a slot of ``list_name``; ``before`` is what the sentence said so far."""
        if self.style == "real":
            return rng.choice(self._real(list_name, domains, before, rng))
        if self.style == "mixed" and list_name == "name":
            return self._mixed(rng.choice(self.home.pool(self.split, list_name, domains, rng)), rng)
        while (value := pseudo_phrase(self.home.language, rng)).casefold() in self.home.known:
            pass
        return value

    def _real(self, list_name: str, domains: tuple[str, ...], before: str, rng: random.Random) -> tuple[str, ...]:
        preposition = _PREPOSITIONS.get(self.home.language)
        inflected = f"{list_name}_after_preposition"
        if preposition and inflected in self.home.pools[self.split] and preposition.search(before):
            return self.home.pools[self.split][inflected]
        return self.home.pool(self.split, list_name, domains, rng)

    def _mixed(self, name: str, rng: random.Random) -> str:
        language, word = self.home.language, pseudo_word(self.home.language, rng)
        if language == "zh":
            return word + name[-2:]
        words = name.split()
        return f"{words[0]} {word}" if language in HEAD_FIRST else f"{word} {words[-1]}"
