"""Tool definitions: from a function's signature and words, from JSON, from a file; arguments are checked first."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from smolforge.errors import ConfigError, DataError
from smolforge.tasks.docstrings import read_docstring
from smolforge.tasks.tools import Tool, load_tools, read_tools, tool, tools_of


class Place(BaseModel):
    """Where something is."""

    room: str
    floor: int = 0


class Mode(enum.Enum):
    WARM = "warm"
    COLD = "cold"


def set_light(
    where: Place,
    state: Literal["on", "off"],
    level: Annotated[int, Field(ge=0, le=9)] = 5,
    colours: list[str] | None = None,
    mode: Optional[Mode] = None,  # noqa: UP045
    extra: dict[str, float] = {},  # noqa: B006
) -> str:
    """Switch a light.

    It may take a moment.

    Args:
        where: Which light,
            and on which floor.
        level (int): How bright.

    Returns:
        What was done.
    """
    return f"{where.room} {where.floor} {state} {level} {colours} {mode} {extra}"


def test_a_signature_becomes_a_schema_and_a_docstring_its_words() -> None:
    made = tool(set_light)
    assert made.name == "set_light"
    assert made.description == "Switch a light.\nIt may take a moment."
    schema = made.parameters
    assert schema["required"] == ["where", "state"]
    assert schema["additionalProperties"] is False
    fields = schema["properties"]
    assert list(fields) == ["where", "state", "level", "colours", "mode", "extra"]
    assert fields["state"]["enum"] == ["on", "off"]
    assert fields["level"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 9,
        "default": 5,
        "description": "How bright.",
    }
    assert fields["where"]["description"] == "Which light, and on which floor."
    assert schema["$defs"]["Place"]["properties"]["room"] == {"type": "string"}
    assert "title" not in str(schema).replace("'title': ", "title")


def test_arguments_are_checked_and_converted_before_the_function_runs() -> None:
    made = tool(set_light)
    given: dict[str, Any] = {"where": {"room": "hall"}, "state": "on", "mode": "cold"}
    assert made.run(given) == "hall 0 on 5 None Mode.COLD {}"
    for wrong, expected in [
        ({"where": {"room": "hall"}}, "set_light: state: Field required"),
        ({**given, "level": 10}, "level: Input should be less than or equal to 9"),
        ({**given, "colour": "red"}, "colour: Extra inputs are not permitted"),
        ({**given, "where": {"room": 1}}, "where.room: Input should be a valid string"),
    ]:
        with pytest.raises(DataError, match=expected):
            made.run(wrong)


def test_a_decorated_function_stays_a_function_and_a_coroutine_is_awaited() -> None:
    @tool
    def double(n: int) -> int:
        return 2 * n

    @tool
    async def triple(n: int) -> int:
        return 3 * n

    @tool
    def save(json: str, schema: int = 1, copy: Annotated[str, Field(description="Where.")] = "x") -> str:
        return f"{json} {schema} {copy}"

    assert save.run({"json": "a", "copy": "b"}) == "a 1 b"  # names that a Pydantic model has taken
    assert save.parameters["properties"]["copy"] == {"type": "string", "default": "x", "description": "Where."}
    assert double(4) == 8
    assert triple.run({"n": 2}) == 6


def test_what_a_model_cannot_call_is_refused_with_its_parameter() -> None:
    def untyped(a):  # type: ignore[no-untyped-def]
        return a

    def many(*names: str) -> None: ...

    def lost(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037

    def handle(stream: object, file: Path, socket: type) -> None: ...

    with pytest.raises(ConfigError, match="function 'untyped', parameter 'a': no type hint"):
        tool(untyped)
    with pytest.raises(ConfigError, match="parameter 'names': only plain named parameters"):
        tool(many)
    with pytest.raises(ConfigError, match="function 'lost': a type hint cannot be resolved"):
        tool(lost)
    with pytest.raises(ConfigError, match="function 'handle'"):
        tool(handle)


@pytest.mark.parametrize(
    ("text", "about", "parameters"),
    [
        ("One line.", "One line.", {}),
        ("Do it\nnow.\n\nArguments:\n  a: First.\n  b (str, optional): Second:\n    more.\n", "Do it now.",
         {"a": "First.", "b": "Second: more."}),
        ("Do it.\n\n:param a: First\n    of all.\n:param int b: Second.\n:returns: x", "Do it.",
         {"a": "First of all.", "b": "Second."}),
        ("", "", {}),
    ],
)  # fmt: skip
def test_docstrings_of_both_styles_are_read(text: str, about: str, parameters: dict[str, str]) -> None:
    assert read_docstring(text) == (about, parameters)


def test_both_json_shapes_and_functions_mix() -> None:
    bare = {"name": "a", "description": "A.", "parameters": {"type": "object", "properties": {}}}
    made = tools_of([bare, {"type": "function", "function": {"name": "b"}}, set_light])
    assert [one.name for one in made] == ["a", "b", "set_light"]
    assert made[0].definition == {"type": "function", "function": bare}
    with pytest.raises(ConfigError, match="definition only"):
        made[0].run({})


def test_files_of_tools_are_read_and_their_mistakes_named(tmp_path: Path) -> None:
    file = tmp_path / "tools.json"
    file.write_text('{"tools": [{"name": "a"}]}')
    assert [one.name for one in read_tools(file)] == ["a"]
    file.write_text('[{"name": "a"}]', encoding="utf-8-sig")  # as Windows editors begin files
    assert [one.name for one in read_tools(file)] == ["a"]
    for text, expected in [
        ("{", "not a list of tools"),
        ("[]", "at least one"),
        ('[{"nam": "a"}]', "unknown field 'nam'"),
    ]:
        file.write_text(text)
        with pytest.raises(ConfigError, match=f"{file}: .*{expected}"):
            read_tools(file)
    with pytest.raises(ConfigError, match="No such file"):
        read_tools(tmp_path / "none.json")


def test_a_python_file_gives_its_decorated_functions_else_its_public_ones(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from __future__ import annotations\nfrom json import dumps\nfrom pydantic import BaseModel\n"
        "class Place(BaseModel):\n    room: str\n"
        "def go(to: Place) -> str:\n    'Go.'\n    return to.room\n"
        "def _hidden(a: int): ...\n"
    )
    (made,) = load_tools(file)
    assert made.run({"to": {"room": "hall"}}) == "hall"
    file.write_text(
        "from smolforge.tasks.tools import tool\n@tool\ndef one(a: int) -> int:\n    return a\ndef helper(a): ...\n"
    )
    assert [one.name for one in load_tools(file)] == ["one"]
    for text, expected in [("1 / 0", "cannot be run .ZeroDivisionError"), ("x = 1", "defines no public function")]:
        file.write_text(text)
        with pytest.raises(ConfigError, match=expected):
            load_tools(file)
    with pytest.raises(ConfigError, match="no such Python file"):
        load_tools(tmp_path / "none.py")


def test_a_tool_is_the_same_as_its_definition() -> None:
    assert isinstance(tool(set_light), Tool)
    assert tools_of([tool(set_light).definition])[0] == tool(set_light)
