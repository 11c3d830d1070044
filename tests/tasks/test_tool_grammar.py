"""The grammar of tool calls: what it lets through, what it refuses, and that nothing in a tool can break it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smolforge.engine.constraints import GrammarConstraint, of_grammar
from smolforge.engine.decoding import Decoding
from smolforge.engine.text_stream import TokenTable
from smolforge.errors import ConfigError
from smolforge.generator import Request, Sampling
from smolforge.tasks.tool_grammar import parse_calls, tool_lark
from smolforge.tokens.messages import ToolCall
from smolforge.tokens.template import ChatCodec
from tests.engine.chain_model import drive, token
from tests.tasks.small_chat import small_tokenizer

CODEC = ChatCodec(small_tokenizer())
TABLE = TokenTable(CODEC.tokenizer)
END = token("<|im_end|>")
TAGS = {tag: token(tag) for tag in ("<tool_call>", "</tool_call>")}
AS_TEXT: dict[str, int] = {}  # a tokenizer without the tags
LIGHT = {
    "name": "set_light",
    "description": "Switch a light.",
    "parameters": {
        "type": "object",
        "properties": {"room": {"enum": ["hall", "attic"]}, "level": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["room", "level"],
    },
}
TIME = {"type": "function", "function": {"name": "time"}}
CALL = '<tool_call>\n{"name": "set_light", "arguments": {"room": "hall", "level": 3}}\n</tool_call>'
OTHER = '<tool_call>\n{"name": "time", "arguments": {}}\n</tool_call>'


def ids(text: str) -> list[int]:
    """Return a text's ordinary tokens, whatever it spells."""
    return CODEC.encode_text([text])[0]


def form(tools: list[Any], special: Mapping[str, int] = TAGS, **options: Any) -> GrammarConstraint:
    grammar = tool_lark(tools, special, **options)
    assert grammar is not None
    return of_grammar(TABLE, [END], grammar, "tools")


def written(text: str, special: Mapping[str, int] = TAGS) -> list[int]:
    """Return tokens, the tags as control tokens where there are such."""
    found: list[int] = []
    while text:
        tag = next((tag for tag in special if text.startswith(tag)), "")
        rest = min((at for tag in special if (at := text.find(tag)) > 0), default=len(text))
        found += [special[tag]] if tag else ids(text[:rest])
        text = text[len(tag) :] if tag else text[rest:]
    return found


def allows(text: str, tools: list[Any], special: Mapping[str, int] = TAGS, **options: Any) -> bool:
    """Say whether ``text`` can be a whole answer."""
    constraint = form(tools, special, **options)
    tokens = [*written(text, special), END]
    return constraint.accepted(tokens) == len(tokens)


@pytest.mark.parametrize("special", [TAGS, AS_TEXT], ids=["tag tokens", "tags as text"])
@pytest.mark.parametrize(
    ("choice", "parallel", "allowed", "refused"),
    [
        ("auto", True, ["Hello <tool!", "", CALL, f"Sure.\n{CALL}\n{OTHER}"], [f"{CALL} and more", "<tool_call>hi"]),
        ("auto", False, ["Hello", f"Sure. {CALL}"], [f"{CALL}\n{OTHER}"]),
        ("required", True, [CALL, f"{OTHER}\n{CALL}"], ["Hello", f"Sure. {CALL}", ""]),
        ("required", False, [CALL, OTHER], [f"{CALL}\n{OTHER}"]),
        ("set_light", True, [CALL, f"{CALL}\n{CALL}"], [OTHER, f"{CALL}\n{OTHER}", "Hello"]),
    ],
)
def test_choice_says_what_may_stand_where(
    special: Mapping[str, int], choice: str, parallel: bool, allowed: list[str], refused: list[str]
) -> None:
    for text in allowed:
        assert allows(text, [LIGHT, TIME], special, choice=choice, parallel=parallel), text
    for text in refused:
        assert not allows(text, [LIGHT, TIME], special, choice=choice, parallel=parallel), text


def test_arguments_follow_the_tools_own_schema_and_invent_no_property() -> None:
    def call(arguments: str) -> str:
        return CALL.replace('{"room": "hall", "level": 3}', arguments)

    assert allows(call('{"room": "attic", "level": 0}'), [LIGHT], choice="required")
    for arguments in ("{}", '{"room": "hell", "level": 3}', '{"room": "hall", "level": 12}', '{"room": "hall"}'):
        assert not allows(call(arguments), [LIGHT], choice="required")
    assert not allows(call('{"room": "hall", "level": 3, "colour": "red"}'), [LIGHT], choice="required")
    open_one = {"name": "set_light", "parameters": {"type": "object"}}
    assert allows(call('{"colour": "red"}'), [open_one], choice="required")


@pytest.mark.parametrize("special", [TAGS, AS_TEXT], ids=["tag tokens", "tags as text"])
@pytest.mark.parametrize("seed", range(4))
def test_any_model_that_must_call_calls_well(special: Mapping[str, int], seed: int) -> None:
    sampling = Sampling(temperature=1.5, seed=seed)
    constraint = form([LIGHT, TIME], special, choice="required")
    decoding = Decoding(Request(ids("light"), 2000, sampling, frozenset({END}), constraint), TABLE)
    drive(decoding)
    assert decoding.finish == "stop"
    content, calls = parse_calls("".join(TABLE.piece(t).decode() for t in decoding.tokens))
    assert content == ""
    assert calls
    for call in calls:
        assert call.name in ("set_light", "time")
        assert set(call.arguments) == ({"room", "level"} if call.name == "set_light" else set())


NAMES = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable() and text == text.strip())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=NAMES, description=st.text(max_size=60), value=st.text(min_size=1, max_size=12))
def test_no_name_description_or_value_breaks_the_grammar(name: str, description: str, value: str) -> None:
    tool = {
        "name": name,
        "description": description,
        "parameters": {"properties": {value: {"const": value, "description": description}}, "required": [value]},
    }
    call = {"name": name, "arguments": {value: value}}
    for special in (TAGS, AS_TEXT):
        constraint = form([tool, LIGHT], special, choice="required")
        tokens = [*written("<tool_call>", special), *ids(f"\n{json.dumps(call, ensure_ascii=False)}\n")]
        assert constraint.accepted(tokens) == len(tokens)


def test_a_hostile_name_stays_a_name() -> None:
    name = 'x" | /(.|\\n)*/ | "'
    constraint = form([{"name": name}], choice="required")
    answer = f'<tool_call>\n{{"name": {json.dumps(name)}, "arguments": {{}}}}\n</tool_call>'
    tokens = [*written(answer), END]
    assert constraint.accepted(tokens) == len(tokens)
    assert not allows("anything", [{"name": name}], choice="required")


def test_what_is_not_supported_is_refused_by_the_tools_name() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    with pytest.raises(ConfigError, match=r"tool 'f'.*uniqueItems"):
        build([LIGHT, {"name": "f", "parameters": schema}])
    with pytest.raises(ConfigError, match=r"tool 'deep'.*levels"):
        nested: dict[str, Any] = {}
        for _ in range(80):
            nested = {"type": "object", "properties": {"a": nested}}
        build([{"name": "deep", "parameters": nested}])


def build(tools: list[Any]) -> GrammarConstraint:
    """Build as a task does, with the engine's table."""
    from types import SimpleNamespace

    from smolforge.tasks.tool_grammar import tool_constraint

    engine: Any = SimpleNamespace(
        table=TABLE, codec=SimpleNamespace(special=TAGS), model=SimpleNamespace(stop=frozenset({END}))
    )
    made = tool_constraint(engine, tools)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("tools", "choice", "expected"),
    [
        ([LIGHT], "set_lihgt", "no such tool .did you mean 'set_light'"),
        ([], "required", "needs at least one tool"),
        ([LIGHT, LIGHT], "auto", "second tool named 'set_light'"),
        ([{"name": "f", "paramters": {}}], "auto", "unknown field 'paramters' .did you mean 'parameters'"),
        ([{"type": "web_search"}], "auto", "only 'function'"),
        ([{"name": "a\nb"}], "auto", "printable characters"),
        ([{"name": "f", "parameters": {"type": "array"}}], "auto", "schema of type object"),
    ],
)
def test_wrong_tools_and_choices_are_refused_with_the_reason(tools: list[Any], choice: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        tool_lark(tools, TAGS, choice=choice)


def test_nothing_is_constrained_where_nothing_may_be_called() -> None:
    assert tool_lark([LIGHT], TAGS, choice="none") is None
    assert tool_lark([], TAGS) is None


def test_a_reference_reaches_the_tools_own_definitions() -> None:
    tools = [
        {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"at": {"$ref": "#/$defs/place"}},
                "required": ["at"],
                "$defs": {"place": {"enum": [place]}},
            },
        }
        for name, place in (("go", "home"), ("stay", "here"))
    ]
    assert allows('<tool_call>\n{"name": "stay", "arguments": {"at": "here"}}\n</tool_call>', tools, choice="required")
    assert not allows(
        '<tool_call>\n{"name": "stay", "arguments": {"at": "home"}}\n</tool_call>', tools, choice="required"
    )


def test_closing_objects_never_forbids_what_a_schema_composes() -> None:
    base = {"properties": {"a": {"type": "integer"}}, "required": ["a"]}
    both = {"type": "object", "allOf": [base, {"properties": {"b": {"type": "integer"}}, "required": ["b"]}]}
    call = '<tool_call>\n{"name": "f", "arguments": {"a": 1, "b": 2}}\n</tool_call>'
    assert allows(call, [{"name": "f", "parameters": both}], choice="required")
    either = {**base, "anyOf": [{"properties": {"b": {"type": "integer"}}, "required": ["b"]}]}
    assert allows(call, [{"name": "f", "parameters": either}], choice="required")


def test_a_string_that_holds_the_tags_is_part_of_its_call() -> None:
    text = "<tool_call></tool_call>"
    said = f'Yes.\n<tool_call>\n{{"name": "say", "arguments": {{"text": "{text}"}}}}\n</tool_call>\n{CALL}'
    expected = (ToolCall("say", {"text": text}), ToolCall("set_light", {"room": "hall", "level": 3}))
    assert parse_calls(said) == ("Yes.", expected)
    assert parse_calls(said[: -len(CALL)] + "<tool_call>\n{") == ("Yes.", expected[:1])
    assert parse_calls("<tool_call>" + "[" * 100_000) == ("", ())


def test_a_call_counts_once_and_calls_are_bounded() -> None:
    low = CALL.replace("3", "1")
    assert [call.arguments["level"] for call in parse_calls("\n".join([CALL, low, CALL, low]))[1]] == [3, 1]
    eight = "\n".join(CALL.replace("3", str(level)) for level in range(8))
    assert allows(eight, [LIGHT, TIME], choice="required")
    assert not allows(f"{eight}\n{CALL}", [LIGHT, TIME], choice="required")
    assert not allows(f"{OTHER}\n{OTHER}", [TIME], choice="required")  # it can only be the same call again
    open_one = {"name": "time", "parameters": {"type": "object"}}
    assert allows(f"{OTHER}\n{OTHER}", [open_one], choice="required")
