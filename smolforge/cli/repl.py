"""The chat's prompt: lines with history, messages over several lines, and commands that begin with a slash.

Input: what a person types. Output: messages for the model; commands change the conversation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from smolforge.cli.conversation import SETTABLE, Conversation
from smolforge.errors import SmolforgeError, nearest
from smolforge.store.home import home

COMMANDS = {
    "/think": "let the model reason before it answers",
    "/no_think": "answer at once",
    "/system": "TEXT  say how the model should be; alone: show it",
    "/set": "NAME VALUE  change a setting; alone: show all",
    "/save": "FILE  keep the conversation",
    "/load": "FILE  go on with a kept conversation",
    "/clear": "forget what was said",
    "/help": "show this",
    "/exit": "leave, as Ctrl-D does",
}
HELP = "\n".join(
    [
        *(f"{name:<10} {text}" for name, text in COMMANDS.items()),
        '"""        begins and ends a message of several lines; a backslash at the end of a line continues it',
        "Ctrl-C     stops the answer; a space before a slash makes it text",
    ]
)
QUOTE = '"""'
HISTORY_LINES = 1000


def messages(read: Callable[[str], str]) -> Iterator[str]:
    """Yield messages from ``read(prompt)`` until it raises EOFError. Ctrl-C gives up what is being typed."""
    while True:
        try:
            message = _message(read)
        except EOFError:
            return
        except KeyboardInterrupt:
            print(file=sys.stderr)  # the next prompt begins on a line of its own
            message = ""
        yield message


def _message(read: Callable[[str], str]) -> str:
    """Read one message, which may span lines; what was typed before the end of input counts."""
    line = read("> ")
    with suppress(EOFError):
        if not line.startswith(QUOTE):
            while line.endswith("\\"):
                line = line[:-1]
                line += f"\n{read('. ')}"
            return line
        line = line.removeprefix(QUOTE)
        while QUOTE not in line:
            line = f"{line}\n{read('. ')}"
    return line.partition(QUOTE)[0]


class Commands:
    """Carries out slash commands on a conversation; ``say`` shows a line to the person; ``thinks``: the model can."""

    def __init__(self, conversation: Conversation, say: Callable[[str], None], *, thinks: bool = True) -> None:
        self._conversation, self._say, self._thinks = conversation, say, thinks
        self.left = False

    def run(self, line: str) -> None:
        """Carry out one command; what is wrong with it is said, and nothing changes."""
        word, _, rest = line.partition(" ")
        name = {"/bye": "/exit", "/quit": "/exit", "/nothink": "/no_think", "/?": "/help"}.get(word, word)
        if name not in COMMANDS:
            self._say(f"no command {word}{nearest(word, COMMANDS)}; /help shows them, a space before makes it text")
            return
        try:
            getattr(self, "_" + name[1:])(rest.strip())
        except (SmolforgeError, OSError) as error:
            self._say(str(error))

    def _think(self, rest: str) -> None:
        if not self._thinks:
            raise SmolforgeError("this model has no think mode")
        self._conversation.mode = "think"
        self._say("the model reasons before it answers")

    def _no_think(self, rest: str) -> None:
        self._conversation.mode = "no_think"
        self._say("the model answers at once")

    def _system(self, rest: str) -> None:
        if rest:
            self._conversation.system = rest
        self._say(f"system: {self._conversation.system or 'the model its own'}")

    def _set(self, rest: str) -> None:
        if rest:
            name, _, value = rest.replace("=", " ").partition(" ")
            self._conversation.set(name, value.strip())
        settings = self._conversation.settings
        self._say("\n".join(f"{name:<19} {settings.get(name, '-'):<8} {text}" for name, text in SETTABLE.items()))

    def _save(self, rest: str) -> None:
        self._conversation.save(_file(rest, "/save"))
        self._say(f"saved: {len(self._conversation.messages)} messages")

    def _load(self, rest: str) -> None:
        self._conversation.load(_file(rest, "/load"))
        self._say(f"loaded: {len(self._conversation.messages)} messages, {self._conversation.mode}")

    def _clear(self, rest: str) -> None:
        self._conversation.messages = []
        self._say("forgotten")

    def _help(self, rest: str) -> None:
        self._say(HELP)

    def _exit(self, rest: str) -> None:
        self.left = True


def line_reader() -> Callable[[str], str]:
    """Return a function that asks for a line, with editing, history and completion of commands on a terminal."""
    with suppress(ImportError):  # not on every system
        import readline

        readline.set_completer(_complete)
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")
        _keep_history()
    return _ask


def _ask(prompt: str) -> str:
    """Ask on standard error where standard output is a file: it holds the answers alone."""
    if sys.stdout.isatty():
        return input(prompt)
    print(prompt, end="", file=sys.stderr, flush=True)
    return input()


def _complete(text: str, state: int) -> str | None:
    found = [name for name in (*COMMANDS, *SETTABLE) if text and name.startswith(text)]
    return f"{found[state]} " if state < len(found) else None


def _keep_history() -> None:
    """Load the lines typed before and keep those of this time, readable by their writer alone."""
    import atexit
    import readline

    path = history_file()
    if path is None:
        return
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        readline.read_history_file(path)
        readline.set_history_length(HISTORY_LINES)
        atexit.register(lambda: readline.write_history_file(path))


def history_file() -> Path | None:
    """Return where typed lines are kept: $SMOLFORGE_HISTORY (empty: nowhere), else the XDG place for such state."""
    named = os.environ.get("SMOLFORGE_HISTORY")
    if named is not None:
        return Path(named).expanduser() if named else None
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else home() / ".local" / "state") / "smolforge" / "chat_history"


def _file(text: str, command: str) -> Path:
    if not text:
        raise SmolforgeError(f"{command} needs the name of a file")
    return Path(text).expanduser()
