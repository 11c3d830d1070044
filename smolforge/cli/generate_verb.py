"""`smolforge generate`: continue a text, without a chat template. The continuation alone goes to standard output."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
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
    from smolforge.cli.opening import OpenModel
    from smolforge.generator import Event, Request


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    model_arguments(parser)
    parser.add_argument("-p", "--prompt", help="the text to continue; without it, standard input is read")
    length_arguments(parser, max_tokens=128)
    parser.add_argument("--json", action="store_true", help="text and figures as JSON")
    form_arguments(parser)
    sampling_arguments(parser, temperature=0.0)
    engine_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Continue the text."""
    from smolforge.cli.main import read_input
    from smolforge.cli.opening import open_model
    from smolforge.cli.speaking import speak
    from smolforge.errors import ConfigError

    positive(options, "max_tokens", "threads", "context")
    sampling_of(sampling_settings(options), options.logit_bias)
    text = options.prompt if options.prompt is not None else read_input()
    if not text:
        raise ConfigError("there is no text to continue; give one with --prompt or on standard input")
    with open_model(options) as opened:
        spoken = speak(_events(opened, _request(opened, options, text)), quiet=options.json)
    if options.json:
        facts = spoken.as_json()
        print(json.dumps({"text": facts.pop("answer"), **facts}, ensure_ascii=False))
    return 0


def _request(opened: OpenModel, options: argparse.Namespace, text: str) -> Request:
    from smolforge.cli.answering import constraint_of
    from smolforge.generator import Request

    model = opened.chat
    prompt = opened.engine.model.encode(text) if opened.engine else model.codec.encode_text([text])[0]
    room = options.max_tokens if model.context is None else max(1, model.context - len(prompt))
    return Request(
        prompt=prompt,
        max_tokens=min(options.max_tokens, room),
        sampling=sampling_of(sampling_settings(options), options.logit_bias),
        stop=model.codec.stop,
        stop_strings=tuple(options.stop),
        constraint=constraint_of(model, form_of(options)),
    )


def _events(opened: OpenModel, request: Request) -> Iterator[Event]:
    """Yield the continuation as it is made; on the torch backend all at once."""
    from smolforge.generator import Finished, TextDelta, Usage

    if opened.engine is not None:
        yield from opened.engine.submit(request)
        return
    done = opened.chat.generator.generate([request])[0]
    yield TextDelta(opened.chat.vocabulary.text(done.tokens))
    yield Finished(done.finish, Usage(len(request.prompt), 0, len(done.tokens), 0, 0, 0))
