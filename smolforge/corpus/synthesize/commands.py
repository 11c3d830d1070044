"""Commands in four sets per language: training, and three that are held out by sentence, by template and by value.

Input: templates and home values. Output: ``Command`` lists. A text with two different calls is dropped everywhere, and a
held-out text that training has is dropped from the held-out set, so the sets measure what their names say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from smolforge.corpus.synthesize.config import CommandsConfig
from smolforge.corpus.synthesize.hassil_sampler import Draw, Template, load_templates
from smolforge.corpus.synthesize.home_values import Filler, HomeValues, Split, Style, load_home_values
from smolforge.corpus.synthesize.keyed import fraction, keyed_random

SetName = Literal["train", "seen", "templates", "values"]
SETS: tuple[SetName, ...] = ("train", "seen", "templates", "values")
SPARE = 1.35  # draw more than wanted: conflicts and repeats are dropped afterwards
TRIES = 4
MIXED_SHARE = 0.5  # of the invented device names, how many keep the real noun


@dataclass(frozen=True)
class Command:
    """A draw with the way its values were chosen."""

    draw: Draw
    style: Style

    @property
    def key(self) -> str:
        """Two commands with the same key are the same text to a person."""
        return self.draw.text.casefold()


@dataclass
class LanguageCommands:
    """The sets of one language, the training values that occur in them, and how many draws fell out for which reason."""

    language: str
    sets: dict[SetName, list[Command]]
    dropped: Counter[str] = field(default_factory=Counter)
    templates: Counter[str] = field(default_factory=Counter)


def split_templates(templates: Iterable[Template], share: float) -> tuple[list[Template], list[Template]]:
    """Return (trained, held out): a stable hash of the sentence decides, and every intent keeps one sentence to train on."""
    by_intent: dict[str, list[Template]] = defaultdict(list)
    for template in templates:
        by_intent[template.intent].append(template)
    held: set[str] = set()
    for members in by_intent.values():
        held.update(t.sentence for t in members if fraction("template", t.language, t.sentence) < share)
    for intent in sorted(by_intent):
        sentences = sorted({t.sentence for t in by_intent[intent]}, key=lambda s: fraction("template", s))
        if all(sentence in held for sentence in sentences):
            held.discard(sentences[-1])
    everything = [template for members in by_intent.values() for template in members]
    return [t for t in everything if t.sentence not in held], [t for t in everything if t.sentence in held]


def quotas(templates: list[Template], rows: int, balance: float) -> list[float]:
    """Return how many rows each template should give: an intent's share grows with (its templates)**balance."""
    sizes = Counter(template.intent for template in templates)
    total = sum(size**balance for size in sizes.values())
    return [rows * sizes[t.intent] ** balance / total / sizes[t.intent] for t in templates]


def draw_commands(
    templates: list[Template], rows: int, config: CommandsConfig, seed: int, home: HomeValues, purpose: SetName
) -> Iterator[Command]:
    """Yield distinct commands, about ``rows`` of them, from templates in a balanced way."""
    split: Split = "held_out" if purpose == "values" else "train"
    pseudo = {"train": config.pseudo_share, "values": config.held_out_pseudo_share}.get(purpose, 0.0)
    fillers = {style: Filler(home, split, style) for style in ("real", "mixed", "pseudo")}
    for template, quota in zip(templates, quotas(templates, rows, config.intent_balance), strict=True):
        rng = keyed_random(seed, home.language, template.intent, template.combination, template.sentence, purpose)
        wanted = int(quota) + (rng.random() < quota % 1)
        seen: set[str] = set()
        for _ in range(wanted * TRIES):
            if len(seen) >= wanted:
                break
            style: Style = "real"
            if rng.random() < pseudo:
                style = "mixed" if rng.random() < MIXED_SHARE else "pseudo"
            draw = template.draw(rng, fillers[style])
            if draw is not None and draw.text.casefold() not in seen:
                seen.add(draw.text.casefold())
                yield Command(draw, style if draw.free else "real")


def build_language(language: str, config: CommandsConfig, seed: int) -> LanguageCommands:
    """Draw and clean the four sets of one language."""
    home = load_home_values(language, config.held_out_values)
    trained, held = split_templates(load_templates(language), config.held_out_templates)
    with_values = [t for t in trained if t.lists & FREE_SLOT_LISTS]
    wanted = {"train": config.train, "seen": config.seen, "templates": config.templates, "values": config.values}
    sources = {"train": trained, "seen": trained, "templates": held, "values": with_values}
    drawn = {
        name: list(
            draw_commands(
                sources[name], round(wanted[name] * SPARE * (1 if name == "train" else 2)), config, seed, home, name
            )
        )
        for name in SETS
    }
    result = LanguageCommands(language, {})
    result.templates.update(trained=len(trained), held_out=len(held))
    clear = Clarity(command for commands in drawn.values() for command in commands)
    taken: set[str] = set()
    for name in SETS:
        kept = list(_distinct(drawn[name], clear, taken, result.dropped))
        chosen = sorted(kept, key=lambda c: fraction(seed, name, c.key))[: wanted[name]]
        if name != "train":
            chosen.sort(key=lambda c: (c.draw.intent, c.key))
        result.sets[name] = chosen
        taken.update(command.key for command in (kept if name == "train" else chosen))
    return result


FREE_SLOT_LISTS = frozenset(
    {
        "area",
        "floor",
        "name",
        "message",
        "search_query",
        "zone",
        "timer_name",
        "timer_command",
        "shopping_list_item",
        "todo_list_item",
    }
)


class Clarity:
    """Knows which texts, and which sentences around invented values, stand for more than one call."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self.calls: dict[str, set[tuple[object, ...]]] = defaultdict(set)
        self.skeletons: dict[str, set[tuple[object, ...]]] = defaultdict(set)
        for command in commands:
            self.calls[command.key].add(command.draw.call_key())
            self.skeletons[command.draw.skeleton].add(command.draw.skeleton_key())

    def fault(self, command: Command) -> str | None:
        """Return why a command cannot be answered, or None."""
        if len(self.calls[command.key]) > 1:
            return "two_calls"
        decided_by_noun = command.style == "mixed" and set(command.draw.free) == {"name"}
        if command.style != "real" and not decided_by_noun and len(self.skeletons[command.draw.skeleton]) > 1:
            return "invented_value_undecidable"
        return None


def _distinct(commands: list[Command], clear: Clarity, taken: set[str], dropped: Counter[str]) -> Iterator[Command]:
    seen: set[str] = set()
    for command in commands:
        reason = clear.fault(command)
        if reason is None and command.key in taken:
            reason = "in_another_set"
        if reason is None and command.key in seen:
            reason = "repeated"
        if reason is None:
            seen.add(command.key)
            yield command
        else:
            dropped[reason] += 1
