"""Options that several verbs share: which model on how many threads, how tokens are chosen, what an answer may be.

Input is a parser to fill, then what was typed. Output: ``Sampling``, and what to open the engine with.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smolforge.errors import ConfigError

if TYPE_CHECKING:
    from smolforge.generator import Sampling

KV_KINDS = ("f16", "bf16", "q8", "q4")
# option → (type, what it means); defaults are the verb's, else Sampling's own
SAMPLING: dict[str, tuple[Callable[[str], Any], str]] = {
    "temperature": (float, "0 is greedy"),
    "top_p": (float, "keep the likeliest tokens up to this probability together"),
    "top_k": (int, "keep this many of the likeliest tokens; 0: all"),
    "min_p": (float, "keep tokens at least this likely, relative to the likeliest"),
    "repetition_penalty": (float, "above 1: tokens seen before become less likely"),
    "presence_penalty": (float, "taken once from tokens the answer has used"),
    "frequency_penalty": (float, "taken as often as the answer has used a token"),
    "dry_multiplier": (float, "above 0: repeating longer and longer spans becomes unlikely"),
    "dry_base": (float, "how fast that grows with each further token of a repeated span"),
    "dry_allowed_length": (int, "how many tokens may repeat before that begins"),
    "seed": (int, "another seed, another answer; the same seed, the same answer"),
}


def model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which model is meant."""
    from smolforge.cli.models import HELP

    parser.add_argument("model", nargs="?", help=HELP)
    parser.add_argument("-m", "--model", dest="named_model", metavar="MODEL", help="the same, as an option")


def engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how the model is run."""
    group = parser.add_argument_group("engine")
    group.add_argument("--threads", type=int, metavar="N", help="threads (as many as cores may be used)")
    group.add_argument("--kv", choices=KV_KINDS, help="how keys and values are kept: fewer bits, longer contexts")
    group.add_argument("--context", type=int, metavar="N", help="most tokens of prompt and answer together")
    group.add_argument("--backend", choices=("native", "torch"), default="native", help="torch: the slow reference")


def sampling_arguments(parser: argparse.ArgumentParser, **defaults: float) -> None:
    """Declare how tokens are chosen; ``defaults`` replace those of ``Sampling`` for this verb."""
    group = parser.add_argument_group("sampling")
    for name, (kind, text) in SAMPLING.items():
        shown = f" ({defaults[name]:g})" if name in defaults else ""
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="X", help=text + shown)
    parser.set_defaults(sampling_defaults=defaults)
    group.add_argument(
        "--logit-bias", type=_bias, action="append", default=[], metavar="TOKEN_ID=BIAS",
        help="add this to a token's score before anything else, such as 42=-100; repeatable",
    )  # fmt: skip


def length_arguments(parser: argparse.ArgumentParser, max_tokens: int) -> None:
    """Declare where an answer ends."""
    parser.add_argument(
        "--max-tokens", type=int, default=max_tokens, metavar="N", help=f"most tokens of an answer ({max_tokens})"
    )
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end before this text; repeatable")


def form_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the answer may be."""
    group = parser.add_argument_group("form of the answer").add_mutually_exclusive_group()
    group.add_argument(
        "--schema", help="JSON that fits a schema: a file, the schema itself, or 'name, age int, tags [str]'"
    )
    group.add_argument("--regex", help="text that fits a regular expression")
    group.add_argument("--choices", metavar="A,B,...", help="one of these, separated by commas")
    group.add_argument("--lark", metavar="FILE", help="text that fits a Lark grammar, whose rule 'start' is the answer")


def form_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the form as the engine's options name it; nothing where the answer is free."""
    if options.schema is not None:
        import json

        from smolforge.engine.schema_checks import SPAN
        from smolforge.tasks.schema_forms import read_schema

        schema = read_schema(options.schema)
        if f'"{SPAN}": true' in json.dumps(schema):
            raise ConfigError("--schema: a span is copied from a text; 'smolforge extract' knows which text that is")
        return {"schema": schema}
    if options.choices is not None:
        choices = [choice.strip() for choice in options.choices.split(",")]
        if not all(choices):
            raise ConfigError("--choices: an empty choice; expected e.g. yes,no")
        return {"choices": choices}
    if options.lark is not None:
        return {"lark": _grammar(Path(options.lark))}
    return {} if options.regex is None else {"regex": options.regex}


def _grammar(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--lark: {file}: cannot be read as text ({error})") from None


def sampling_settings(options: argparse.Namespace) -> dict[str, float]:
    """Return the sampling settings of this call: what was typed over the verb's defaults. A form is filled greedily."""
    typed = {name: getattr(options, name) for name in SAMPLING if getattr(options, name) is not None}
    return {**({} if form_of(options) else options.sampling_defaults), **typed}


def sampling_of(settings: Mapping[str, float], logit_bias: Iterable[tuple[int, float]] = ()) -> Sampling:
    """Return settings as ``Sampling``; ConfigError names the option that is out of range."""
    from smolforge.generator import Sampling

    try:
        return Sampling(**settings, logit_bias=dict(logit_bias))  # type: ignore[arg-type]
    except ConfigError as error:
        name, _, rest = str(error).partition(" ")
        raise ConfigError(f"--{name.replace('_', '-')} {rest}") from None


def _bias(text: str) -> tuple[int, float]:
    token, _, bias = text.partition("=")
    try:
        return int(token), float(bias)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected TOKEN_ID=BIAS, such as 42=-100") from None


def positive(options: argparse.Namespace, *names: str) -> None:
    """Refuse a number below 1 by the name of its option."""
    for name in names:
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} is {value}, expected 1 or more")
