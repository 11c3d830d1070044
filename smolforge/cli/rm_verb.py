"""`smolforge rm`: take a model out of the Hugging Face cache. Runs and other folders are not its business."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("name", help="owner/repo for every revision that is here, or owner/repo@revision for one")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def run(options: argparse.Namespace) -> int:
    """Show what would go, ask, and remove."""
    from smolforge.cli.table import size_text
    from smolforge.errors import ConfigError
    from smolforge.hub.cache import choose_removal, remove
    from smolforge.hub.names import looks_like_name
    from smolforge.hub.places import cache_root

    root = cache_root()
    if not looks_like_name(options.name) or Path(options.name).exists():
        raise ConfigError(f"{options.name}: only models in the Hugging Face cache ({root}) are removed: owner/repo")
    chosen = choose_removal(options.name, root)
    if not options.yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"{options.name}: nobody is here to ask; say --yes to remove it")
        for snapshot in chosen.snapshots:
            print(f"{snapshot.id}@{snapshot.commit}  {size_text(snapshot.size)}", file=sys.stderr)
        what = f"all of {chosen.id}" if chosen.whole else "this"
        print(f"remove {what} from {root}? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("nothing removed", file=sys.stderr)
            return 0
    freed = remove(chosen, root)
    print(f"{options.name}: removed, {size_text(freed)} set free", file=sys.stderr)
    return 0
