"""From a conversation to the events of an answer, on either backend, in words or as function calls.

Input: an opened model, messages, mode and settings. Output: the events that ``speaking`` shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smolforge.cli.conversation import Mode
from smolforge.cli.options import SAMPLING, sampling_of
from smolforge.errors import ConfigError, DataError
from smolforge.generator import Constraint, Event, Finished, ReasoningDelta, Sampling, TextDelta, Usage

if TYPE_CHECKING:
    from smolforge.cli.opening import OpenModel
    from smolforge.engine.engine import Engine
    from smolforge.tasks.chat import ChatAnswer, ChatModel

Messages = Sequence[Mapping[str, Any]]
Settings = Mapping[str, float]
Answerer = Callable[[Messages, Mode, Settings], Iterator[Event]]
Form = Mapping[Any, Any]  # {"schema": ...}, {"regex": ...}, {"choices": ...} or nothing


@dataclass(frozen=True)
class Bounds:
    """What every answer of a command keeps to: its form, texts it ends before, and biases of tokens."""

    form: Form
    stop: Sequence[str] = ()
    logit_bias: Sequence[tuple[int, float]] = ()

    def sampling(self, settings: Settings) -> Sampling:
        """Return how tokens are chosen under ``settings``."""
        chosen = {name: value for name, value in settings.items() if name in SAMPLING}
        return sampling_of(chosen, self.logit_bias)


def in_words(opened: OpenModel, bounds: Bounds) -> Answerer:
    """Return what answers within ``bounds``."""
    if opened.engine is not None:
        return InEngine(opened.engine, bounds)
    if bounds.stop:
        raise ConfigError("--stop belongs to the native engine, not to --backend torch")
    return InTorch(opened.chat, bounds)


@dataclass(frozen=True)
class InEngine:
    """Answers in words as the engine makes them."""

    engine: Engine
    bounds: Bounds

    def __call__(self, messages: Messages, mode: Mode, settings: Settings) -> Iterator[Event]:
        """Yield the answer piece by piece; leaving early stops it."""
        room = self.engine.context - (taken := len(self.engine.codec.prompt(messages, mode)))
        if room < 1:
            raise DataError(
                f"the conversation takes {taken} tokens and there are {self.engine.context} positions; shorten it "
                "(/clear in a chat forgets it) or give a larger --context"
            )
        stream = self.engine.stream(
            list(messages),
            think=mode == "think",
            thinking_budget=_budget(mode, settings),
            max_tokens=min(int(settings["max_tokens"]), room),
            sampling=self.bounds.sampling(settings),
            stop=self.bounds.stop,
            **self.bounds.form,
        )
        yield from stream


@dataclass(frozen=True)
class InTorch:
    """Answers in words on the torch backend, all at once."""

    model: ChatModel
    bounds: Bounds

    def __call__(self, messages: Messages, mode: Mode, settings: Settings) -> Iterator[Event]:
        """Yield the whole answer when it is there."""
        from smolforge.tasks.chat import Turn, chat

        answer = chat(
            self.model,
            [Turn(messages, mode, constraint=constraint_of(self.model, self.bounds.form))],
            max_tokens=int(settings["max_tokens"]),
            thinking_budget=_budget(mode, settings),
            sampling=self.bounds.sampling(settings),
        )[0]
        yield from _events(answer, answer.content, len(self.model.codec.prompt(messages, mode)))


@dataclass(frozen=True)
class InCalls:
    """Answers with function calls, each command standing alone; free slots are copied from the command."""

    opened: OpenModel
    constrained: bool

    def __call__(self, messages: Messages, mode: Mode, settings: Settings) -> Iterator[Event]:
        """Yield the call as JSON text, or what was said instead of one. Calls are chosen greedily."""
        from smolforge.tasks.fixed_call import CallModel, call

        most = int(settings["max_tokens"])
        made = call(
            CallModel(self.opened.chat, self.opened.tools or []),
            [messages[-1:]],
            modes=mode,
            constrained=self.constrained,
            max_tokens=most,
            thinking_budget=_budget(mode, settings) or (most // 2 if mode == "think" else None),
        )[0]
        text = made.answer.content
        if made.call is not None:
            wanted = {"name": made.call.name, "arguments": made.call.arguments}
            text = json.dumps(wanted, ensure_ascii=False)
        yield from _events(made.answer, text, len(self.opened.chat.codec.prompt(messages[-1:], mode)))


def constraint_of(model: ChatModel, form: Form) -> Constraint | None:
    """Return the constraint that keeps an answer within ``form``, None for a free one."""
    if not form:
        return None
    from smolforge.engine import constraints
    from smolforge.engine.schema_checks import canonical
    from smolforge.engine.text_stream import TokenTable

    ((kind, value),) = form.items()
    if kind == "schema":
        value = canonical(value)
    table = TokenTable(model.codec.tokenizer, model.vocabulary_size or model.codec.vocab_size)
    return constraints.build(table, model.codec.stop, kind, value)


def _budget(mode: Mode, settings: Settings) -> int | None:
    return int(settings["thinking_budget"]) or None if mode == "think" else None


def _events(answer: ChatAnswer, text: str, prompt_tokens: int) -> Iterator[Event]:
    if answer.reasoning and answer.reasoning.strip():
        yield ReasoningDelta(answer.reasoning)
    yield TextDelta(text)
    yield Finished(answer.finish, Usage(prompt_tokens, 0, len(answer.tokens), 0, 0, 0))
