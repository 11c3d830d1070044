"""`smolforge report`: print the path of the newest finished run's report, or of one run's."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("run", nargs="?", type=Path, help="a run's folder, e.g. runs/nano; the newest one")
    parser.add_argument("--metrics", action="store_true", help="print the figures (metrics.json) instead of the path")


def run(options: argparse.Namespace) -> int:
    """Print the path, or the figures."""
    from smolforge.cli.models import RUNS, runs_with
    from smolforge.errors import ConfigError

    root = options.run.parent if options.run else RUNS
    wanted = options.run.resolve() if options.run else None
    for folder, _ in runs_with("report", root):
        if wanted is None or folder.resolve().parent.parent == wanted:
            page, metrics = folder / "report.html", folder / "metrics.json"
            print(metrics.read_text(encoding="utf-8").rstrip() if options.metrics else page)
            return 0
    where = options.run or f"{RUNS}/"
    raise ConfigError(f"{where}: no finished report there; make one with 'smolforge run recipes/nano.yaml'")
