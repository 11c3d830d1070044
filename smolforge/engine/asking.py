"""From what people write to a request: messages or text, and options by name.

Input: an opened model, a chat or a text, options. Output: a ``Request``. Options nobody knows are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any, TypedDict, Unpack

from smolforge.engine.constraint_forms import Whitespace
from smolforge.engine.constraints import Kind, build
from smolforge.engine.loaded import END_THINK, THINK, LoadedModel
from smolforge.engine.schema_checks import canonical
from smolforge.engine.text_stream import TokenTable
from smolforge.errors import ConfigError, DataError, nearest
from smolforge.generator import Constraint, Request, Sampling, Thinking
from smolforge.tokens.messages import Message

CHAT = Sampling(temperature=0.6, top_p=0.95)
GREEDY = Sampling()
DEFAULT_TOKENS = 1024
_KINDS: tuple[Kind, ...] = ("schema", "regex", "choices", "lark")


class Options(TypedDict, total=False):
    """What can be asked of an answer; all of it is optional.

    ``max_tokens`` (1024, and what the context leaves). ``sampling``: 0.6 / 0.95 for chat, greedy for text and under a
    form. A form: ``schema`` (JSON schema, closed and bounded as docs/reference/schemas.md says; ``whitespace``
    "compact", "spaced" or "flexible"), ``regex``, ``choices`` (strings), ``lark`` (grammar), or a ``constraint`` (or
    what makes a fresh one for each answer of a batch).
    ``think`` (False): reason first, at most ``thinking_budget`` tokens. ``tools``: functions the template shows.
    ``stop``: strings and token ids, or one of them. ``logprobs``: how many likeliest tokens to report. ``timeout``:
    seconds.
    """

    max_tokens: int | None
    sampling: Sampling | None
    schema: Mapping[str, Any] | bool | str | None
    whitespace: Whitespace
    regex: str | None
    choices: Sequence[str] | None
    lark: str | None
    constraint: Constraint | Callable[[], Constraint] | None
    think: bool
    thinking_budget: int | None
    tools: Sequence[Mapping[str, Any]] | None
    stop: Sequence[str | int] | str | int | None
    logprobs: int | None
    speculate: bool
    priority: int
    timeout: float | None


class Asking:
    """Makes requests for one model with ``context`` positions."""

    def __init__(self, model: LoadedModel, table: TokenTable, context: int) -> None:
        self._model, self._table, self._context = model, table, context
        flagged = {i for i, token in model.tokenizer.get_added_tokens_decoder().items() if token.special}
        self._controls = flagged.union(model.codec.special.values())

    def chat(self, messages: str | Sequence[Message], **options: Unpack[Options]) -> Request:
        """Return the request for the next turn; a string is one user message."""
        _check(options)
        rows = _rows(messages)
        think = options.get("think", False)
        if think and self._model.think is None:
            raise ConfigError(f"{self._model.name} has no think mode: its tokenizer has no <think> and </think>")
        prompt = self._model.codec.prompt(rows, "think" if think else "no_think", options.get("tools"))
        return self._request(prompt, self._thinking(prompt, options.get("thinking_budget")), CHAT, options)

    def text(self, prompt: str | Sequence[int], **options: Unpack[Options]) -> Request:
        """Return the request to continue a text (or token ids)."""
        _check(options)
        for name in ("think", "thinking_budget", "tools"):
            if options.get(name):
                raise ConfigError(f"{name} belongs to a chat; a text is continued as it is")
        ids = self._model.encode(prompt) if isinstance(prompt, str) else list(prompt)
        return self._request(ids, None, GREEDY, options)

    def _request(self, prompt: list[int], thinking: Thinking | None, default: Sampling, options: Options) -> Request:
        constraint = self._constraint(options)
        room = self._context - len(prompt)
        wanted, stop = options.get("max_tokens"), options.get("stop") or ()
        if wanted is not None and not (isinstance(wanted, Integral) and wanted >= 0):
            raise ConfigError(f"max_tokens is {wanted!r}, expected a whole number from 0 on, or None")
        stop = [stop] if isinstance(stop, str | int) else stop
        if room < 1 or (wanted is not None and wanted > room):
            raise DataError(
                f"the prompt takes {len(prompt)} tokens and the answer {wanted or 'at least 1'}, "
                f"there are {self._context} positions"
            )
        return Request(
            prompt=prompt,
            max_tokens=min(room, DEFAULT_TOKENS) if wanted is None else wanted,
            sampling=options.get("sampling") or (default if constraint is None else GREEDY),
            stop=self._model.stop | self._stop_ids(stop),
            constraint=constraint,
            stop_strings=tuple(text for text in stop if isinstance(text, str)),
            logprobs=options.get("logprobs"),
            thinking=thinking,
            speculate=options.get("speculate", True),
            priority=options.get("priority", 0),
            timeout=options.get("timeout"),
        )

    def _stop_ids(self, stop: Sequence[str | int]) -> frozenset[int]:
        ids = frozenset(int(i) for i in stop if not isinstance(i, str))
        for i in ids:
            if not 0 <= i < self._model.vocab_size:
                raise ConfigError(f"stop {i}: expected a token id from 0 to {self._model.vocab_size - 1}, or a string")
        return ids

    def _thinking(self, prompt: Sequence[int], budget: int | None) -> Thinking | None:
        """Describe the think block by how the template ends the prompt: closed (none), open, or up to the model.

        Only a control token counts; text that spells one, as at the end of what a person wrote, is content.
        """
        if self._model.think is None:
            return None
        end = self._last_control(prompt)
        if end.endswith(END_THINK):
            return None
        begin, close = self._model.think
        newline = tuple(self._model.codec.encode_text(["\n"])[0])
        return Thinking(begin, close, opened=end.endswith(THINK), budget=budget, closing=newline, after=newline)

    def _last_control(self, prompt: Sequence[int]) -> str:
        """Return the text of the last token that is not white space where it is a control token, else ""."""
        for i in reversed(prompt):
            if text := self._model.codec.decode([i]).rstrip():
                return text if i in self._controls else ""
        return ""

    def _constraint(self, options: Options) -> Constraint | None:
        forms: list[tuple[Kind, Any]] = [(kind, options.get(kind)) for kind in _KINDS if options.get(kind) is not None]
        given = options.get("constraint")
        names = [kind for kind, _ in forms] + (["constraint"] if given is not None else [])
        if len(names) > 1:
            raise ConfigError(f"{' and '.join(names)} are two forms for one answer; give one of them")
        if not forms:
            return given() if callable(given) else given
        kind, form = forms[0]
        if kind == "schema":
            form = canonical(form)
        return build(self._table, self._model.stop, kind, form, whitespace=options.get("whitespace", "compact"))


def _rows(messages: str | Sequence[Message]) -> list[Message]:
    """Return the messages of a chat, a text being one of the user; DataError for what is none."""
    rows: Sequence[Message] = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    if not isinstance(rows, Sequence):
        raise DataError(f"messages: {type(messages).__name__}, expected a text or a list of messages")
    if not rows:
        raise DataError("messages: empty, expected at least one message")
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DataError(f"messages[{i}]: {type(row).__name__}, expected an object with 'role' and 'content'")
    return list(rows)


def _check(options: Options) -> None:
    for name in options:
        if name in Sampling.__dataclass_fields__:
            raise ConfigError(
                f"unknown option '{name}': how tokens are chosen is one option, sampling=Sampling({name}=…)"
            )
        if name not in Options.__annotations__:
            raise ConfigError(f"unknown option '{name}'{nearest(name, Options.__annotations__)}")
