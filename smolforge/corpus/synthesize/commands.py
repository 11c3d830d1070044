"""Commands in four sets per language: training, and three that are held out by sentence, by template and by value.

Input: templates and home values. Output: ``Command`` lists. A text with two different calls is dropped everywhere, and
a held-out text that training has is dropped from the held-out set, so the sets measure what their names say.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from smolforge.corpus.synthesize.config import CommandsConfig
from smolforge.corpus.synthesize.hassil_sampler import Draw, SlotKind, Template, load_templates
from smolforge.corpus.synthesize.home_values import Filler, HomeValues, Split, Style, load_home_values
from smolforge.corpus.synthesize.keyed import fraction, keyed_random
from smolforge.corpus.synthesize.lexicon import lexicon

SetName = Literal["train", "seen", "templates", "values"]
SETS: tuple[SetName, ...] = ("train", "seen", "templates", "values")
SPARE = {"train": 1.2, "seen": 3.0, "templates": 2.5, "values": 3.0}  # drawn per row kept: conflicts and repeats go
TRIES = 4
SURVEY = 8  # draws per template that only serve to find texts with two calls
_TEMPLATE_WORD = re.compile(r"<[^>]+>|\w+")
_FREE_SLOT = re.compile(
    r"\{((?:area|floor|name|timer_name|zone|message|search_query|\w+_item|timer_command)(?::\w+)?)\}"
)
_SAID_WORD, _HAN_PAIR = re.compile(r"[^\W\d_]+"), re.compile(r"(?=([\u3400-\u9fff]{2}))")
_TEMPLATE_SLOT = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True)
class Command:
    """A draw with the way its free values were chosen: ``real`` from a list, or ``invented``."""

    draw: Draw
    style: Style

    @property
    def key(self) -> str:
        """Two commands with the same key are the same text to a person."""
        return self.draw.text.casefold()


@dataclass
class LanguageCommands:
    """The sets of one language; what its slots hold and which arguments occur together; what fell out and why."""

    language: str
    sets: dict[SetName, list[Command]] = field(default_factory=dict)
    kinds: dict[str, set[SlotKind]] = field(default_factory=dict)
    combinations: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    templates: Counter[str] = field(default_factory=Counter)
    words: tuple[str, ...] = ()


def split_templates(
    templates: Iterable[Template], share: float, known_words: bool
) -> tuple[list[Template], list[Template]]:
    """Return (trained, held out). A stable hash of the sentence decides; every intent keeps a sentence to train on.

    With ``known_words`` a template goes back to training if it is the only one of its intent with some word or rule:
    what it asks could not be known from any trained template.
    """
    everything = list(templates)
    by_intent: dict[str, list[Template]] = defaultdict(list)
    for template in everything:
        by_intent[template.intent].append(template)
    held = {t.sentence for t in everything if fraction("template", t.language, t.sentence) < share}
    for members in by_intent.values():
        sentences = sorted({t.sentence for t in members}, key=lambda sentence: fraction("template", sentence))
        if all(sentence in held for sentence in sentences):
            held.discard(sentences[-1])
        words: set[str] = set()
        words.update(*(template_words(s) for s in sentences if s not in held))
        for sentence in sentences if known_words else ():
            if sentence in held and not template_words(sentence) <= words:
                held.discard(sentence)
                words |= template_words(sentence)
    return [t for t in everything if t.sentence not in held], [t for t in everything if t.sentence in held]


def template_words(sentence: str) -> set[str]:
    """Return the words and rule names a template writes, without its slots; Chinese counts characters."""
    words = _TEMPLATE_WORD.findall(_TEMPLATE_SLOT.sub(" ", sentence.casefold()))
    return {part for word in words for part in (word if "\u3400" <= word[0] <= "\u9fff" else [word])}


def quotas(templates: list[Template], rows: float, balance: float) -> list[float]:
    """Return how many rows each template should give: an intent's share grows with (its templates)**balance."""
    sizes = Counter(template.intent for template in templates)
    total = sum(size**balance for size in sizes.values())
    return [rows * sizes[t.intent] ** balance / total / sizes[t.intent] for t in templates]


def draw_commands(
    templates: list[Template], rows: float, config: CommandsConfig, seed: int, home: HomeValues, purpose: SetName,
    words: tuple[str, ...] = (),
) -> Iterator[Command]:  # fmt: skip
    """Yield commands distinct within their template, about ``rows`` of them, from templates in a balanced way.

    ``words``: what invented values of the training rows are made of, beside pseudo-words.
    """
    split: Split = "held_out" if purpose == "values" else "train"
    pseudo = {"train": config.pseudo_share, "values": config.held_out_pseudo_share}.get(purpose, 0.0)
    known = words if purpose == "train" else ()
    fillers: dict[Style, Filler] = {style: Filler(home, split, style, known) for style in ("real", "invented")}
    for template, quota in zip(templates, quotas(templates, rows, config.intent_balance), strict=True):
        rng = keyed_random(seed, home.language, template.intent, template.combination, template.sentence, purpose)
        wanted = int(quota) + (rng.random() < quota % 1)
        seen: set[str] = set()
        for _ in range(wanted * TRIES):
            if len(seen) >= wanted:
                break
            style: Style = "invented" if rng.random() < pseudo else "real"
            draw = template.draw(rng, fillers[style])
            if draw is not None and draw.text.casefold() not in seen:
                seen.add(draw.text.casefold())
                yield Command(draw, style if draw.free else "real")


def _survey(templates: list[Template], home: HomeValues, seed: int) -> Iterator[Command]:
    """Yield a few draws of every template, whatever its share of the rows, so that rare conflicts are found."""
    filler = Filler(home, "train", "real")
    for template in templates:
        rng = keyed_random(seed, home.language, template.intent, template.combination, template.sentence, "survey")
        for _ in range(SURVEY):
            draw = template.draw(rng, filler)
            if draw is not None:
                yield Command(draw, "real")


def build_language(
    language: str, config: CommandsConfig, seed: int, counts: Counter[str] | None = None
) -> LanguageCommands:
    """Draw and clean the four sets of one language; ``counts``: the words of its texts, for values to copy."""
    home = load_home_values(language, config.held_out_values)
    templates = load_templates(language)
    trained, held = split_templates(templates, config.held_out_templates, config.held_out_known_words)
    with_values = [t for t in trained if any(kind.copied for kind in t.slots)]
    wanted = {"train": config.train, "seen": config.seen, "templates": config.templates, "values": config.values}
    sources = {"train": trained, "seen": trained, "templates": held, "values": with_values}
    survey = list(_survey(templates, home, seed))
    words = copied_words(counts or Counter(), survey, home)
    drawn = {
        name: list(draw_commands(sources[name], wanted[name] * SPARE[name], config, seed, home, name, words))
        for name in SETS
    }
    clear = Clarity(home, templates, [*survey, *(command for rows in drawn.values() for command in rows)])
    result = LanguageCommands(language, combinations=clear.combinations, words=words)
    result.templates.update(trained=len(trained), held_out=len(held))
    for template in templates:
        result.kinds.setdefault(template.intent, set()).update(template.slots)
    taken: set[str] = set()
    for name in SETS:
        kept = list(_distinct(name, drawn[name], clear, taken, result.dropped))
        chosen = sorted(kept, key=lambda command: fraction(seed, command.key))[: wanted[name]]
        taken.update(command.key for command in chosen)
        result.sets[name] = chosen if name == "train" else sorted(chosen, key=lambda c: (c.draw.intent, c.key))
    return result


def copied_words(counts: Counter[str], survey: list[Command], home: HomeValues) -> tuple[str, ...]:
    """Return the words that neither a template says nor a held-out value holds."""
    if not counts:
        return ()
    parts = _HAN_PAIR if home.language == "zh" else _SAID_WORD
    said = {part for command in survey for part in parts.findall(command.draw.skeleton.casefold())}
    held = {part for values in home.pools["held_out"].values() for v in values for part in parts.findall(v.casefold())}
    return lexicon(counts, said | held)


class Clarity:
    """Knows which texts, and which sentences around unknown values, stand for more than one call.

    Sentences are compared twice: the templates as written, and the skeletons of everything that was drawn.
    """

    def __init__(self, home: HomeValues, templates: Iterable[Template], commands: Iterable[Command]) -> None:
        self.home = home
        self.combinations: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        self.calls: dict[str, set[tuple[object, ...]]] = defaultdict(set)
        self.skeletons: dict[str, set[tuple[object, ...]]] = defaultdict(set)
        self.sentences: dict[str, set[tuple[object, ...]]] = defaultdict(set)
        for template in templates:
            slots = tuple(found.partition(":")[2] or found for found in _FREE_SLOT.findall(template.sentence))
            self.sentences[_FREE_SLOT.sub("{}", template.sentence)].add((template.intent, slots))
        for command in commands:
            self.combinations[command.draw.intent].add(tuple(command.draw.arguments))
            self.calls[command.key].add(command.draw.call_key())
            self.skeletons[command.draw.skeleton].add(command.draw.skeleton_key())

    def fault(self, name: SetName, command: Command) -> str | None:
        """Return why a command cannot be answered, or None."""
        draw = command.draw
        if len(self.calls[command.key]) > 1:
            return "two_calls"
        if command.style == "real" and name != "values":
            return None
        if command.style == "real" and not all(
            self.home.has_trained_noun(slot, str(draw.arguments[slot])) for slot in draw.places
        ):
            return "unknown_noun"
        sentences = self.sentences[_FREE_SLOT.sub("{}", draw.template)]
        if set(draw.places) != set(draw.free) and max(len(sentences), len(self.skeletons[draw.skeleton])) > 1:
            return "undecidable"
        return None


def _distinct(
    name: SetName, commands: list[Command], clear: Clarity, taken: set[str], dropped: Counter[str]
) -> Iterator[Command]:
    seen: set[str] = set()
    for command in commands:
        reason = clear.fault(name, command)
        if reason is None and command.key in taken:
            reason = "in_training" if name != "train" else None
        if reason is None and command.key in seen:
            reason = "repeated"
        if reason is None:
            seen.add(command.key)
            yield command
        else:
            dropped[f"{name}/{reason}"] += 1
