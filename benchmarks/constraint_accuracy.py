"""What a constraint costs or brings in accuracy: the same questions answered freely and parsed, under a schema, and
under a schema whose fields can only be copied from the text.

Sixty short documents in eight languages with what they hold (edge/labelled.json); greedy, one prompt for all ways, so
a run repeats to the last digit on one machine. Intervals are 95%: Wilson for shares of answers, bootstrap over
documents for shares of fields; p is McNemar's exact test of whole answers against the free ones.

    python benchmarks/constraint_accuracy.py --json accuracy.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge import labelled

from smolforge import Engine
from smolforge.evaluate.statistics import bootstrap, paired_difference, wilson

COLUMNS = {"valid": 22, "fields": 24, "whole": 24}  # what is shown, and in how many characters


def main() -> int:
    """Answer all documents in every way and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model on this machine (the one that chat would take)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    documents = labelled.documents()
    with Engine.open(arguments.model, threads=arguments.threads, context=4096) as engine:
        print(f"{engine.model.name}: {len(documents)} documents, {sum(len(d.gold) for d in documents)} fields")
        scores = {name: _scores(engine, documents, way) for name, way in labelled.WAYS.items()}
    figures = {name: _figures(given, scores["free, then parsed"]) for name, given in scores.items()}
    print(f"{'way':<20} {'valid':>22} {'fields right':>24} {'answers all right':>24} {'p':>8}")
    for name, row in figures.items():
        cells = "".join(f" {_cell(row[column]):>{width}}" for column, width in COLUMNS.items())
        print(f"{name:<20}{cells} {row['p']:>8.3g}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if all(figures[name]["valid"][0] == 1 for name in ("constrained", "constrained, spans")) else 1


def _scores(engine: Engine, documents: Sequence[labelled.Document], way: labelled.Way) -> list[labelled.Score]:
    return [labelled.score(document, value) for document, value in zip(documents, way(engine, documents), strict=True)]


def _figures(scores: list[labelled.Score], free: list[labelled.Score]) -> dict[str, Any]:
    """Return (share, low, high) of valid answers, right fields and answers with every field right, and p."""
    valid = wilson(sum(one.valid for one in scores), len(scores))
    whole = [all(one.right) for one in scores]
    all_right = wilson(sum(whole), len(whole))
    return {
        "valid": (valid.value, valid.low, valid.high),
        "fields": bootstrap([one.share for one in scores]),
        "whole": (all_right.value, all_right.low, all_right.high),
        "p": paired_difference(whole, [all(one.right) for one in free]).p_value,
    }


def _cell(share: tuple[float, float, float]) -> str:
    value, low, high = (100 * part for part in share)
    return f"{value:.1f}% [{low:.1f}, {high:.1f}]"


if __name__ == "__main__":
    sys.exit(main())
