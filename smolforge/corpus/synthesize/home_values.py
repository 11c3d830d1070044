"""What a home fills in: rooms, floors, device names, items, messages; our own lists in nine languages, and their split.

Input: ``home/values.<language>.json`` beside this file. Output: values for free slots, either trained or held out, real
or invented. A held-out value is held out of every list it stands in, so that no training row contains it as a value.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from smolforge.corpus.synthesize.keyed import fraction
from smolforge.corpus.synthesize.pseudo_words import pseudo_word
from smolforge.errors import DataError

Split = Literal["train", "held_out"]
Style = Literal["real", "invented"]

POOL_OF_LIST = {"shopping_list_item": "item", "todo_list_item": "item", "timer_command": "conversation_command"}
POOLS = ("area", "floor", "item", "message", "search_query", "zone", "timer_name", "conversation_command")
PLACES = frozenset({"area", "floor", "name"})  # what only its noun tells apart: "the zorbal room", "the zorbal lamp"
DOMAIN_ALIAS = {"input_button": "button"}
ANY_DOMAIN = ("light", "switch", "fan", "media_player", "climate", "cover")
# German and Chinese put the noun at the end of the word: the shortest ending that counts as one.
COMPOUND_ENDING = {"de": 4, "zh": 1}
NO_NOUN = frozenset(
    {
        "a",
        "al",
        "au",
        "da",
        "de",
        "del",
        "della",
        "des",
        "di",
        "do",
        "du",
        "el",
        "en",
        "et",
        "la",
        "le",
        "les",
        "of",
        "à",
    }
)
_ALTERNATIVES = re.compile(r"\(([^()]*\|[^()]*)\)")
_PREPOSITIONS = {"ru": re.compile(r"(?:^|\s)(?:в|во|на) $", re.IGNORECASE)}


@dataclass(frozen=True)
class HomeValues:
    """The lists of one language, each cut in two. ``pools[split][name]``; device names lie under ``name.<domain>``.

    ``nouns[name]`` maps the values of a list of places or devices to the noun they share with others of the list.
    """

    language: str
    pools: dict[Split, dict[str, tuple[str, ...]]]
    known: frozenset[str]
    nouns: dict[str, dict[str, str]]
    trained_nouns: dict[str, frozenset[str]]

    def pool_name(self, list_name: str, domains: tuple[str, ...], rng: random.Random) -> str:
        """Return the list that fits a slot list of the package; ``domains`` says what a device name may stand for."""
        if list_name != "name":
            return POOL_OF_LIST.get(list_name, list_name)
        names = [f"name.{DOMAIN_ALIAS.get(domain, domain)}" for domain in domains or ANY_DOMAIN]
        present = [name for name in names if name in self.pools["train"]]
        if not present:
            raise DataError(f"values.{self.language}.json: no device names for any of {', '.join(names)}")
        return rng.choice(present)

    def has_trained_noun(self, slot: str, value: str) -> bool:
        """Say whether training has another value with the noun of ``value`` in the same slot."""
        for name, nouns in self.nouns.items():
            if name.startswith(slot) and nouns.get(value, "").casefold() in self.trained_nouns[name]:
                return True
        return False


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
    nouns = {name: shared_nouns(language, values) for name, values in lists.items() if name.split(".")[0] in PLACES}
    kept_back: set[str] = set()
    for name, values in lists.items():
        # First those that add to a noun of the list: a person can tell an unknown "coal cellar" from an unknown device.
        noun_of = nouns.get(name, {})
        order = sorted(values, key=lambda value: fraction(language, value.casefold()))
        order.sort(key=lambda value, noun_of=noun_of: noun_of.get(value, value) == value)  # type: ignore[misc]
        kept_back.update(value.casefold() for value in order[: max(1, round(len(values) * held_out))])
    train = {name: tuple(v for v in values if v.casefold() not in kept_back) for name, values in lists.items()}
    held = {name: tuple(v for v in values if v.casefold() in kept_back) for name, values in lists.items()}
    empty = [name for name, values in train.items() if not values]
    if empty:
        raise DataError(f"{source}: the list '{empty[0]}' is too short to be split")
    known = frozenset(value.casefold() for values in lists.values() for value in values)
    trained = {name: frozenset(found[v].casefold() for v in train[name] if v in found) for name, found in nouns.items()}
    return HomeValues(language, {"train": train, "held_out": held}, known, nouns, trained)


def _flatten(raw: dict[str, object]) -> dict[str, list[str]]:
    """Expand every list and give device names the key ``name.<domain>``; duplicates are dropped."""
    lists: dict[str, list[str]] = {}
    for key, value in raw.items():
        if isinstance(value, dict):
            lists.update({f"{key}.{domain}": entries for domain, entries in value.items()})
        elif isinstance(value, list):
            lists[key] = value
    if "area_after_preposition" in lists:
        lists["area.after_preposition"] = lists.pop("area_after_preposition")
    return {name: list(dict.fromkeys(v for e in entries for v in expand(e))) for name, entries in lists.items()}


def shared_nouns(language: str, values: Iterable[str]) -> dict[str, str]:
    """Return for every value the word (German, Chinese: the ending) it best shares with others of the list, if any."""
    candidates = {value: _noun_candidates(language, value) for value in values}
    counts = Counter(noun.casefold() for nouns in candidates.values() for noun in nouns)
    found: dict[str, str] = {}
    for value, nouns in candidates.items():
        shared = [noun for noun in nouns if counts[noun.casefold()] > 1]
        if shared:  # "zimmer" of "Kinderzimmer", not the "mmer" it shares with "Kammer" too
            found[value] = max(shared, key=lambda noun: (counts[noun.casefold()] * len(noun), len(noun)))
    return found


def _noun_candidates(language: str, value: str) -> list[str]:
    words = value.split()
    ending = COMPOUND_ENDING.get(language)
    if ending is not None and len(words) == 1:
        return [value[-size:] for size in range(ending, len(value) + 1)]
    return [word for word in words if word.casefold() not in NO_NOUN and "'" not in word]


@dataclass(frozen=True)
class Filler:
    """Chooses values for one draw, from one split, in one style.

    Invented values are pseudo-words, every other one a word of ``words`` where there are any; rooms, floors and devices
    keep the noun of a trained value beside it ("zorbal room", "lampe zorbal"), because nothing else in a command tells
    which of the three it names.
    """

    home: HomeValues
    split: Split
    style: Style
    words: tuple[str, ...] = ()

    def __call__(self, list_name: str, domains: tuple[str, ...], before: str, rng: random.Random) -> str:
        """Return a value for a slot of ``list_name``; ``before`` is what the sentence said so far."""
        name = self.home.pool_name(list_name, domains, rng)
        preposition = _PREPOSITIONS.get(self.home.language)
        if preposition and f"{name}.after_preposition" in self.home.pools["train"] and preposition.search(before):
            name = f"{name}.after_preposition"
        if self.style == "real":
            return rng.choice(self.home.pools[self.split][name])
        if list_name in PLACES:
            return self._with_noun(name, rng)
        while (value := self._phrase(rng)).casefold() in self.home.known:
            pass
        return value

    def _word(self, rng: random.Random) -> str:
        return rng.choice(self.words) if self.words and rng.random() < 0.5 else pseudo_word(self.home.language, rng)

    def _phrase(self, rng: random.Random) -> str:
        words = rng.choice((1, 1, 1, 2, 2, 3))
        return ("" if self.home.language == "zh" else " ").join(self._word(rng) for _ in range(words))

    def _with_noun(self, name: str, rng: random.Random) -> str:
        """Put a pseudo-word in the place of all but the noun; a list without common nouns gives a real value."""
        language, nouns = self.home.language, self.home.nouns[name]
        eligible = [value for value in self.home.pools["train"][name] if value in nouns]
        if not eligible:
            return rng.choice(self.home.pools[self.split][name])
        value = rng.choice(eligible)
        word, noun = self._word(rng), nouns[value]
        if language == "zh":
            return word + noun
        if " " not in value and language == "de":
            return word.capitalize() + noun.casefold()
        return f"{noun} {word}" if value.startswith(noun) else f"{word} {noun}"
