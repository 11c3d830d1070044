"""A chat turn with a small model: messages and a mode in, reasoning and answer out, with a budget for thinking.

Input: a ``Generator``, a tokenizer and messages. Output: ``ChatAnswer``. Every prompt goes through the one template in
``smolforge.tokens.template``; ``call`` builds on this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from smolforge.errors import ConfigError, DataError
from smolforge.generator import Completion, Constraint, Finish, Generator, Request, Sampling
from smolforge.tasks.vocabulary import Vocabulary
from smolforge.tokens.messages import Message, Mode, ToolCall, parse_answer
from smolforge.tokens.special import END_THINK, IM_END
from smolforge.tokens.template import ChatCodec

GREEDY = Sampling()


@dataclass(frozen=True)
class ChatAnswer:
    """One answer. ``reasoning`` is None without a think block; ``text`` is everything that was generated, special
    tokens included, and ``tokens`` its ids."""

    reasoning: str | None
    content: str
    tool_calls: tuple[ToolCall, ...]
    text: str
    tokens: list[int]
    finish: Finish


@dataclass(frozen=True)
class ChatModel:
    """A generator with the codec its prompts are written in.

    ``vocabulary_size`` is given where the model has more logits than the tokenizer has tokens; ``context`` is how many
    positions the model has, prompt and answer together.
    """

    generator: Generator
    codec: ChatCodec
    vocabulary_size: int | None = None
    context: int | None = None

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens as bytes, padded to the model's number of logits."""
        return Vocabulary.from_tokenizer(self.codec.tokenizer, self.vocabulary_size)

    @property
    def end_of_turn(self) -> int:
        """The token that ends an assistant turn."""
        return self.codec.special[IM_END]

    @property
    def think_close(self) -> int:
        """The token that closes a think block; ConfigError where the tokenizer has none."""
        if END_THINK not in self.codec.special:
            raise ConfigError(f"the tokenizer has no '{END_THINK}' token, so it has no think mode")
        return self.codec.special[END_THINK]

    def answer(self, completion: Completion) -> ChatAnswer:
        """Split a completion into reasoning, content and calls."""
        text = self.vocabulary.text(completion.tokens)
        parsed = parse_answer(text)
        return ChatAnswer(
            parsed.reasoning, parsed.content, parsed.tool_calls, text, completion.tokens, completion.finish
        )


@dataclass(frozen=True)
class Turn:
    """One question: the conversation so far, the mode, and optionally what the answer is limited to."""

    messages: Sequence[Message]
    mode: Mode = "no_think"
    tools: Sequence[Any] | None = None
    constraint: Constraint | None = field(default=None, compare=False)


def chat(
    model: ChatModel,
    turns: Sequence[Turn],
    *,
    max_tokens: int = 512,
    thinking_budget: int | None = None,
    sampling: Sampling = GREEDY,
) -> list[ChatAnswer]:
    """Answer many turns at once, in their order.

    ``max_tokens`` bounds each whole answer. ``thinking_budget`` bounds the think block alone: where it is used up the
    block is closed for the model, which then goes on to its answer. A turn's constraint holds from the start of a
    no_think answer, and from the close of the think block of a think answer.
    """
    requests = [_request(model, turn, max_tokens, sampling) for turn in turns]
    if thinking_budget is None:
        return [model.answer(done) for done in model.generator.generate(requests)]
    return [model.answer(done) for done in _within_budget(model, turns, requests, thinking_budget)]


def _request(model: ChatModel, turn: Turn, max_tokens: int, sampling: Sampling) -> Request:
    late = turn.constraint is not None and turn.mode == "think"
    prompt = model.codec.prompt(turn.messages, turn.mode, turn.tools)
    if model.context is not None and len(prompt) >= model.context:
        raise DataError(f"the prompt takes {len(prompt)} tokens, the model has {model.context} positions")
    return Request(
        prompt=prompt,
        max_tokens=max_tokens if model.context is None else min(max_tokens, model.context - len(prompt)),
        sampling=sampling,
        stop=model.codec.stop,
        constraint=turn.constraint,
        constrain_after=model.think_close if late else None,
    )


def _within_budget(
    model: ChatModel, turns: Sequence[Turn], requests: Sequence[Request], budget: int
) -> list[Completion]:
    """Let think turns think at most ``budget`` tokens, close the block, and let every turn answer."""
    close = model.think_close
    thinking = [i for i, turn in enumerate(turns) if turn.mode == "think"]
    first = model.generator.generate(
        [
            replace(
                r,
                max_tokens=min(budget, r.max_tokens - 1),
                stop=r.stop | {close},
                constraint=None,
                constrain_after=None,
            )
            for r in (requests[i] for i in thinking)
        ]
    )
    thoughts: dict[int, list[int]] = {}
    for i, done in zip(thinking, first, strict=True):
        thoughts[i] = [*done.tokens, close]
    second = model.generator.generate(
        [
            replace(
                request,
                prompt=[*request.prompt, *thoughts.get(i, [])],
                max_tokens=max(1, request.max_tokens - len(thoughts.get(i, []))),
                constrain_after=None,
            )
            for i, request in enumerate(requests)
        ]
    )
    return [Completion([*thoughts.get(i, []), *done.tokens], done.finish) for i, done in enumerate(second)]
