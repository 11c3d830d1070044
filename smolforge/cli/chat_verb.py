"""`smolforge chat`: questions in, answers out. The answer alone goes to standard output.

A model that carries ``tools.json`` answers with function calls, each command standing alone; any other model keeps the
conversation. Reasoning and figures go to standard error, dimmed on a terminal.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from smolforge.cli.models import OpenModel
    from smolforge.tasks.chat import ChatAnswer

Mode = Literal["think", "no_think"]
DIM, PLAIN = "\x1b[2m", "\x1b[0m"
HELP = "/think and /no_think choose the mode, /reset forgets the conversation, /exit (or Ctrl-D) leaves"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("model", nargs="?", type=Path, help="a model folder or a .gguf file; the newest run's export")
    parser.add_argument("-p", "--prompt", help="one question; without it, standard input is read when it is a pipe")
    parser.add_argument("--think", action=argparse.BooleanOptionalAction, help="--no-think also works as --no_think")
    parser.add_argument("--no_think", dest="think", action="store_false", help=argparse.SUPPRESS)
    parser.add_argument("--call", action=argparse.BooleanOptionalAction, help="answer with a function call (auto)")
    parser.add_argument("--free", action="store_true", help="with --call: do not constrain decoding")
    parser.add_argument("--max-tokens", type=int, default=512, help="most tokens of an answer (512)")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 is greedy, and the same every time")
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> int:
    """Answer one question, or talk until the person leaves."""
    from smolforge.cli.main import read_input
    from smolforge.cli.models import open_model
    from smolforge.errors import ConfigError

    if options.max_tokens < 1 or options.temperature < 0:
        raise ConfigError("--max-tokens must be at least 1 and --temperature at least 0")
    question = options.prompt
    if question is None and not sys.stdin.isatty():
        question = read_input().strip()
    if question == "":
        raise ConfigError("the question is empty; give one with --prompt or on standard input")
    opened = open_model(options.model)
    if options.call and not opened.tools:
        raise ConfigError(f"{opened.path}: --call needs a tools.json in the model's folder")
    talk = Talk(opened, options)
    if question is not None:
        talk.ask(question)
        return 0
    return talk.talk()


class Talk:
    """A conversation with one model."""

    def __init__(self, opened: OpenModel, options: argparse.Namespace) -> None:
        self._model, self._options = opened, options
        self._mode: Mode = "think" if options.think else "no_think"
        self._calls = bool(opened.tools) if options.call is None else bool(options.call)
        self._history: list[dict[str, Any]] = []
        self._dim, self._plain = (DIM, PLAIN) if sys.stderr.isatty() else ("", "")

    def talk(self) -> int:
        """Read questions until /exit or the end of input."""
        import readline  # noqa: F401 - line editing and history for input()

        self._say(f"{self._model.path} ({'calls' if self._calls else 'chat'}, {self._mode}); {HELP}")
        while True:
            try:
                line = self._read().strip()
            except EOFError:
                self._say("")
                return 0
            if line == "/exit":
                return 0
            if line in ("/think", "/no_think"):
                self._mode = "think" if line == "/think" else "no_think"
            elif line == "/reset":
                self._history = []
            elif line.startswith("/"):
                self._say(HELP)
            elif line:
                self.ask(line)

    def ask(self, question: str) -> None:
        """Answer one question: the answer to standard output, the rest to standard error."""
        began = time.perf_counter()
        text, answer = self._call(question) if self._calls else self._chat(question)
        seconds = time.perf_counter() - began
        if answer.reasoning and answer.reasoning.strip():
            self._say(answer.reasoning.strip())
        print(text, flush=True)
        cut = "" if answer.finish == "stop" else ", cut off at --max-tokens"
        self._say(f"{len(answer.tokens)} tokens in {seconds:.2f} s, {len(answer.tokens) / seconds:.0f} tokens/s{cut}")

    def _call(self, question: str) -> tuple[str, ChatAnswer]:
        from smolforge.tasks.call import CallModel, call

        made = call(
            CallModel(self._model.chat, self._model.tools or []),
            [[{"role": "user", "content": question}]],
            modes=self._mode,
            constrained=not self._options.free,
            max_tokens=self._options.max_tokens,
            thinking_budget=self._options.max_tokens // 2 if self._mode == "think" else None,
        )[0]
        if made.call is None:
            return made.answer.content, made.answer
        wanted = {"name": made.call.name, "arguments": made.call.arguments}
        return json.dumps(wanted, ensure_ascii=False), made.answer

    def _chat(self, question: str) -> tuple[str, ChatAnswer]:
        from smolforge.generator import Sampling
        from smolforge.tasks.chat import Turn, chat

        self._history.append({"role": "user", "content": question})
        sampling = Sampling(temperature=self._options.temperature, seed=self._options.seed)
        turn = Turn(self._history, self._mode)
        answer = chat(self._model.chat, [turn], max_tokens=self._options.max_tokens, sampling=sampling)[0]
        self._history.append({"role": "assistant", "content": answer.content})
        return answer.content, answer

    def _say(self, text: str) -> None:
        print(f"{self._dim}{text}{self._plain}", file=sys.stderr, flush=True)

    def _read(self) -> str:
        """Ask on standard error: standard output may be a file."""
        if sys.stdout.isatty():
            return input("> ")
        print("> ", end="", file=sys.stderr, flush=True)
        return input()
