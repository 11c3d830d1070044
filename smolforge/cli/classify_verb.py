"""`smolforge classify`: which label fits a text. The label alone goes to standard output.

With ``--calibrate`` the probabilities are fitted to a labelled file first, and how far they were off is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from smolforge.cli.task_options import print_json, task_arguments, task_engine, text_argument, text_of
from smolforge.errors import ConfigError, DataError

if TYPE_CHECKING:
    from smolforge.tasks.classify import Classification, Classifier


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    text_argument(parser)
    parser.add_argument(
        "--labels",
        required=True,
        metavar="A,B,...",
        help="labels separated by commas, or a file: one label a line, or JSON (a list, or label: description)",
    )
    parser.add_argument("--multi", action="store_true", help="any number of labels may fit; one a line is printed")
    parser.add_argument("--instruction", help="what the labels mean and how to choose, instead of the usual words")
    parser.add_argument("--abstain", type=float, metavar="P", help="no label below this probability")
    group = parser.add_argument_group("calibration").add_mutually_exclusive_group()
    group.add_argument("--calibrate", type=Path, metavar="FILE", help="fit to a .jsonl or .csv with text and label")
    group.add_argument("--calibration", type=Path, metavar="FILE", help="use what --save-calibration has written")
    parser.add_argument(
        "--save-calibration", type=Path, metavar="OUT", help="with --calibrate: keep it for later calls"
    )
    task_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Classify the text; with --save-calibration a text is not needed."""
    from smolforge.tasks.calibration import Calibration, read_examples
    from smolforge.tasks.classify import Classifier

    if options.save_calibration and not options.calibrate:
        raise ConfigError("--save-calibration needs --calibrate FILE")
    labels, descriptions = read_labels(options.labels)
    text = None if options.save_calibration and options.text is None else text_of(options)
    examples = read_examples(options.calibrate) if options.calibrate else []
    calibration = Calibration.load(options.calibration) if options.calibration else None
    with task_engine(options) as engine:
        shape = {"multi": options.multi, "instruction": options.instruction, "descriptions": descriptions}
        if options.calibrate:
            calibration = Calibration.fit(Classifier(engine, labels, **shape), examples)
            print(calibration, file=sys.stderr)
        if options.save_calibration and calibration is not None:
            calibration.save(options.save_calibration)
        if text is not None:
            classifier = Classifier(engine, labels, **shape, calibration=calibration, abstain=options.abstain)
            _show(classifier, classifier.one(text), as_json=options.json)
    return 0


def read_labels(given: str) -> tuple[list[str], dict[str, str]]:
    """Return labels and descriptions from a list with commas or a file; DataError names a file that is neither."""
    path = Path(given)
    try:
        in_file = path.is_file()
    except OSError:  # a list may be longer than a file's name
        in_file = False
    if not in_file:
        if path.suffix in (".json", ".txt"):
            raise DataError(f"{given}: no such file of labels")
        return [label.strip() for label in given.split(",")], {}
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix != ".json":
            return [line.strip() for line in text.splitlines() if line.strip()], {}
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{given}: {getattr(error, 'strerror', None) or error}") from None
    if isinstance(found, dict) and all(isinstance(about, str) for about in found.values()):
        return list(found), {label: about for label, about in found.items() if about}
    if isinstance(found, list) and all(isinstance(label, str) for label in found):
        return found, {}
    raise DataError(f"{given}: expected a JSON list of labels, or an object of label: description")


def _show(classifier: Classifier, found: Classification, *, as_json: bool) -> None:
    if as_json:
        print_json(found.json())
        return
    for label in found.labels:
        print(label)
    best, chance = next(iter(found.scores.items()))
    if not found.labels:
        print(f"no label: the best one, {best!r}, has {chance:.2f}", file=sys.stderr)
    elif not classifier.multi:
        print(f"{chance:.2f}", file=sys.stderr)
