"""From chats and text to token ids and back, for a model whose tokenizer and template came with its files.

In: a tokenizer, what its files say about special tokens, and a Jinja template. Out: ids. Control tokens come from the
template only: what people write is encoded as plain text, whatever it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from smolforge.engine import chat_template
from smolforge.errors import ConfigError, DataError
from smolforge.formats.hf_tokenizer import TokenFacts
from smolforge.tokens.token_text import TokenText

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Names under which published models end a turn or a text; any of them that is a control token stops an answer.
STOP_NAMES = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>", "<end_of_turn>", "</s>",
)  # fmt: skip
TAG = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]")  # an added token of this form is markup, though not flagged as special


class Codec(Protocol):
    """What the engine, the tasks and the server need to know of a tokenizer."""

    tokenizer: Tokenizer
    special: dict[str, int]

    @property
    def vocab_size(self) -> int:
        """All ids, special and added ones included."""

    @property
    def stop(self) -> frozenset[int]:
        """Ids that end an answer."""

    def prompt(
        self, messages: Sequence[Mapping[str, Any]], mode: Any = "think",
        tools: Sequence[Mapping[str, Any]] | None = None, **options: Any,
    ) -> list[int]:  # fmt: skip
        """Return the ids up to where the model begins to answer."""

    def encode_text(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode documents as plain text."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens included."""


class FileCodec(TokenText):
    """A codec for a template found in a file. ``special``: text of each control token → id."""

    def __init__(self, tokenizer: Tokenizer, facts: TokenFacts) -> None:
        """Take over ``tokenizer`` (its control tokens must be flagged as special: ``control_flags``)."""
        self._take(tokenizer)
        self.facts = facts
        added = tokenizer.get_added_tokens_decoder()
        self.special: dict[str, int] = {token.content: i for i, token in added.items() if token.special}
        names = sorted(self.special, key=len, reverse=True)
        self._controls = re.compile(f"({'|'.join(map(re.escape, names)) or '(?!)'})")

    @cached_property
    def stop(self) -> frozenset[int]:
        """Ids that end an answer: what the files say, and control tokens known by name."""
        return frozenset(self.facts.eos) | {self.special[name] for name in STOP_NAMES if name in self.special}

    def prompt(
        self, messages: Sequence[Mapping[str, Any]], mode: Any = "think",
        tools: Sequence[Mapping[str, Any]] | None = None, **options: Any,
    ) -> list[int]:  # fmt: skip
        """Return the ids up to where the model begins to answer; ``options`` are further template variables.

        ConfigError without a template; DataError for messages it refuses; FormatError when it does not work.
        """
        if self.facts.chat_template is None:
            raise ConfigError("this model has no chat template; give it plain text to continue instead")
        variables = {
            "messages": [_message(message, f"messages[{i}]") for i, message in enumerate(messages)],
            "tools": list(tools) if tools else None,
            "add_generation_prompt": True,
            "enable_thinking": mode == "think",
            **options,
        }
        pieces = chat_template.lay_out(self.facts.chat_template, variables, self._controls, self._ends)
        return self._encode(pieces)

    @cached_property
    def _ends(self) -> dict[str, str]:
        texts = {"bos_token": self.facts.bos, "eos_token": next(iter(self.facts.eos), None)}
        return {name: "" if i is None else self.tokenizer.id_to_token(i) or "" for name, i in texts.items()}

    def _encode(self, pieces: Iterable[tuple[str, bool]]) -> list[int]:
        rows = list(pieces)
        plain = iter(self.encode_text([text for text, control in rows if not control]))
        return [i for text, control in rows for i in ([self.special[text]] if control else next(plain))]

    def encode_text(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode documents as plain text, without begin and end tokens; DataError for lone surrogates."""
        try:
            rows = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except (TypeError, UnicodeEncodeError):
            raise DataError("text with a lone surrogate cannot be encoded") from None
        return [row.ids for row in rows]


def _message(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a message as templates expect it; DataError where it has no role, or content that is no text."""
    if not isinstance(message.get("role"), str):
        raise DataError(f"{where}: role {message.get('role')!r}, expected a string such as 'user'")
    content = message.get("content")
    if not isinstance(content, str) and not (content is None and message.get("tool_calls")):
        raise DataError(f"{where}: content is {type(content).__name__}, expected a string")
    return dict(message)


def control_flags(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Return a ``tokenizer.json`` value in which every added token that is markup is flagged as special.

    The library keeps only special tokens out of plain text, and some published files leave ``<think>`` unflagged.
    """
    added = [
        {**token, "special": bool(token.get("special")) or bool(TAG.fullmatch(token["content"]))}
        for token in tokenizer.get("added_tokens", ())
    ]
    return {**tokenizer, "added_tokens": added}
