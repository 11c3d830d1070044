"""Which corpus a verb means: the folder of a finished corpus stage, that of a run, or that of the newest run."""

from __future__ import annotations

import argparse
from pathlib import Path


def corpus_folder(path: Path) -> Path:
    """Return the corpus at a path: the folder itself, or that of the run there. ConfigError says what is missing."""
    from smolforge.errors import ConfigError

    if (path / "annotations").is_dir():
        return path
    if found := stage_folder(path, "corpus"):
        return found
    raise ConfigError(f"{path}: neither a finished corpus (a folder with annotations/) nor a run that has one")


def stage_folder(run: Path, stage: str) -> Path | None:
    """Return the finished folder of a run's stage, or None."""
    from smolforge.cli.models import runs_with

    wanted = run.resolve()
    return next((found for found, _ in runs_with(stage, wanted.parent) if wanted in found.resolve().parents), None)


def chosen_corpus(options: argparse.Namespace) -> Path:
    """Return the corpus that ``--corpus`` or ``--run`` names, or else that of the newest run below ``runs/``."""
    from smolforge.cli.models import RUNS, runs_with
    from smolforge.errors import ConfigError

    if options.corpus is not None or options.of_run is not None:
        return corpus_folder(options.corpus or options.of_run)
    for folder, _ in runs_with("corpus"):
        return folder
    raise ConfigError(f"there is no run with a finished corpus below {RUNS}/; name one with --corpus FOLDER or --run")
