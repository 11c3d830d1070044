"""Preference pairs: the right call against a plausible wrong one, and thinking against not thinking.

Input: training commands of one language. Output: preference rows. The wrong call differs in one thing a small model
gets wrong: a copied span, a slot, a closed value, a number, the intent.
"""

from __future__ import annotations

import random
from collections import defaultdict

from smolforge.corpus.synthesize.conversation import Mode, Row, call_message, prompt
from smolforge.corpus.synthesize.hassil_sampler import Draw, Scalar
from smolforge.corpus.synthesize.keyed import keyed_random
from smolforge.store.digest import digest_bytes

FAMILIES = (
    ("HassTurnOn", "HassTurnOff"),
    ("HassIncreaseTimer", "HassDecreaseTimer", "HassStartTimer"),
    ("HassPauseTimer", "HassUnpauseTimer", "HassCancelTimer", "HassTimerStatus"),
    ("HassMediaNext", "HassMediaPrevious", "HassMediaPause", "HassMediaUnpause"),
    ("HassMediaPlayerMute", "HassMediaPlayerUnmute", "HassSetVolume", "HassSetVolumeRelative"),
    ("HassShoppingListAddItem", "HassShoppingListCompleteItem"),
    ("HassListAddItem", "HassListCompleteItem", "HassListRemoveItem"),
    ("HassVacuumStart", "HassVacuumReturnToBase", "HassLawnMowerStartMowing", "HassLawnMowerDock"),
    ("HassGetCurrentDate", "HassGetCurrentTime"),
)
RELATIVES = {intent: [other for other in family if other != intent] for family in FAMILIES for intent in family}
MODE_PAIR_SHARE = 0.15


def wrong_call(draw: Draw, others: list[Draw], rng: random.Random) -> tuple[str, dict[str, Scalar], str] | None:
    """Return (intent, arguments, kind of mistake), or None where no plausible mistake exists."""
    for kind in rng.sample(("span", "value", "missing", "intent"), 4):
        arguments = dict(draw.arguments)
        if kind == "intent" and draw.intent in RELATIVES:
            return rng.choice(RELATIVES[draw.intent]), arguments, kind
        if kind == "span" and draw.free:
            slot = rng.choice(draw.free)
            arguments[slot] = wrong_span(draw.text, str(arguments[slot]), rng)
        elif kind == "missing" and len(arguments) > 1:
            del arguments[rng.choice(list(arguments))]
        elif kind == "value":
            arguments = _borrowed(draw, others, rng)
        if arguments != draw.arguments:
            return draw.intent, arguments, kind
    return None


def wrong_span(text: str, span: str, rng: random.Random) -> str:
    """Return another span of ``text`` near the right one: a word (without spaces: a character) more or less."""
    start, end = text.index(span), text.index(span) + len(span)
    before, after = text[:start].rstrip(), text[end:].lstrip()
    wider = (
        [text[text.rfind(" ", 0, len(before)) + 1 : end]] if " " in text and before else [text[max(0, start - 1) : end]]
    )
    wider.append(text[start : end + 1 + (after.find(" ") if " " in after else len(after))].strip())
    narrower = [span.rsplit(" ", 1)[0], span.split(" ", 1)[-1]] if " " in span else [span[:-1], span[1:]]
    choices = sorted({choice.strip() for choice in (*wider, *narrower)} - {span, ""})
    return rng.choice(choices) if choices else span


def _borrowed(draw: Draw, others: list[Draw], rng: random.Random) -> dict[str, Scalar]:
    """Take one closed value or number from another command of the same intent."""
    arguments = dict(draw.arguments)
    closed = [slot for slot in arguments if slot not in draw.free]
    if closed:
        slot = rng.choice(closed)
        values = {other.arguments[slot] for other in others if slot in other.arguments and slot not in other.free}
        choices = sorted((value for value in values if value != arguments[slot]), key=str)
        if choices:
            arguments[slot] = rng.choice(choices)
    return arguments


def preference_rows(language: str, draws: list[Draw], count: int, seed: int, system: str | None) -> list[Row]:
    """Return up to ``count`` pairs made from training commands."""
    by_intent: dict[str, list[Draw]] = defaultdict(list)
    for draw in draws:
        by_intent[draw.intent].append(draw)
    rows: list[Row] = []
    for draw in draws:
        if len(rows) == count:
            break
        rng = keyed_random(seed, "preference", language, draw.text)
        mode: Mode = "think" if rng.random() < 0.5 else "no_think"
        chosen = call_message(draw.intent, draw.arguments, mode)
        if rng.random() < MODE_PAIR_SHARE:
            other: Mode = "no_think" if mode == "think" else "think"
            rejected, kind = call_message(draw.intent, draw.arguments, other), "mode"
        else:
            wrong = wrong_call(draw, by_intent[draw.intent], rng)
            if wrong is None:
                continue
            rejected, kind = call_message(wrong[0], wrong[1], mode), wrong[2]
        key = digest_bytes(f"{language} {draw.text}".encode())[:12]
        meta = {"intent": draw.intent, "mistake": kind}
        rows.append(
            {"id": f"preferences/{language}/{key}", "prompt": prompt(draw.text, system), "chosen": chosen,
             "rejected": rejected, "mode": mode, "language": language, "source": "home-assistant-intents", "meta": meta}
        )  # fmt: skip
    return rows
