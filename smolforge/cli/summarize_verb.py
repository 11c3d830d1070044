"""`smolforge summarize`: a long text in a few sentences. The summary alone goes to standard output."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from smolforge.cli.task_options import print_json, section_progress, task_arguments, task_engine
from smolforge.errors import ConfigError, DataError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("file", nargs="?", help="a text file; '-', or nothing, reads standard input")
    summary_arguments(parser)
    task_arguments(parser)


def summary_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how to summarize; `smolforge apply summarize` takes the same."""
    from smolforge.tasks.summarize_asking import LANGUAGES

    parser.add_argument("--words", type=int, metavar="N", help="at most N words (100)")
    parser.add_argument("--sentences", type=int, metavar="N", help="at most N sentences")
    parser.add_argument("--tokens", type=int, metavar="N", help="at most N tokens of the model")
    parser.add_argument("--language", choices=LANGUAGES, help="of the summary, else that of the text")
    parser.add_argument("--focus", metavar="TEXT", help="what matters most")
    parser.add_argument("--think", action="store_true", help="reason first")
    parser.add_argument("--thinking-budget", type=int, metavar="N", help="most tokens of reasoning (512)")
    parser.add_argument("--section-tokens", type=int, metavar="N", help="read a longer text in parts of N tokens")


def summary_options(options: argparse.Namespace) -> dict[str, object]:
    """Return what was typed as the task's options."""
    names = ("words", "sentences", "tokens", "language", "focus", "think", "thinking_budget", "section_tokens")
    return {name: getattr(options, name) for name in names}


def run(options: argparse.Namespace) -> int:
    """Summarize the file."""
    from smolforge.cli.options import positive
    from smolforge.tasks.summarize import summarize

    positive(options, "thinking_budget")
    text = _read(options.file)
    with task_engine(options) as engine, section_progress("summarize") as progress:
        made = summarize(engine, text, progress=progress, **summary_options(options))  # type: ignore[arg-type]
    if options.json:
        print_json(made.json())
    else:
        print(made.text)
    return 0


def _read(file: str | None) -> str:
    """Return the text; the errors name the file."""
    from smolforge.cli.main import read_input

    if file in (None, "-"):
        if file is None and sys.stdin.isatty():
            raise ConfigError("there is no text: name a file, or give it on standard input")
        text = read_input()
    else:
        try:
            text = Path(str(file)).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: not UTF-8 text (byte {error.start})") from None
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}; a text itself is given on standard input") from None
    if not text.strip():
        raise DataError(f"{file or 'standard input'}: the text is empty")
    return text
