"""`smolforge generate`: continue a text, without a chat template. The continuation alone goes to standard output."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("model", nargs="?", type=Path, help="a model folder or a .gguf file; the newest run's export")
    parser.add_argument("-p", "--prompt", help="the text to continue; without it, standard input is read")
    parser.add_argument("--max-tokens", type=int, default=128, help="most tokens to add (128)")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 is greedy, and the same every time")
    parser.add_argument("--top-p", type=float, default=1.0, help="keep the likeliest tokens up to this probability")
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> int:
    """Continue the text."""
    from smolforge.cli.main import read_input
    from smolforge.cli.models import open_model
    from smolforge.errors import ConfigError
    from smolforge.generator import Request, Sampling

    if options.max_tokens < 1 or options.temperature < 0 or not 0 < options.top_p <= 1:
        raise ConfigError("--max-tokens must be at least 1, --temperature at least 0, --top-p above 0 and at most 1")
    text = options.prompt if options.prompt is not None else read_input()
    if not text:
        raise ConfigError("there is no text to continue; give one with --prompt or on standard input")
    model = open_model(options.model).chat
    sampling = Sampling(temperature=options.temperature, top_p=options.top_p, seed=options.seed)
    prompt = model.codec.encode_text([text])[0]
    done = model.generator.generate([Request(prompt, options.max_tokens, sampling, model.codec.stop)])[0]
    print(model.vocabulary.text(done.tokens))
    return 0
