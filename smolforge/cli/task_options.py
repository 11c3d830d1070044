"""What the task verbs share: the text they work on, the model that does it, and how the result is printed.

Input is a parser to fill, then what was typed. Output: a text, an opened engine, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from smolforge.errors import ConfigError

if TYPE_CHECKING:
    from smolforge.engine.engine import Engine


def task_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which model a task uses, how it is run, and ``--json``."""
    from smolforge.cli.models import HELP
    from smolforge.cli.options import KV_KINDS

    parser.add_argument("-m", "--model", metavar="MODEL", help=HELP)
    parser.add_argument("--json", action="store_true", help="the whole result with token counts and seconds")
    group = parser.add_argument_group("engine")
    group.add_argument("--threads", type=int, metavar="N", help="threads (as many as cores may be used)")
    group.add_argument("--kv", choices=KV_KINDS, help="how keys and values are kept: fewer bits, longer contexts")
    group.add_argument("--context", type=int, metavar="N", help="most tokens of prompt and answer together")


def text_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the text as the first word."""
    parser.add_argument("text", nargs="?", help="the text; '-', or nothing, reads standard input")


def text_of(options: argparse.Namespace) -> str:
    """Return the text that was typed or piped; ConfigError where there is none."""
    from smolforge.cli.main import read_input

    if options.text is None and sys.stdin.isatty():
        raise ConfigError("there is no text: give it as the first word, or on standard input")
    text: str = read_input() if options.text in (None, "-") else options.text
    if not text.strip():
        raise ConfigError("the text is empty")
    return text.removesuffix("\n")


@contextmanager
def task_engine(options: argparse.Namespace) -> Iterator[Engine]:
    """Open the model that ``task_arguments`` names on the native engine, and close it after the block."""
    from smolforge.cli.models import find_model
    from smolforge.cli.opening import open_engine
    from smolforge.cli.options import positive

    positive(options, "threads", "context")
    with open_engine(options, find_model(options.model)) as engine:
        yield engine


@contextmanager
def section_progress(verb: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what shows on standard error how many sections of a text are done; one that is read whole shows nothing."""
    from smolforge.cli.progress import progress

    with progress(verb, "sections") as shown:

        def update(done: int, total: int) -> None:
            if total > 1 and not done:
                print(f"{verb}: a long text, read in {total} sections", file=sys.stderr, flush=True)
            if total > 1:
                shown.update(done, total)

        yield update


def print_json(value: Any) -> None:
    """Print one line of JSON."""
    print(json.dumps(value, ensure_ascii=False))
