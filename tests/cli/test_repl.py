"""The chat's prompt: messages over several lines, commands, settings, kept conversations, harmless text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from smolforge.cli.conversation import Conversation
from smolforge.cli.repl import COMMANDS, Commands, messages
from smolforge.errors import ConfigError, DataError
from smolforge.printable import printable


def typed(*lines: str) -> Callable[[str], str]:
    """Return a reader that gives these lines and then the end of input; "^C" is Ctrl-C."""
    waiting = list(lines)

    def read(prompt: str) -> str:
        if not waiting:
            raise EOFError
        line = waiting.pop(0)
        if line == "^C":
            raise KeyboardInterrupt
        return line

    return read


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["hello", "you"], ["hello", "you"]),
        (["one \\", "two\\", "three", "next"], ["one \ntwo\nthree", "next"]),
        (['"""one', "", 'two""" ', "next"], ["one\n\ntwo", "next"]),
        (['"""all on one line"""'], ["all on one line"]),
        (['say """ as it is'], ['say """ as it is']),
        (['"""never closed', "but kept"], ["never closed\nbut kept"]),
        (['"""given up', "^C", "next"], ["", "next"]),
        (["back\\"], ["back"]),
    ],
)
def test_a_message_may_span_lines(lines: list[str], wanted: list[str]) -> None:
    assert list(messages(typed(*lines))) == wanted


@pytest.fixture
def talk() -> Conversation:
    return Conversation("no_think", {"temperature": 0.6, "max_tokens": 512, "thinking_budget": 0})


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def commands(talk: Conversation, said: list[str]) -> Commands:
    return Commands(talk, said.append)


def test_commands_change_mode_system_and_settings(talk: Conversation, commands: Commands, said: list[str]) -> None:
    for line in ("/think", "/system Be brief.", "/set temperature 0", "/set max-tokens=7"):
        commands.run(line)
    assert talk.mode == "think" and talk.settings["temperature"] == 0 and talk.settings["max_tokens"] == 7
    assert talk.prompt("Hi") == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    talk.add("Hi", "Hello")
    assert [m["role"] for m in talk.prompt("So?")] == ["system", "user", "assistant", "user"]
    commands.run("/no_think")
    commands.run("/clear")
    assert talk.mode == "no_think" and talk.messages == [] and talk.system == "Be brief."
    commands.run("/bye")
    assert commands.left


@pytest.mark.parametrize(
    ("line", "said_"),
    [
        ("/thnik", "/think"),
        ("/set temprature 1", "temperature"),
        ("/set temperature hot", "not a number"),
        ("/set temperature -1", "temperature"),
        ("/set top_p 2", "top-p"),
        ("/set max_tokens 0", "too small"),
        ("/save", "needs the name of a file"),
        ("/load nowhere.json", "cannot be read"),
    ],
)
def test_a_wrong_command_is_explained_and_changes_nothing(
    line: str, said_: str, talk: Conversation, commands: Commands, said: list[str]
) -> None:
    before = json.dumps(vars(talk))
    commands.run(line)
    assert said_ in said[-1] and json.dumps(vars(talk)) == before and not commands.left


def test_a_model_that_cannot_think_is_not_asked_to(talk: Conversation, said: list[str]) -> None:
    Commands(talk, said.append, thinks=False).run("/think")
    assert "no think mode" in said[-1] and talk.mode == "no_think"


def test_help_names_every_command(commands: Commands, said: list[str]) -> None:
    commands.run("/help")
    assert all(name in said[-1] for name in COMMANDS)


def test_a_conversation_is_kept_and_given_back(tmp_path: Path, talk: Conversation, commands: Commands) -> None:
    talk.add("Où?", "Là.")
    talk.system = "Be brief."
    commands.run(f"/save {tmp_path}/talk.json")
    other = Conversation("think", {"temperature": 0.0, "max_tokens": 9, "thinking_budget": 0})
    other.load(tmp_path / "talk.json")
    assert vars(other) == vars(talk)
    talk.save(tmp_path / "talk.json")  # an earlier conversation may be written over


def test_other_files_are_neither_read_nor_written_over(tmp_path: Path, talk: Conversation) -> None:
    precious = tmp_path / "precious.json"
    for content in ("{}", "not JSON", '{"kind": "smolforge chat 1", "mode": "think", "settings": {}, "messages": [1]}'):
        precious.write_text(content)
        with pytest.raises(DataError):
            talk.load(precious)
    precious.write_text("{}")
    with pytest.raises(ConfigError, match="not a conversation"):
        talk.save(precious)
    assert precious.read_text() == "{}"


def test_text_from_a_model_cannot_command_a_terminal() -> None:
    hostile = "red \x1b[31m title \x1b]0;x\x07 c1 \x9b2J del \x7f bell \x07 back\x08 over\r\nbidi \u202e."
    shown = printable(hostile)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
    assert not set(shown) & {"\x7f", "\x9b", "\u202e", "\r"} and "␛[31m" in shown
    harmless = "Ünïcode, 日本語, العربية, 👩‍🔬\n\ttab"
    assert printable(harmless) == harmless
