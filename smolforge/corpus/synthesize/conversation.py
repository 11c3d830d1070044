"""Rows of the conversation format: a command and its call, a problem and its answer, in think or no_think mode.

Input: commands and problems. Output: JSON-ready dictionaries, as the blueprint's page of file formats defines them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from smolforge.corpus.synthesize.config import CommandsConfig
from smolforge.corpus.synthesize.hassil_sampler import Draw, Scalar
from smolforge.corpus.synthesize.keyed import fraction
from smolforge.store.atomic import write_atomic
from smolforge.store.digest import digest_bytes

Mode = Literal["think", "no_think"]
Row = dict[str, Any]


def derivation(intent: str, arguments: Mapping[str, Scalar]) -> str:
    """Return the reasoning before a call: the intent, then one ``slot: value`` a line; see ``verify.call_from``."""
    return "\n".join([intent, *(f"{slot}: {value}" for slot, value in arguments.items())])


def call_message(intent: str, arguments: Mapping[str, Scalar], mode: Mode) -> Row:
    """Return the assistant message that makes one call."""
    message: Row = {"role": "assistant", "content": ""}
    if mode == "think":
        message["reasoning_content"] = derivation(intent, arguments)
    message["tool_calls"] = [{"name": intent, "arguments": dict(arguments)}]
    return message


def spoken(draw: Draw, config: CommandsConfig, seed: int) -> Draw:
    """Return the draw as a person may type it: a share with a capital letter, also where a value stands first, and a
    share with a full stop."""
    text = draw.text
    if fraction(seed, "capital", text) < config.capitalize_share:
        text = text[0].upper() + text[1:]
    if fraction(seed, "stop", text) < config.full_stop_share and text[-1].isalnum():
        text += "。" if "\u3400" <= text[-1] <= "\u9fff" else "."
    if text == draw.text:
        return draw
    arguments = {
        slot: text[: len(str(value))] if slot in draw.free and str(value) not in text else value
        for slot, value in draw.arguments.items()
    }
    return replace(draw, text=text, arguments=arguments)


def prompt(text: str, system: str | None) -> list[Row]:
    """Return the messages before the answer."""
    before = [{"role": "system", "content": system}] if system else []
    return [*before, {"role": "user", "content": text}]


def command_row(set_name: str, language: str, draw: Draw, style: str, mode: Mode, system: str | None) -> Row:
    """Return one command conversation; ``meta.free`` names the arguments that are spans of the command."""
    key = digest_bytes(f"{language} {draw.text}".encode())[:12]
    return {
        "id": f"{set_name}/{language}/{key}",
        "messages": [*prompt(draw.text, system), call_message(draw.intent, draw.arguments, mode)],
        "mode": mode,
        "language": language,
        "source": "home-assistant-intents",
        "group": key,
        "meta": {
            "intent": draw.intent,
            "free": list(draw.free),
            "values": style,
            "template": digest_bytes(draw.template.encode())[:12],
        },
    }


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """Write one compact JSON object a line, whole or not at all; return how many."""
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows]
    write_atomic(path, "".join(f"{line}\n" for line in lines).encode())
    return len(lines)
