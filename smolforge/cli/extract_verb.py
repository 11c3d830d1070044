"""`smolforge extract`: the data in a text, as JSON that fits a schema. The JSON alone goes to standard output.

With ``--spans`` each value comes with the place in the text it was taken from, or says that it was inferred.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from smolforge.cli.task_options import print_json, section_progress, task_arguments, task_engine, text_argument, text_of
from smolforge.errors import ConfigError, DataError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    text_argument(parser)
    parser.add_argument("--file", type=Path, metavar="FILE", help="the file the text is in")
    parser.add_argument(
        "--schema",
        required=True,
        metavar="S",
        help="what to find: 'name span, age int, tags [str]', a JSON schema, or a file; a span is copied from the text",
    )
    parser.add_argument("--spans", action="store_true", help="also where in the text each value stands (characters)")
    parser.add_argument("--instruction", help="what to look for, instead of the usual words")
    parser.add_argument("--think", action="store_true", help="reason first, with a model that can")
    parser.add_argument("--thinking-budget", type=int, metavar="N", help="most tokens of reasoning")
    parser.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="most tokens of one answer (1024)")
    parser.add_argument("--section-tokens", type=int, metavar="N", help="a longer text is read in parts (1536)")
    task_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Extract from the text."""
    from smolforge.cli.options import positive
    from smolforge.cli.terminal import Screen
    from smolforge.tasks.extract import extract
    from smolforge.tasks.schema_forms import read_form

    positive(options, "max_tokens", "thinking_budget", "section_tokens")
    read_form(options.schema)  # what is wrong with it is said before a model is opened
    text = _text(options)
    with task_engine(options) as engine, section_progress("extract") as progress:
        found = extract(
            engine,
            text,
            options.schema,
            instruction=options.instruction,
            think=options.think,
            thinking_budget=options.thinking_budget,
            max_tokens=options.max_tokens,
            section_tokens=options.section_tokens,
            progress=progress,
        )
    if options.json:
        print_json(found.json())
        return 0
    for thought in found.reasoning:
        Screen(sys.stderr).write(f"{thought}\n", dim=True)
    print_json({"value": found.value, "sources": found.sources()} if options.spans else found.value)
    return 0


def _text(options: argparse.Namespace) -> str:
    """Return the text of ``--file``, else the one that was typed or piped."""
    path: Path | None = options.file
    if path is None:
        return text_of(options)
    if options.text is not None:
        raise ConfigError("the text is given twice, as a word and as --file; give one")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not text.strip():
        raise DataError(f"{path}: the text is empty")
    return text
