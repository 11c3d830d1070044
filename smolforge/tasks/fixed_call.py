"""Turn a command into a call of a model's one fixed tool list: free greedy decoding, or only what is a legal call.

For models that were trained on a list of tools, and carry it as ``tools.json``; ``agent`` calls any tools.
Input: a ``ChatModel``, the tool list, and commands in any of its languages. Output: ``CallAnswer``. In constrained
decoding free slots can only be copied from the command (``call_constraint``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from smolforge.generator import Constraint
from smolforge.tasks.call_constraint import CallConstrainer
from smolforge.tasks.chat import ChatAnswer, ChatModel, Turn, chat
from smolforge.tokens.messages import Message, Mode, ToolCall


@dataclass(frozen=True)
class CallAnswer:
    """The call that was made, None where the answer holds no well-formed call, and the whole answer."""

    call: ToolCall | None
    answer: ChatAnswer


@dataclass(frozen=True)
class CallModel:
    """A chat model with a tool list. ``show_tools`` puts the list into the prompt; a model trained on one fixed list
    needs it only for decoding."""

    chat_model: ChatModel
    tools: Sequence[Mapping[str, Any]]
    show_tools: bool = False

    @cached_property
    def direct(self) -> CallConstrainer:
        """Constrains answers that are nothing but a call."""
        return CallConstrainer(self.tools, self.chat_model.vocabulary, [self.chat_model.end_of_turn])

    @cached_property
    def after_thinking(self) -> CallConstrainer:
        """Constrains what follows the close of a think block."""
        model = self.chat_model
        return CallConstrainer(self.tools, model.vocabulary, [model.end_of_turn], prefix="\n")

    def constraint(self, command: str, mode: Mode) -> Constraint:
        """Return a fresh constraint for one answer to ``command``."""
        return (self.after_thinking if mode == "think" else self.direct).constraint(command)


def last_command(messages: Sequence[Message]) -> str:
    """Return the content of the last user message, from which free slots are copied."""
    return next((str(m["content"]) for m in reversed(messages) if m["role"] == "user"), "")


def call(
    model: CallModel,
    conversations: Sequence[Sequence[Message]],
    *,
    modes: Sequence[Mode] | Mode = "no_think",
    constrained: bool = True,
    max_tokens: int = 128,
    thinking_budget: int | None = None,
) -> list[CallAnswer]:
    """Answer many conversations, each ending in a user's command, greedily; results in their order."""
    each = [modes] * len(conversations) if isinstance(modes, str) else list(modes)
    turns = [
        Turn(
            messages,
            mode,
            model.tools if model.show_tools else None,
            model.constraint(last_command(messages), mode) if constrained else None,
        )
        for messages, mode in zip(conversations, each, strict=True)
    ]
    answers = chat(model.chat_model, turns, max_tokens=max_tokens, thinking_budget=thinking_budget)
    return [CallAnswer(first_call(answer), answer) for answer in answers]


def first_call(answer: ChatAnswer) -> ToolCall | None:
    """Return the answer's call where it holds exactly one well-formed call."""
    return answer.tool_calls[0] if len(answer.tool_calls) == 1 else None


def follows(model: CallModel, command: str, mode: Mode, answer: ChatAnswer) -> bool:
    """Say whether a finished free answer chose only tokens that the constraint for ``command`` allows.

    Greedy decoding under the constraint would then choose the same tokens, so it need not be run.
    """
    if answer.finish != "stop":
        return False
    constraint = model.constraint(command, mode)
    rest = answer.tokens
    if mode == "think":
        close = model.chat_model.think_close
        if close not in rest:
            return False
        rest = rest[rest.index(close) + 1 :]
    for token in (*rest, model.chat_model.end_of_turn):
        mask = constraint.mask()
        if mask is not None and not mask[token]:
            return False
        constraint.advance(token)
    return True
