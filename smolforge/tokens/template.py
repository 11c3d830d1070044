"""The one chat template: messages, tools and a mode become a prompt, its supervised spans, and token ids.

Input is messages and a trained tokenizer; training, evaluation, the engine and every export use what comes out here.
The Jinja source beside this file is the whole layout; Python checks the input and keeps content apart from control.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

from smolforge.errors import ConfigError, DataError
from smolforge.tokens.messages import Answer, Message, Mode, ToolCall, check_messages, parse_answer, to_json
from smolforge.tokens.special import END_OF_TEXT, END_THINK, IM_END, IM_START, PAD, SPECIAL_TOKENS, THINK

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Answer", "ChatCodec", "Encoded", "ToolCall", "parse_answer", "render", "render_with_spans"]

TEMPLATE_PATH = Path(__file__).with_name("template.jinja")
_SPECIAL = re.compile("|".join(map(re.escape, SPECIAL_TOKENS)))
_SPLIT = re.compile(f"({_SPECIAL.pattern})")
# an assistant turn: its header and an empty think block are given, the rest up to the closing token is to be learned
_ANSWER = re.compile(rf"<\|im_start\|>assistant\n(?:{THINK}\n\n{END_THINK}\n)?(.*?<\|im_end\|>)", re.DOTALL)
_CACHE_LIMIT = 1 << 20
_NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]  # never assigned, so hardly ever in a text


def template_source() -> str:
    """Return the Jinja source, as written into ``chat_template.jinja`` and into exports."""
    return TEMPLATE_PATH.read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(keep_trailing_newline=True)
    environment.globals["raise_exception"] = _raise
    return environment.from_string(template_source())


def _raise(message: str) -> None:
    raise ConfigError(message)


def render(
    messages: Sequence[Message],
    *,
    tools: Sequence[Mapping[str, Any]] | None = None,
    mode: Mode = "think",
    custom_instructions: str | None = None,
    today: str | None = None,
    add_generation_prompt: bool = False,
    keep_reasoning: bool = True,
) -> str:
    """Return the prompt as text. Words /think and /no_think in the system message beat ``mode``.

    DataError for messages the template cannot carry; ConfigError for options that contradict each other.
    """
    variables = _variables(
        messages, tools, mode, custom_instructions, today, add_generation_prompt, keep_reasoning=keep_reasoning
    )
    return _template().render(variables)


def render_with_spans(messages: Sequence[Message], **options: Any) -> tuple[str, list[tuple[int, int]]]:
    """Return ``render``'s text and its supervised character spans, one per assistant turn.

    A span runs from behind the header (and behind an empty think block) to the closing ``<|im_end|>``, inclusive.
    """
    guarded, mark = _guarded_render(messages, **options)
    text, spans = "", []
    for region, supervised in _regions(guarded):
        begin = len(text)
        text += region.replace(mark, "")
        if supervised:
            spans.append((begin, len(text)))
    return text, spans


def _variables(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] | None = None,
    mode: Mode = "think",
    custom_instructions: str | None = None,
    today: str | None = None,
    add_generation_prompt: bool = False,
    *,
    keep_reasoning: bool = True,
) -> dict[str, Any]:
    if mode not in ("think", "no_think"):
        raise ConfigError(f"mode {mode!r}, expected think or no_think")
    rows = check_messages(messages)
    if custom_instructions and rows[0]["role"] == "system":
        raise ConfigError("custom_instructions and a system message are two ways to say one thing; give one of them")
    return {
        "messages": rows,
        "tools": [to_json(tool, f"tools[{i}]") for i, tool in enumerate(tools or [])],
        "enable_thinking": mode == "think",
        "custom_instructions": custom_instructions or "",
        "today": today or "",
        "add_generation_prompt": add_generation_prompt,
        "keep_reasoning": keep_reasoning,
    }


def _guarded_render(messages: Sequence[Message], **options: Any) -> tuple[str, str]:
    """Return (text, mark): the prompt where every look-alike of a control token in content has ``mark`` inside it.

    So the only whole control strings in the text are the template's own. The mark is "" when there is no look-alike.
    """
    variables = _variables(messages, **options)
    fields = json.dumps(variables, ensure_ascii=False)
    if not _SPECIAL.search(fields):
        return _template().render(variables), ""
    mark = next((c for c in _NONCHARACTERS if c not in fields), None)
    if mark is None:
        raise DataError("messages: the text holds every Unicode noncharacter; remove them")
    guarded = json.loads(_SPECIAL.sub(lambda found: found[0][0] + mark + found[0][1:], fields))
    return _template().render(guarded), mark


def _regions(text: str) -> Iterator[tuple[str, bool]]:
    """Cut a guarded prompt into (text, supervised) regions."""
    end = 0
    for answer in _ANSWER.finditer(text):
        yield text[end : answer.start(1)], False
        yield answer[1], True
        end = answer.end(1)
    yield text[end:], False


class Encoded(NamedTuple):
    """Token ids and, for each, 1 where it is a training target."""

    ids: list[int]
    mask: list[int]


class ChatCodec:
    """Chats, documents and answers to token ids and back, for one tokenizer.

    Control tokens come from the template only: content, documents and forged control strings in them are encoded as
    plain text. ConfigError if the tokenizer has no ``<|im_start|>`` or ``<|im_end|>``.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.tokenizer.encode_special_tokens = True
        known = {token: self.tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
        self.special: dict[str, int] = {token: i for token, i in known.items() if i is not None}
        for token in (IM_START, IM_END):
            if token not in self.special:
                raise ConfigError(f"tokenizer: no token {token}, so it cannot carry chats")
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def open(cls, path: Path) -> ChatCodec:
        """Open ``tokenizer.json``, or the folder that holds it. DataError when it is not one."""
        from tokenizers import Tokenizer

        file = path / "tokenizer.json" if path.is_dir() else path
        try:
            return cls(Tokenizer.from_str(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise DataError(f"{file}: no such file") from None
        except ConfigError:
            raise
        except Exception as error:  # the Rust side raises bare Exception
            raise DataError(f"{file}: not a tokenizer ({error})") from None

    @property
    def vocab_size(self) -> int:
        """All ids, special and added ones included."""
        return int(self.tokenizer.get_vocab_size(with_added_tokens=True))

    @property
    def stop(self) -> frozenset[int]:
        """Ids that end an answer."""
        return frozenset(self.special[token] for token in (IM_END, END_OF_TEXT) if token in self.special)

    @property
    def pad(self) -> int:
        """The id to pad with; it is never looked at."""
        return self.special.get(PAD, 0)

    def encode(self, conversation: Mapping[str, Any]) -> Encoded:
        """Encode one conversation row (``messages``, ``mode``, ``tools`` if it has any)."""
        return self.encode_many([conversation])[0]

    def encode_many(self, conversations: Sequence[Mapping[str, Any]]) -> list[Encoded]:
        """Encode conversation rows; the text between control tokens is encoded in parallel, each different one once."""
        rows = []
        for index, row in enumerate(conversations):
            try:
                rows.append(self._cut(row["messages"], mode=row.get("mode", "think"), tools=row.get("tools")))
            except DataError as error:
                raise DataError(f"conversation {row.get('id', index)}: {error}") from None
        return self._encode(rows)

    def prompt(
        self, messages: Sequence[Message], mode: Mode = "think", tools: Sequence[Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> list[int]:  # fmt: skip
        """Return the ids up to where the model begins to answer; ``options`` as for ``render``."""
        return self._encode([self._cut(messages, mode=mode, tools=tools, add_generation_prompt=True, **options)])[0].ids

    def answers(self, messages: Sequence[Message]) -> list[list[int]]:
        """Return the ids of each assistant message as a model would write it after a prompt, with ``<|im_end|>``."""
        ask = {"role": "user", "content": ""}
        rows = [self._cut([ask, message], mode="think") for message in messages]
        return [encoded.ids for encoded in self._encode([[p for p in row if p[2]] for row in rows])]

    def encode_text(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode documents as plain text, without an end token."""
        return [encoding.ids for encoding in self._batch(texts)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, control tokens included; bytes that are not UTF-8 become U+FFFD."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))

    def _cut(self, messages: Sequence[Message], **options: Any) -> list[tuple[str, bool, bool]]:
        """Pieces (text, is a control token, is supervised) of one prompt."""
        text, mark = _guarded_render(messages, **options)
        pieces = []
        for region, supervised in _regions(text):
            for index, part in enumerate(_SPLIT.split(region)):
                if part:
                    control = bool(index % 2) and part in self.special
                    pieces.append((part.replace(mark, ""), control, supervised))
        return pieces

    def _encode(self, rows: Sequence[Sequence[tuple[str, bool, bool]]]) -> list[Encoded]:
        new = list(dict.fromkeys(t for row in rows for t, control, _ in row if not control and t not in self._cache))
        if len(self._cache) + len(new) > _CACHE_LIMIT:
            self._cache.clear()
            new = list(dict.fromkeys(text for row in rows for text, control, _ in row if not control))
        self._cache.update(zip(new, (encoding.ids for encoding in self._batch(new)), strict=True))
        encoded = []
        for row in rows:
            ids: list[int] = []
            mask: list[int] = []
            for text, control, supervised in row:
                piece = [self.special[text]] if control else self._cache[text]
                ids += piece
                mask += [int(supervised)] * len(piece)
            encoded.append(Encoded(ids, mask))
        return encoded

    def _batch(self, texts: Sequence[str]) -> Sequence[Any]:
        try:
            return self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        except (TypeError, UnicodeEncodeError):
            bad = next((t for t in texts if any("\ud800" <= c <= "\udfff" for c in t)), "")
            raise DataError(f"text with a lone surrogate cannot be encoded: {bad[:40]!r}") from None
