"""`smolforge call`: a question becomes calls of functions. The calls alone go to standard output, as a JSON list.

With ``--python`` the functions are the person's own and are run, each after asking; then the answer alone is printed. A
model that was trained on one fixed list of tools (a folder with ``tools.json``) needs no list.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smolforge.cli.task_options import print_json, task_arguments, task_engine, text_argument, text_of
from smolforge.errors import ConfigError

if TYPE_CHECKING:
    from smolforge.engine.engine import Engine
    from smolforge.tasks.tools import Tool
    from smolforge.tokens.messages import Mode, ToolCall

TERMINAL = Path("/dev/tty")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    text_argument(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--tools", type=Path, metavar="FILE", help="a JSON list of tools, as the OpenAI API takes them")
    source.add_argument("--python", type=Path, metavar="FILE", help="a Python file whose functions are called and run")
    parser.add_argument(
        "--choice", metavar="auto|required|NAME", help="call, or answer in words (auto); call (required); call NAME"
    )
    parser.add_argument("--no-parallel", action="store_true", help="one call at a time")
    parser.add_argument("-y", "--yes", action="store_true", help="with --python: run every call without asking")
    parser.add_argument("--max-turns", type=int, default=4, metavar="N", help="most answers of the model (4)")
    parser.add_argument("--max-calls", type=int, default=8, metavar="N", help="most calls that are run (8)")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of one answer")
    parser.add_argument("--think", action="store_true", help="reason first")
    parser.add_argument("--thinking-budget", type=int, metavar="N", help="most tokens of reasoning")
    task_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Make the calls; with --python run them."""
    from smolforge.cli.options import positive
    from smolforge.tasks.tools import load_tools, read_tools

    positive(options, "max_tokens", "thinking_budget", "max_turns", "max_calls")
    if options.yes and not options.python:
        raise ConfigError("--yes belongs to --python: without it nothing is run")
    tools = load_tools(options.python) if options.python else read_tools(options.tools) if options.tools else ()
    fixed = None if tools else _fixed_tools(options)
    approve = _approver(options) if options.python else None
    text = text_of(options)
    with task_engine(options) as engine:
        if fixed is not None:
            _call_fixed(engine, text, fixed, options)
        else:
            _call(engine, text, tools, approve, options)
    return 0


def _call(
    engine: Engine, text: str, tools: tuple[Tool, ...], approve: Callable[[ToolCall], bool] | None,
    options: argparse.Namespace,
) -> None:  # fmt: skip
    from smolforge.tasks.agent import call, call_json

    made = call(
        engine,
        text,
        tools,
        run=approve is not None,
        approve=approve,
        choice=options.choice or "required",
        parallel=not options.no_parallel,
        max_turns=options.max_turns,
        max_calls=options.max_calls,
        max_tokens=options.max_tokens,
        think=options.think,
        thinking_budget=options.thinking_budget,
    )
    if not made.complete:
        _note("cut off at the limit of tokens")
    if options.json:
        print_json(made.json())
    elif approve is not None:
        print(made.text)
    else:
        print_json([call_json(one) for one in made.calls])
        if not made.calls:
            _note(f"no call; the model said: {made.text}")


def _fixed_tools(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the list that the model was trained on; ConfigError where it has none."""
    from smolforge.cli.models import find_model, tools_of

    path = find_model(options.model)
    tools = tools_of(path)
    if not tools:
        raise ConfigError("which functions? give --tools FILE.json, or --python FILE.py to run functions of your own")
    if options.choice not in (None, "required"):
        raise ConfigError(f"--choice: {path} was trained to make one call of its own tools; give --tools for others")
    return tools


def _call_fixed(engine: Engine, text: str, tools: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Let a model that knows its tools make its one call, whose free values are copied from the text."""
    from typing import cast

    from smolforge.tasks.chat import ChatModel
    from smolforge.tasks.fixed_call import CallModel, call
    from smolforge.tokens.template import ChatCodec

    model = ChatModel(engine, cast("ChatCodec", engine.codec), engine.vocab_size, engine.context)
    mode: Mode = "think" if options.think else "no_think"
    most = options.max_tokens or (512 if options.think else 128)
    made = call(
        CallModel(model, tools),
        [[{"role": "user", "content": text}]],
        modes=mode,
        max_tokens=most,
        thinking_budget=(options.thinking_budget or most // 2) if options.think else None,
    )[0]
    calls = [{"name": made.call.name, "arguments": made.call.arguments}] if made.call else []
    print_json({"calls": calls, "reasoning": made.answer.reasoning or None} if options.json else calls)


def _approver(options: argparse.Namespace) -> Callable[[ToolCall], bool]:
    """Return what says whether a call may be run: a question on the terminal, unless --yes."""
    if options.yes:
        return _shown
    try:
        TERMINAL.open("r+b", buffering=0).close()
    except OSError:
        raise ConfigError("there is no terminal to ask on before running a function; --yes runs them all") from None
    return _ask


def _shown(call: ToolCall) -> bool:
    _note(_line(call))
    return True


def _ask(call: ToolCall) -> bool:
    """Ask the person, on the terminal itself: standard input may be the text."""
    from smolforge.printable import printable

    print(f"run {printable(_line(call))}? [y/N] ", end="", file=sys.stderr, flush=True)
    with TERMINAL.open("r", encoding="utf-8", errors="replace") as terminal:
        return terminal.readline().strip().lower() in ("y", "yes")


def _line(call: ToolCall) -> str:
    import json

    given: Mapping[str, Any] = call.arguments
    return (
        f"{call.name}({', '.join(f'{name}={json.dumps(value, ensure_ascii=False)}' for name, value in given.items())})"
    )


def _note(text: str) -> None:
    from smolforge.cli.terminal import Screen

    Screen(sys.stderr).write(f"{text}\n", dim=True)
