"""Calls are found in an answer whatever pieces it comes in."""

from __future__ import annotations

import json
import random

import pytest

from smolforge.serve.calls import Arguments, Called, CallReader, Said, read_whole, whole_calls

CALL = '<tool_call>\n{"name": "set", "arguments": {"text": "a } \\" </tool_call> {", "n": [1, {"x": 2}]}}\n</tool_call>'
ANSWERS = [
    "Just words, with a < and a <tool_ in them.\n",
    CALL,
    f"I will do it.\n{CALL}\n{CALL}",
    f"{CALL}\n{CALL.replace('2', '3')}\n{CALL}\n{CALL[:40]}",
    '<tool_call>\n{"name": "stop", "arguments": {}}\n</tool_call>',
    '<tool_call>\n{"name": "set", "arguments": {"text": "cut o',
    '<tool_call>\n{"name": "se',
]


@pytest.mark.parametrize("text", ANSWERS)
@pytest.mark.parametrize("seed", range(20))
def test_pieces_join_to_what_the_whole_answer_says(text: str, seed: int) -> None:
    cuts = sorted(random.Random(seed).sample(range(len(text) + 1), min(len(text), 1 + seed)))
    reader = CallReader()
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    parts = [part for piece in pieces for part in reader.push(piece)] + list(reader.finish())
    words, calls = read_whole(text)
    assert "".join(part.text for part in parts if isinstance(part, Said)) == words
    names = {part.index: part.name for part in parts if isinstance(part, Called)}
    for index, (name, arguments) in enumerate(calls):
        assert names[index] == name
        own = [part.text for part in parts if isinstance(part, Arguments) and part.index == index]
        assert "".join(own) == arguments
    assert len(names) == len(calls)


def test_a_call_is_read_with_its_arguments_as_they_stand() -> None:
    words, calls = read_whole(f"I will do it.\n{CALL}\n{CALL.replace('set', 'put')}")
    assert words == "I will do it."
    assert [name for name, _ in calls] == ["set", "put"]
    assert json.loads(calls[0][1]) == {"text": 'a } " </tool_call> {', "n": [1, {"x": 2}]}


def test_words_that_begin_like_a_tag_are_shown() -> None:
    assert read_whole("2 <tool_ 3 <tool_call") == ("2 <tool_ 3 <tool_call", [])


def test_a_call_that_repeats_an_earlier_one_is_left_out() -> None:
    other = CALL.replace("2", "3")
    text = "\n".join([CALL, CALL, other, CALL, other, CALL[:-30]])
    assert [json.loads(arguments)["n"][1]["x"] for _, arguments in read_whole(text)[1]] == [2, 3]
    assert [arguments["n"][1]["x"] for _, arguments in whole_calls(text)] == [2, 3]
    assert whole_calls(CALL[:-30]) == []
