"""The one chat template: messages, tools and a mode become a prompt, its supervised spans, and token ids.

Input is messages and a trained tokenizer; training, evaluation, the engine and every export use what comes out here.
The Jinja source beside this file is the whole layout (see ``layout.py``); this is what other rooms call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from smolforge.errors import ConfigError, DataError
from smolforge.tokens.layout import Piece, lay_out, template_source
from smolforge.tokens.messages import Answer, Message, Mode, ToolCall, parse_answer
from smolforge.tokens.special import END_OF_TEXT, IM_END, IM_START, PAD, SPECIAL_TOKENS
from smolforge.tokens.token_text import TokenText

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "Answer",
    "ChatCodec",
    "Encoded",
    "ToolCall",
    "parse_answer",
    "render",
    "render_with_spans",
    "template_source",
]

_CACHE_LIMIT = 1 << 20


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
    pieces = lay_out(
        messages, tools=tools, mode=mode, custom_instructions=custom_instructions, today=today,
        add_generation_prompt=add_generation_prompt, keep_reasoning=keep_reasoning,
    )  # fmt: skip
    return "".join(piece.text for piece in pieces)


def render_with_spans(messages: Sequence[Message], **options: Any) -> tuple[str, list[tuple[int, int]]]:
    """Return ``render``'s text and its supervised character spans, one per assistant turn.

    A span runs from behind the header (and behind an empty think block) to the closing ``<|im_end|>``, inclusive.
    """
    text, spans = "", []
    for turn, pieces in groupby(lay_out(messages, **options), key=attrgetter("supervised")):
        begin = len(text)
        text += "".join(piece.text for piece in pieces)
        if turn:
            spans.append((begin, len(text)))
    return text, spans


def whole_stretches(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the tokens that stand for a stretch of the template: added ones with a control token inside."""
    added = {token.content: i for i, token in tokenizer.get_added_tokens_decoder().items()}
    return {text: i for text, i in added.items() if any(t in text and t != text for t in SPECIAL_TOKENS)}


class Encoded(NamedTuple):
    """Token ids and, for each, 1 where it is a training target."""

    ids: list[int]
    mask: list[int]


class ChatCodec(TokenText):
    """Chats, documents and answers to token ids and back, for one tokenizer.

    Control tokens come from the template only: content, documents and forged control strings in them are encoded as
    plain text. ConfigError if the tokenizer has no ``<|im_start|>`` or ``<|im_end|>``.
    """

    def __init__(self, tokenizer: Tokenizer, *, copy: bool = True) -> None:
        """``copy=False`` takes the tokenizer over instead of copying it, which costs 0.2 s per 50,000 tokens."""
        from tokenizers import Tokenizer

        self._take(Tokenizer.from_str(tokenizer.to_str()) if copy else tokenizer)
        known = {token: self.tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
        self.special: dict[str, int] = {token: i for token, i in known.items() if i is not None}
        for token in (IM_START, IM_END):
            if token not in self.special:
                raise ConfigError(f"tokenizer: no token {token}, so it cannot carry chats")
        whole = whole_stretches(self.tokenizer)
        self._whole = tuple(sorted(whole, key=lambda text: (-len(text), text)))
        self._control = {**self.special, **whole}
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
                rows.append(self._lay_out(row["messages"], mode=row.get("mode", "think"), tools=row.get("tools")))
            except DataError as error:
                raise DataError(f"conversation {row.get('id', index)}: {error}") from None
        return self._encode(rows)

    def prompt(
        self, messages: Sequence[Message], mode: Mode = "think", tools: Sequence[Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> list[int]:  # fmt: skip
        """Return the ids up to where the model begins to answer; ``options`` as for ``render``."""
        laid_out = self._lay_out(messages, mode=mode, tools=tools, add_generation_prompt=True, **options)
        return self._encode([laid_out])[0].ids

    def answers(self, messages: Sequence[Message]) -> list[list[int]]:
        """Return the ids of each assistant message as a model would write it after a prompt, with ``<|im_end|>``."""
        ask = {"role": "user", "content": ""}
        laid_out = [self._lay_out([ask, message], mode="think") for message in messages]
        turns = [[piece for piece in pieces if piece.supervised] for pieces in laid_out]
        return [encoded.ids for encoded in self._encode(turns)]

    def encode_text(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode documents as plain text, without an end token."""
        return [encoding.ids for encoding in self._batch(texts)]

    def _lay_out(self, messages: Sequence[Message], **options: Any) -> list[Piece]:
        return lay_out(messages, whole=self._whole, **options)

    def _encode(self, prompts: Sequence[Sequence[Piece]]) -> list[Encoded]:
        """Ids and masks of laid-out prompts; a text that occurs again is not encoded again."""
        special, known = self._control, self._cache
        texts = {piece.text for pieces in prompts for piece in pieces if not (piece.control and piece.text in special)}
        if len(known) + len(texts) > _CACHE_LIMIT:
            known.clear()
        new = [text for text in texts if text not in known]
        known.update(zip(new, (encoding.ids for encoding in self._batch(new)), strict=True))
        encoded = []
        for pieces in prompts:
            ids: list[int] = []
            mask: list[int] = []
            for text, control, supervised in pieces:
                if control and text in special:
                    ids.append(special[text])
                    mask.append(int(supervised))
                else:
                    ids += known[text]
                    mask += [int(supervised)] * len(known[text])
            encoded.append(Encoded(ids, mask))
        return encoded

    def _batch(self, texts: Sequence[str]) -> Sequence[Any]:
        try:
            return self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except (TypeError, UnicodeEncodeError):
            bad = next((t for t in texts if any("\ud800" <= c <= "\udfff" for c in t)), "")
            raise DataError(f"text with a lone surrogate cannot be encoded: {bad[:40]!r}") from None
