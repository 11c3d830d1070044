"""`smolforge corpus report`: the page of a finished corpus; its path goes to stdout."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verb's arguments."""
    parser.add_argument("corpus", type=Path, metavar="FOLDER", help="a finished corpus, or a run that has one")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write it (FOLDER/report.html)")
    parser.add_argument("--title", default="", help="what heads the page (Corpus)")


def run(options: argparse.Namespace) -> int:
    """Write the page; a run's generated sets are on it too."""
    from smolforge.cli.corpus_folder import corpus_folder, stage_folder
    from smolforge.recipe.report.corpus_page import corpus_page
    from smolforge.store import read_json, write_atomic

    folder, synthesize = corpus_folder(options.corpus), stage_folder(options.corpus, "synthesize")
    generated = synthesize / "generated" / "report.json" if synthesize else None
    found = read_json(generated) if generated and generated.is_file() else None
    path = options.output or folder / "report.html"
    write_atomic(path, corpus_page(folder, options.title, found).encode())
    print(path)
    return 0
