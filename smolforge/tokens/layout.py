"""Layout: the Jinja template lays a prompt out, and content is filled in afterwards so that it can never be control.

Input is messages and options; output is pieces of text, each known to be a control token or not and supervised or not.
The template sees place holders instead of content, so prompts of one shape are laid out once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from smolforge.errors import ConfigError, DataError
from smolforge.tokens.messages import Message, Mode, check_messages, to_json
from smolforge.tokens.special import END_THINK, SPECIAL_TOKENS, THINK

if TYPE_CHECKING:
    import jinja2

TEMPLATE_PATH = Path(__file__).with_name("template.jinja")
# noncharacters: never assigned, not for interchange. Two enclose a place holder's number, one marks a look-alike
_OPEN, _CLOSE, _MARK = "\ufdd0", "\ufdd1", "\ufdd2"
_HOLDER = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")
_SPECIAL = re.compile(f"({'|'.join(map(re.escape, SPECIAL_TOKENS))})")
# an assistant turn: its header and an empty think block are given, the rest up to the closing token is to be learned
_ANSWER = re.compile(rf"<\|im_start\|>assistant\n(?:{THINK}\n\n{END_THINK}\n)?(.*?<\|im_end\|>)", re.DOTALL)


class Piece(NamedTuple):
    """A stretch of a prompt: one control token (or several with the template's text between them, where they are one
    token), or plain text; ``supervised`` where the model is to write it."""

    text: str
    control: bool
    supervised: bool


class _Stretch(NamedTuple):
    """A piece before filling: literal text at even places, numbers of contents at odd ones."""

    parts: tuple[str | int, ...]
    control: bool
    supervised: bool


def template_source() -> str:
    """Return the Jinja source, as written into ``chat_template.jinja`` and into exports."""
    return TEMPLATE_PATH.read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    import jinja2  # 20 ms that a model with a template of its own has no use for

    environment = jinja2.Environment(keep_trailing_newline=True)
    environment.globals["raise_exception"] = _raise
    return environment.from_string(template_source())


def _raise(message: str) -> None:
    raise ConfigError(message)


def lay_out(
    messages: Sequence[Message],
    *,
    tools: Sequence[Mapping[str, Any]] | None = None,
    mode: Mode = "think",
    custom_instructions: str | None = None,
    today: str | None = None,
    add_generation_prompt: bool = False,
    keep_reasoning: bool = True,
    whole: tuple[str, ...] = (),
) -> list[Piece]:
    """Return the pieces of a prompt; their texts joined are the prompt. Errors as ``template.render``.

    ``whole``: stretches of the template that are one control piece, the longest first.
    """
    if mode not in ("think", "no_think"):
        raise ConfigError(f"mode {mode!r}, expected think or no_think")
    rows = check_messages(messages)
    if custom_instructions and rows[0]["role"] == "system":
        raise ConfigError("custom_instructions and a system message are two ways to say one thing; give one of them")
    contents = _hold_contents(rows)
    variables = {
        "messages": rows,
        "tools": [to_json(tool, f"tools[{i}]") for i, tool in enumerate(tools or [])],
        "enable_thinking": mode == "think",
        "custom_instructions": custom_instructions or "",
        "today": today or "",
        "add_generation_prompt": add_generation_prompt,
        "keep_reasoning": keep_reasoning,
    }
    shape = json.dumps(variables, ensure_ascii=False)
    if shape.count(_OPEN) != len(contents) or _MARK in shape:
        raise DataError("a system message, a tool or a name holds a Unicode noncharacter (U+FDD0 … U+FDD2)")
    pieces = []
    for parts, control, supervised in _skeleton(shape, whole):
        text = "".join(contents[part] if isinstance(part, int) else part for part in parts)
        if text:
            pieces.append(Piece(text, control, supervised))
    return pieces


def _hold_contents(rows: list[dict[str, Any]]) -> list[str]:
    """Put place holders into ``rows`` for what the template only copies, and return what they stand for.

    The template reads system messages and escapes names, so these stay.
    """
    contents: list[str] = []

    def hold(row: dict[str, Any], field: str) -> None:
        if row.get(field):
            contents.append(row[field])
            row[field] = f"{_OPEN}{len(contents) - 1}{_CLOSE}"

    for row in rows:
        if row["role"] != "system":
            hold(row, "content")
        hold(row, "reasoning_content")
        for call in row.get("tool_calls", ()):
            hold(call, "arguments")
    return contents


@lru_cache(maxsize=1024)
def _skeleton(shape: str, whole: tuple[str, ...]) -> tuple[_Stretch, ...]:
    """Render one shape of prompt (template variables as JSON) and cut it into stretches.

    Where a look-alike of a control token is left in the variables, a mark inside it keeps it from being one.
    """
    marked = _SPECIAL.sub(lambda found: found[0][0] + _MARK + found[0][1:], shape)
    text = _template().render(json.loads(marked))
    controls = re.compile(f"({'|'.join(map(re.escape, (*whole, *SPECIAL_TOKENS)))})")
    stretches = []
    end = 0
    for begin, stop, supervised in _regions(text):
        for index, part in enumerate(controls.split(text[begin:stop])):
            parts = [int(p) if i % 2 else p.replace(_MARK, "") for i, p in enumerate(_HOLDER.split(part)) if i % 2 or p]
            if parts:
                stretches.append(_Stretch(tuple(parts), bool(index % 2), supervised))
        end = stop
    assert end == len(text)
    return tuple(stretches)


def _regions(text: str) -> list[tuple[int, int, bool]]:
    """Cut a marked prompt into (begin, end, supervised)."""
    regions, end = [], 0
    for answer in _ANSWER.finditer(text):
        regions += [(end, answer.start(1), False), (*answer.span(1), True)]
        end = answer.end(1)
    return [*regions, (end, len(text), False)]
