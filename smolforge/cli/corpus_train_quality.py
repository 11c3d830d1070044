"""`smolforge corpus train-quality`: a quality (or toxicity) model from a labelled table; its figures go to stdout."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verb's arguments."""
    parser.add_argument("table", type=Path, help=".parquet, .jsonl or .csv: text, label, optional language and doc_id")
    parser.add_argument("--label", required=True, metavar="COLUMN", help="yes or no, or a score with --at-least")
    parser.add_argument("--at-least", type=float, metavar="X", help="a score from here on is a yes")
    parser.add_argument("--text", default="text", metavar="COLUMN", help="the column of texts (text)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the model (.npz)")
    parser.add_argument(
        "--encoder", type=Path, metavar="FOLDER", help="a head on this BERT-like model instead (needs torch)"
    )
    parser.add_argument("--json", action="store_true", help="the figures as JSON")


def run(options: argparse.Namespace) -> int:
    """Train, write the model, show how it does on examples it never saw."""
    from smolforge.corpus.scoring.training import read_examples, train
    from smolforge.errors import ConfigError

    if options.output.suffix != ".npz":
        raise ConfigError(f"--output: {options.output} should end in .npz")
    examples = list(read_examples(options.table, options.label, options.at_least, options.text))
    if options.encoder is not None:
        from smolforge.corpus.scoring.encoder import train_head

        head, judged = train_head(examples, options.encoder)
        head.save(options.output)
    else:
        model, judged = train(examples)
        model.save(options.output)
    if options.json:
        print(json.dumps(asdict(judged)))
    else:
        print(judged)
        for code, (count, share) in judged.by_language.items():
            print(f"  {code or '(none)'}: {count} examples, area under the curve {share:.4f}")
    print(f"wrote {options.output}", file=sys.stderr)
    return 0
