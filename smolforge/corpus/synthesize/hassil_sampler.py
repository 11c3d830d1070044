"""Draw commands from the sentence templates of ``home-assistant-intents``: a random walk over the tree hassil parses.

Input: the package's intents of one language and a source of values for the slots a home fills in. Output: ``Draw``
(text, intent, arguments). hassil's own sampler enumerates every sentence and forgets the slots; a walk keeps them.
"""

from __future__ import annotations

import importlib.util
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from smolforge.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    from hassil.expression import Expression, ListReference
    from hassil.intents import Intents, RangeSlotList, TextSlotValue

Scalar: TypeAlias = str | int | float
ValueSource: TypeAlias = Callable[[str, tuple[str, ...], str, random.Random], str]

PACKAGE_LANGUAGE = {"zh": "zh-CN"}
FREE_LISTS = frozenset({"area", "floor", "name"})
ARGUMENT_ORDER = (
    "domain", "device_class", "name", "area", "floor", "item", "message", "media_class", "search_query", "state",
    "color", "brightness", "temperature", "position", "percentage", "fan_mode", "volume_level", "volume_step",
    "start_hours", "start_minutes", "start_seconds", "hours", "minutes", "seconds", "conversation_command",
)  # fmt: skip
# What a person would say, inside what the package allows: (least, most, step, share of multiples of 5).
SENSIBLE_RANGES = {
    "temperature": (10, 30, 1, 0.0),
    "color_temperature": (2000, 6500, 100, 1.0),
    "timer_hours": (1, 12, 1, 0.0),
    "timer_minutes": (1, 60, 1, 0.5),
    "timer_seconds": (1, 60, 1, 0.5),
}
PERCENT_RANGE = (1, 100, 1, 0.6)
HALF_DEGREES = 0.1
DECIMAL_COMMA = frozenset({"fr", "es", "de", "it", "pt", "ru"})
# Spellings the templates over-generate and nobody says: elision before a consonant, its absence before a vowel, a
# double article. A draw that matches is thrown away.
ODD = {
    "fr": re.compile(r"\b[ld]'[^aeiouyhâàéèêîôûœAEIOUYHÉÈÊ]|\b(?:le|la|de) [aeiouâéèêîôœ]", re.IGNORECASE),
    "it": re.compile(r"\b(?:l|un|all|dell|nell|sull|dall)'[^aeiouhàèéìòù]|\b(?:lo|la) [aeiou]", re.IGNORECASE),
    "ar": re.compile(r"(?<!\w)(?:ال|لل)ال"),
}
_SPACES = re.compile(r"\s+")
_BETWEEN_HAN = re.compile(r"(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff\d])|(?<=\d) (?=[\u3400-\u9fff])")


@dataclass(frozen=True)
class Draw:
    """One command. ``free`` names the arguments whose value is a span of ``text``, in the order of the text,
    ``places`` those that name a room, a floor or a device; ``skeleton`` is the text with gaps for them and ``#`` for
    numbers."""

    text: str
    intent: str
    arguments: dict[str, Scalar]
    free: tuple[str, ...]
    places: tuple[str, ...]
    skeleton: str
    template: str

    def call_key(self) -> tuple[object, ...]:
        """What two draws with the same text must agree on."""
        return (self.intent, *self.arguments.items())

    def skeleton_key(self) -> tuple[object, ...]:
        """What two draws with the same skeleton must agree on, if the words around the free slots decide the call."""
        items = self.arguments.items()
        return (self.intent, self.free, *((s, v) for s, v in items if isinstance(v, str) and s not in self.free))


@dataclass(frozen=True)
class SlotKind:
    """What the package allows a slot to hold: spans of the command, words from a closed list, or a range of numbers."""

    slot: str
    copied: bool = False
    words: frozenset[str] = frozenset()
    least: float | int | None = None
    most: float | int | None = None


@dataclass
class Walk:
    """What one walk over a template has said so far."""

    rng: random.Random
    values: ValueSource
    domains: tuple[str, ...]
    pieces: list[str] = field(default_factory=list)
    skeleton: list[str] = field(default_factory=list)
    arguments: dict[str, Scalar] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Append literal text."""
        self.pieces.append(text)
        self.skeleton.append(text)


Step: TypeAlias = Callable[["Walk"], None]


@dataclass(frozen=True)
class Template:
    """One sentence template of one intent. ``sentence`` is its source text, which the held-out split goes by."""

    language: str
    intent: str
    sentence: str
    combination: str
    fixed: dict[str, Scalar]
    domains: tuple[str, ...]
    step: Step
    slots: tuple[SlotKind, ...]

    def draw(self, rng: random.Random, values: ValueSource) -> Draw | None:
        """Walk once; None where the walk met a repeated slot or an odd spelling."""
        walk = Walk(rng, values, self.domains, arguments=dict(self.fixed))
        self.step(walk)
        text = normalize(self.language, "".join(walk.pieces))
        odd = ODD.get(self.language)
        if not text or (odd and odd.search(text)) or len(set(walk.free)) < len(walk.free):
            return None
        if any(str(walk.arguments[name]) not in text for name in walk.free):
            return None
        arguments = {name: walk.arguments[name] for name in ARGUMENT_ORDER if name in walk.arguments}
        skeleton = normalize(self.language, "".join(walk.skeleton)).casefold()
        return Draw(text, self.intent, arguments, tuple(walk.free), tuple(walk.places), skeleton, self.sentence)


def normalize(language: str, text: str) -> str:
    """Return ``text`` with single spaces, none at the ends, and in Chinese none between characters."""
    text = _SPACES.sub(" ", text).strip()
    return _BETWEEN_HAN.sub("", text) if language == "zh" else text


def load_templates(language: str) -> list[Template]:
    """Parse every template of a language; MissingDependencyError without hassil or the intents package."""
    for package in ("hassil", "home_assistant_intents"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package.replace("_", "-"), "data", "sampling smart-home commands")
    from hassil.intents import Intents

    intents = Intents.from_dict(json.loads(_intents_file(language).read_text(encoding="utf-8")))
    return list(_Compiler(language, intents).templates())


def _intents_file(language: str) -> Path:
    import home_assistant_intents

    folder = Path(str(home_assistant_intents.__file__)).parent / "data"
    path = folder / f"{PACKAGE_LANGUAGE.get(language, language)}.json"
    if not path.is_file():
        known = ", ".join(sorted(entry.stem for entry in folder.glob("*.json")))
        raise DataError(f"home-assistant-intents has no language '{language}'; it has {known}")
    return path


class _Compiler:
    """Turns hassil's expression trees into plain functions, each rule once, so that a walk costs little."""

    def __init__(self, language: str, intents: Intents) -> None:
        self.language, self.intents = language, intents
        self.rules: dict[str, Step] = {}
        self.kinds: dict[tuple[str, str], SlotKind] = {}

    def templates(self) -> Iterator[Template]:
        """Yield the templates in the package's order."""
        from hassil.expression import Group

        for name in sorted(self.intents.intents):
            for block in self.intents.intents[name].data:
                domain = block.slots.get("domain", block.requires_context.get("domain", ()))
                domains = (domain,) if isinstance(domain, str) else tuple(domain)
                fixed = {slot: _scalar(value) for slot, value in block.slots.items()}
                combination = str((block.metadata or {}).get("slot_combination", ""))
                for sentence in block.sentences:
                    step = self.compile(sentence.expression)
                    assert isinstance(sentence.expression, Group)
                    references = sentence.expression.list_references(self.intents.expansion_rules)
                    slots = {self._kind(r.list_name, r.slot_name): None for r in references}
                    slots.update({_closed_kind(slot, [value]): None for slot, value in fixed.items()})
                    yield Template(
                        self.language, name, str(sentence.text), combination, fixed, domains, step, tuple(slots)
                    )

    def compile(self, expression: Expression) -> Step:
        """Return the function that walks ``expression``."""
        from hassil.expression import Alternative, Group, ListReference, Permutation, RuleReference, TextChunk

        match expression:
            case TextChunk():
                return partial(_say, expression.original_text)
            case ListReference():
                return self._slot(expression)
            case RuleReference():
                return self._rule(expression.rule_name)
            case Group():
                steps = [self.compile(item) for item in expression.items]
                if isinstance(expression, Alternative):
                    return partial(_one_of, steps)
                return partial(_shuffled if isinstance(expression, Permutation) else _in_order, steps)
        raise DataError(f"home-assistant-intents {self.language}: unknown expression {type(expression).__name__}")

    def _rule(self, name: str) -> Step:
        if name not in self.rules:
            self.rules[name] = self.compile(self.intents.expansion_rules[name].expression)
        return self.rules[name]

    def _slot(self, reference: ListReference) -> Step:
        from hassil.intents import RangeSlotList, TextSlotList

        name, slot = reference.list_name, reference.slot_name
        known = self.intents.slot_lists.get(name)
        if isinstance(known, RangeSlotList):
            return partial(_number, self.language, name, slot, known)
        if isinstance(known, TextSlotList):
            return partial(_closed, slot, [self._choice(value) for value in known.values])
        if known is None and name not in FREE_LISTS:
            raise DataError(f"home-assistant-intents {self.language}: the list {{{name}}} is not defined")
        return partial(_free, name, slot)

    def _kind(self, name: str, slot: str) -> SlotKind:
        from hassil.intents import RangeSlotList, TextSlotList

        if (name, slot) not in self.kinds:
            known = self.intents.slot_lists.get(name)
            if isinstance(known, RangeSlotList):
                ends = [known.start * (known.multiplier or 1), known.stop * (known.multiplier or 1)]
                whole = known.fraction_type is None
                least, most = (int(end) if whole else float(end) for end in sorted(ends))
                kind = SlotKind(slot, least=least, most=most)
            elif isinstance(known, TextSlotList):
                kind = _closed_kind(slot, [_scalar(value.value_out) for value in known.values])
            else:
                kind = SlotKind(slot, copied=True)
            self.kinds[name, slot] = kind
        return self.kinds[name, slot]

    def _choice(self, value: TextSlotValue) -> tuple[Step, Scalar]:
        return self.compile(value.text_in), _scalar(value.value_out)


def _scalar(value: Any) -> Scalar:
    """A slot that stands for several values (``["blind", "shade"]``) is written as the first of them."""
    first = value[0] if isinstance(value, list) else value
    if isinstance(first, bool) or not isinstance(first, str | int | float):
        raise DataError(f"home-assistant-intents: a slot value is {first!r}, expected text or a number")
    return first


def _closed_kind(slot: str, values: list[Scalar]) -> SlotKind:
    numbers = [value for value in values if not isinstance(value, str)]
    words = frozenset(value for value in values if isinstance(value, str))
    return SlotKind(slot, False, words, min(numbers, default=None), max(numbers, default=None))


def _say(text: str, walk: Walk) -> None:
    walk.say(text)


def _in_order(steps: list[Step], walk: Walk) -> None:
    for step in steps:
        step(walk)


def _one_of(steps: list[Step], walk: Walk) -> None:
    steps[int(walk.rng.random() * len(steps))](walk)


def _shuffled(steps: list[Step], walk: Walk) -> None:
    order = steps.copy()
    walk.rng.shuffle(order)
    _in_order(order, walk)


def _closed(slot: str, choices: list[tuple[Step, Scalar]], walk: Walk) -> None:
    step, value = choices[int(walk.rng.random() * len(choices))]
    step(walk)
    walk.arguments[slot] = value


def _free(name: str, slot: str, walk: Walk) -> None:
    before = "".join(walk.pieces[-3:])
    value = walk.values(name, walk.domains, before, walk.rng)
    walk.pieces.append(value)
    walk.skeleton.append("{}")
    walk.arguments[slot] = value
    walk.free.append(slot)
    if name in FREE_LISTS:
        walk.places.append(slot)


def _number(language: str, name: str, slot: str, known: RangeSlotList, walk: Walk) -> None:
    least, most, step, rounded = SENSIBLE_RANGES.get(name, PERCENT_RANGE)
    least, most = max(least, known.start), min(most, known.stop)
    if step == 1 and walk.rng.random() < rounded:
        step, least = 5, -(-least // 5) * 5
    value: int | float = walk.rng.randrange(least, most + 1, step)
    if known.fraction_type is not None and walk.rng.random() < HALF_DEGREES:
        value += 0.5
    text = str(value)
    walk.pieces.append(text.replace(".", ",") if language in DECIMAL_COMMA else text)
    walk.skeleton.append("#")
    walk.arguments[slot] = value if known.multiplier is None else type(value)(value * known.multiplier)
