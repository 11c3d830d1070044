"""`smolforge corpus`: work on a corpus beside the recipe; each sub-verb has a module ``corpus_<name>`` of its own."""

from __future__ import annotations

import argparse
import importlib

SUBVERBS = {
    "why": "tell one document's history: what each step said of it, on what evidence, and where it ended",
    "report": "write the page of a finished corpus: the funnel, what was dropped, duplicates side by side",
    "card": "write the dataset card of a finished corpus: README.md as the Hugging Face hub reads it",
    "plan": "show how much of each source a recipe's phases would eat, and refuse what cannot be",
    "tokenizers": "measure what the corpus's languages cost in several tokenizers",
    "ablate": "train a small model on two corpora or mixtures and say which one predicts better",
    "retune": "try other limits on a finished corpus: what each reason dropped, and would drop",
    "calibrate": "refit the limits of the quality rules to samples of text",
    "decontaminate": "find documents that hold questions of benchmarks",
    "synthesize": "try a generated format on some documents: what is kept, and which checks stop the rest",
    "label": "ask a language model how much documents teach: labels for train-quality",
    "train-quality": "train a quality or toxicity model from a labelled table",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs and their arguments."""
    chosen = parser.add_subparsers(metavar="VERB", required=True)
    for name, text in SUBVERBS.items():
        verb = importlib.import_module(f"smolforge.cli.corpus_{name.replace('-', '_')}")
        child = chosen.add_parser(name, help=text, description=text)
        verb.arguments(child)
        child.set_defaults(run=verb.run)


def run(options: argparse.Namespace) -> int:
    """Run the sub-verb."""
    code: int = options.run(options)
    return code
