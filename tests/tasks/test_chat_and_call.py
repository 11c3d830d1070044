"""Chat turns keep their mode and budget; calls come back parsed; the constraint acts only where it has to."""

from __future__ import annotations

import json

import pytest

from smolforge.errors import DataError
from smolforge.tasks.chat import ChatModel, Turn, chat
from smolforge.tasks.fixed_call import CallModel, call, follows
from smolforge.tokens.template import ChatCodec
from tests.tasks.small_chat import PlaybackGenerator, small_tokenizer

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "TurnOn",
            "parameters": {
                "type": "object",
                "properties": {"name": {"type": "string", "x-copy": True}},
                "required": ["name"],
            },
        },
    }
]
COMMAND = [{"role": "user", "content": "turn on the kitchen light"}]


def call_text(name: str, value: str) -> str:
    body = json.dumps({"name": name, "arguments": {"name": value}})
    return f"<tool_call>\n{body}\n</tool_call>"


def playing(*answers: tuple[str, str], context: int | None = None) -> ChatModel:
    """Return a chat model that answers by the first key its prompt ends with."""
    codec = ChatCodec(small_tokenizer())

    def answer(prompt: str) -> str:
        return next(text for key, text in answers if prompt.endswith(key))

    return ChatModel(PlaybackGenerator(codec, answer), codec, context=context)


def test_a_think_answer_is_split_into_reasoning_and_content() -> None:
    model = playing(("assistant\n", "<think>\nit is dark\n</think>\nlight"), ("</think>\n", "no"))
    thinking, direct = chat(model, [Turn(COMMAND, "think"), Turn(COMMAND, "no_think")])
    assert (thinking.reasoning, thinking.content, thinking.finish) == ("it is dark", "light", "stop")
    assert (direct.reasoning, direct.content) == (None, "no")
    assert thinking.text == "<think>\nit is dark\n</think>\nlight"


def test_the_thinking_budget_closes_the_block_and_the_answer_still_comes() -> None:
    endless = "<think>\n" + "please " * 60
    model = playing(("</think>", "\nlight"), ("assistant\n", endless))
    (answer,) = chat(model, [Turn(COMMAND, "think")], thinking_budget=12)
    assert answer.content == "light" and answer.reasoning is not None and answer.reasoning.startswith("please")
    close = model.think_close
    assert answer.tokens.index(close) == 12 and answer.finish == "stop"


def test_a_short_thought_is_the_same_with_and_without_a_budget() -> None:
    def model() -> ChatModel:
        return playing(("</think>", "\nlight"), ("assistant\n", "<think>\nit\n</think>\nlight"))

    budgeted, free = (chat(model(), [Turn(COMMAND, "think")], thinking_budget=b)[0] for b in (50, None))
    assert budgeted.tokens == free.tokens


def test_a_prompt_longer_than_the_model_is_refused_and_answers_stay_inside_it() -> None:
    with pytest.raises(DataError, match="positions"):
        chat(playing(("\n", "x"), context=4), [Turn(COMMAND)])
    model = playing(("\n", "please " * 50))
    used = len(model.codec.prompt(COMMAND, "no_think"))
    limited = playing(("\n", "please " * 50), context=used + 5)
    (answer,) = chat(limited, [Turn(COMMAND)])
    assert len(answer.tokens) == 5 and answer.finish == "length"


@pytest.mark.parametrize("mode", ["no_think", "think"])
@pytest.mark.parametrize("constrained", [False, True])
def test_a_legal_call_is_returned_as_it_was_written(mode: str, constrained: bool) -> None:
    text = call_text("TurnOn", "kitchen light")
    model = CallModel(playing(("</think>\n", text), ("assistant\n", f"<think>\nTurnOn\n</think>\n{text}")), TOOLS)
    (answer,) = call(model, [COMMAND], modes=mode, constrained=constrained)
    assert answer.call is not None and answer.call.arguments == {"name": "kitchen light"}
    assert follows(model, COMMAND[0]["content"], mode, answer.answer)


@pytest.mark.parametrize("mode", ["no_think", "think"])
@pytest.mark.parametrize("wrong", [call_text("TurnOff", "light"), call_text("TurnOn", "kettle"), "light!", ""])
def test_the_constraint_turns_any_wish_into_a_legal_call(mode: str, wrong: str) -> None:
    model = CallModel(playing(("</think>\n", wrong), ("assistant\n", f"<think>\nhm\n</think>\n{wrong}")), TOOLS)
    (free,) = call(model, [COMMAND], modes=mode, constrained=False)
    (held,) = call(model, [COMMAND], modes=mode, constrained=True)
    assert not follows(model, COMMAND[0]["content"], mode, free.answer)
    assert held.call is not None and held.call.name == "TurnOn"
    assert str(held.call.arguments["name"]) in COMMAND[0]["content"]
    assert follows(model, COMMAND[0]["content"], mode, held.answer)


def test_two_calls_or_none_are_no_call() -> None:
    one = call_text("TurnOn", "light")
    model = CallModel(playing(("</think>\n", f"{one}\n{one}")), TOOLS)
    (answer,) = call(model, [COMMAND], constrained=False)
    assert answer.call is None and len(answer.answer.tool_calls) == 2
