"""`smolforge chat`: questions in, answers out. The answer alone goes to standard output.

A model that carries ``tools.json`` answers with function calls, each command standing alone; any other model keeps the
conversation. Reasoning and figures go to standard error, dimmed on a terminal.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from smolforge.cli.options import (
    engine_arguments,
    form_arguments,
    form_of,
    length_arguments,
    model_arguments,
    positive,
    sampling_arguments,
    sampling_of,
    sampling_settings,
)

if TYPE_CHECKING:
    from smolforge.cli.answering import Answerer
    from smolforge.cli.conversation import Conversation
    from smolforge.cli.opening import OpenModel


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    model_arguments(parser)
    parser.add_argument("-p", "--prompt", help="one question; without it, standard input is read when it is a pipe")
    parser.add_argument("-s", "--system", help="how the model should be")
    parser.add_argument("--think", action=argparse.BooleanOptionalAction, help="reason first; --no_think also works")
    parser.add_argument("--no_think", dest="think", action="store_false", help=argparse.SUPPRESS)
    parser.add_argument("--thinking-budget", type=int, default=0, metavar="N", help="most tokens of reasoning")
    length_arguments(parser, max_tokens=512)
    parser.add_argument("--json", action="store_true", help="one question: answer, reasoning and figures as JSON")
    parser.add_argument("--call", action=argparse.BooleanOptionalAction, help="answer with a function call (auto)")
    parser.add_argument("--free", action="store_true", help="with --call: do not constrain decoding")
    form_arguments(parser)
    sampling_arguments(parser, temperature=0.6, top_p=0.95)
    engine_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Answer one question, or talk until the person leaves."""
    from smolforge.cli.conversation import Conversation
    from smolforge.cli.opening import open_model
    from smolforge.errors import ConfigError

    positive(options, "max_tokens", "threads", "context")
    settings = sampling_settings(options)
    sampling_of(settings, options.logit_bias)
    question = _question(options)
    if options.json and question is None:
        raise ConfigError("--json is for one question: give it with --prompt or on standard input")
    limits = {"max_tokens": options.max_tokens, "thinking_budget": options.thinking_budget}
    talk = Conversation("think" if options.think else "no_think", {**settings, **limits}, options.system)
    with open_model(options) as opened:
        answerer = _answerer(opened, options)
        if question is None:
            return _talk(opened, answerer, talk)
        return _answer_once(answerer, talk, question, options.json)


def _question(options: argparse.Namespace) -> str | None:
    """Return the one question, None for a conversation."""
    from smolforge.cli.main import read_input
    from smolforge.errors import ConfigError

    question: str | None = options.prompt
    if question is None and not sys.stdin.isatty():
        question = read_input().strip()
    if question == "":
        raise ConfigError("the question is empty; give one with --prompt or on standard input")
    return question


def _answerer(opened: OpenModel, options: argparse.Namespace) -> Answerer:
    from smolforge.cli.answering import Bounds, InCalls, in_words
    from smolforge.errors import ConfigError

    if options.call and not opened.tools:
        raise ConfigError(f"{opened.path}: --call needs a tools.json in the model's folder")
    form = form_of(options)
    if opened.tools and options.call is not False and not form:
        if options.stop or options.logit_bias:
            raise ConfigError("--stop and --logit-bias belong to answers in words; add --no-call")
        return InCalls(opened, not options.free)
    return in_words(opened, Bounds(form, options.stop, options.logit_bias))


def _answer_once(answerer: Answerer, talk: Conversation, question: str, as_json: bool) -> int:
    from smolforge.cli.speaking import speak

    spoken = speak(answerer(talk.prompt(question), talk.mode, talk.settings), quiet=as_json)
    if as_json:
        print(json.dumps(spoken.as_json(), ensure_ascii=False))
    else:
        _note(spoken.figures())
    return 0


def _talk(opened: OpenModel, answerer: Answerer, talk: Conversation) -> int:
    """Read messages until /exit or the end of input."""
    from smolforge.cli.repl import Commands, line_reader, messages
    from smolforge.cli.speaking import speak
    from smolforge.errors import SmolforgeError

    thinks = opened.engine is None or opened.engine.model.think is not None
    commands = Commands(talk, _note, thinks=thinks)
    _note(f"{opened.path} ({'calls' if opened.tools else 'chat'}, {talk.mode}); /help shows the commands")
    for message in messages(line_reader()):
        if message.startswith("/"):
            commands.run(message)
        elif message.strip():
            try:
                spoken = speak(answerer(talk.prompt(message.strip()), talk.mode, talk.settings), stoppable=True)
            except SmolforgeError as error:
                _note(str(error))
                continue
            if spoken.text:
                talk.add(message.strip(), spoken.text)
            _note(spoken.figures())
        if commands.left:
            return 0
    _note("")
    return 0


def _note(text: str) -> None:
    """Say something that is not an answer."""
    from smolforge.cli.terminal import Screen

    Screen(sys.stderr).write(f"{text}\n", dim=True)
