"""`smolforge corpus card`: write the dataset card of a finished corpus; its path goes to stdout."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verb's arguments."""
    parser.add_argument("corpus", type=Path, metavar="FOLDER", help="a finished corpus, or a run that has one")
    parser.add_argument("--name", default="", help="what the dataset is called (the run's folder)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write it (README.md of the corpus)")


def run(options: argparse.Namespace) -> int:
    """Write the card."""
    from smolforge.cli.corpus_folder import corpus_folder
    from smolforge.corpus.card import card
    from smolforge.store import write_atomic

    folder = corpus_folder(options.corpus)
    path = options.output or folder / "README.md"
    write_atomic(path, card(folder, options.name or _name(folder.resolve())).encode())
    print(path)
    return 0


def _name(folder: Path) -> str:
    """Return the name of the run that the corpus belongs to, otherwise its own."""
    return folder.parent.parent.name if folder.parent.name == "artifacts" else folder.name
