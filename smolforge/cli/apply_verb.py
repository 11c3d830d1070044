"""`smolforge apply`: a task over a whole column of a table. The new table goes to a file, progress to standard error.

Killed and run again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smolforge.cli.task_options import print_json, task_arguments, task_engine

if TYPE_CHECKING:
    from smolforge.tasks.apply import Applied

TASKS = {
    "classify": "which label fits the text",
    "extract": "JSON that fits a schema",
    "summarize": "the text in a few sentences",
    "call": "the functions to call, and their arguments",
    "chat": "the model's answer to a prompt made of the row",
    "embed": "the text as a vector",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments: each task has its own."""
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for task, about in TASKS.items():
        one = tasks.add_parser(task, help=about, description=f"For each row of a table: {about}.")
        one.add_argument("source", type=Path, metavar="IN", help="a .jsonl, .csv or .parquet file")
        one.add_argument("target", type=Path, metavar="OUT", help="the same rows with new columns; any of these kinds")
        if task in _DECLARE:
            _DECLARE[task](one)
        group = one.add_argument_group("table")
        if task != "chat":
            group.add_argument("--column", default="text", metavar="NAME", help="which column is read (text)")
        group.add_argument("--prefix", default="", metavar="P", help="put before the names of the new columns")
        group.add_argument("--retry-failed", action="store_true", help="try rows again that failed before")
        group.add_argument("--overwrite", action="store_true", help="replace OUT where it exists")
        task_arguments(one)


def run(options: argparse.Namespace) -> int:
    """Apply the task."""
    from smolforge.cli.progress import progress
    from smolforge.store.tables import suffix
    from smolforge.tasks.apply import apply

    given = _OPTIONS[options.task](options) if options.task in _OPTIONS else {}
    for path in (options.source, options.target):
        suffix(path)
    try:
        with task_engine(options) as engine, progress(f"{options.task} {options.source.name}", "rows") as shown:
            done = apply(
                engine, options.task, options.source, options.target, column=getattr(options, "column", "text"),
                prefix=options.prefix, retry_failed=options.retry_failed, overwrite=options.overwrite,
                progress=shown.update, **given,
            )  # fmt: skip
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on from {options.target}.work", file=sys.stderr)
        raise
    _show(done, options)
    return 0


def _show(done: Applied, options: argparse.Namespace) -> None:
    if options.json:
        counts = {"rows": done.rows, "answered": done.answered, "failed": done.failed, "tried": done.tried}
        print_json({"path": str(done.path), **counts, **done.cost.json()})
    if done.failed:
        why = f"the column {options.prefix}error says why, --retry-failed tries them again"
        print(f"{done.failed} of {done.rows} rows failed; {why}", file=sys.stderr)


def _declare_classify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", required=True, metavar="A,B,...", help="labels, or a file as for classify")
    parser.add_argument("--multi", action="store_true", help="any number of labels may fit")
    parser.add_argument("--instruction", help="what the labels mean and how to choose")
    parser.add_argument("--abstain", type=float, metavar="P", help="no label below this probability")
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="use what classify --save-calibration wrote")


def _classify(options: argparse.Namespace) -> dict[str, Any]:
    from smolforge.cli.classify_verb import read_labels
    from smolforge.tasks.calibration import Calibration

    labels, descriptions = read_labels(options.labels)
    calibration = Calibration.load(options.calibration) if options.calibration else None
    return {
        "labels": labels, "descriptions": descriptions, "multi": options.multi, "instruction": options.instruction,
        "abstain": options.abstain, "calibration": calibration,
    }  # fmt: skip


def _declare_extract(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--schema", required=True, help="JSON schema, a file of one, or 'name, age int, tags [str]'")
    parser.add_argument("--instruction", help="what to look for")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of one answer")
    parser.add_argument("--section-tokens", type=int, metavar="N", help="a longer text is read in parts (1536)")
    _thinking(parser)


def _extract(options: argparse.Namespace) -> dict[str, Any]:
    names = ("instruction", "max_tokens", "section_tokens", "think", "thinking_budget")
    return {"schema": options.schema, **_given(options, *names)}


def _declare_summarize(parser: argparse.ArgumentParser) -> None:
    from smolforge.cli.summarize_verb import summary_arguments

    summary_arguments(parser)


def _summarize(options: argparse.Namespace) -> dict[str, Any]:
    from smolforge.cli.summarize_verb import summary_options

    return summary_options(options)


def _declare_call(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tools", type=Path, required=True, metavar="FILE", help="a JSON list of tools")
    parser.add_argument("--choice", metavar="auto|required|NAME", help="as for call (required)")
    parser.add_argument("--no-parallel", action="store_true", help="one call a row")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of one answer")
    _thinking(parser)


def _call(options: argparse.Namespace) -> dict[str, Any]:
    from smolforge.tasks.tools import read_tools

    given = _given(options, "choice", "max_tokens", "think", "thinking_budget")
    return {"tools": read_tools(options.tools), "parallel": not options.no_parallel, **given}


def _declare_chat(parser: argparse.ArgumentParser) -> None:
    from smolforge.cli.options import sampling_arguments

    parser.add_argument("--prompt", required=True, metavar="TEXT", help="the question; {name} is the row's column")
    parser.add_argument("-s", "--system", help="how the model should be")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of one answer")
    _thinking(parser)
    sampling_arguments(parser, temperature=0.0)


def _chat(options: argparse.Namespace) -> dict[str, Any]:
    from smolforge.cli.options import SAMPLING, sampling_of

    typed = {name: getattr(options, name) for name in SAMPLING if getattr(options, name) is not None}
    given = _given(options, "system", "max_tokens", "think", "thinking_budget")
    return {"prompt": options.prompt, "sampling": sampling_of(typed), **given}


def _thinking(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--think", action="store_true", help="reason first")
    parser.add_argument("--thinking-budget", type=int, metavar="N", help="most tokens of reasoning")


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return what was typed; a number below 1 is refused by the name of its option."""
    from smolforge.cli.options import positive

    positive(options, *(name for name in names if name in ("max_tokens", "section_tokens", "thinking_budget")))
    found = {name: getattr(options, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


_DECLARE: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "classify": _declare_classify, "extract": _declare_extract, "summarize": _declare_summarize, "call": _declare_call,
    "chat": _declare_chat,
}  # fmt: skip
_OPTIONS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "classify": _classify, "extract": _extract, "summarize": _summarize, "call": _call, "chat": _chat,
}  # fmt: skip
