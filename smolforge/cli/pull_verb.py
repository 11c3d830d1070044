"""`smolforge pull`: fetch a model from the hub into the Hugging Face cache. Its path goes to standard output."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smolforge.hub.download import Pulled
    from smolforge.hub.names import ModelName


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from smolforge.hub.names import FORM

    parser.add_argument("name", help=f"{FORM}; of a GGUF repository one file is taken, Q4_K_M if nothing is named")
    parser.add_argument("--json", action="store_true", help="path, commit, files and fetched bytes as JSON")


def run(options: argparse.Namespace) -> int:
    """Fetch, or where the network is forbidden say where it is."""
    from smolforge.errors import NetworkError
    from smolforge.hub import places
    from smolforge.hub.cache import find
    from smolforge.hub.names import parse_name

    name, root = parse_name(options.name), places.cache_root()
    pulled = None if places.offline() else _fetch(name, root)
    path = find(name, root)
    if path is None and pulled is None:
        raise NetworkError(f"{name}: not in the cache at {root}, and HF_HUB_OFFLINE forbids the network")
    facts = {"path": str(path or (pulled and pulled.snapshot))}
    if pulled is not None:
        facts |= {"commit": pulled.commit, "files": pulled.files, "fetched_bytes": pulled.fetched}  # type: ignore[dict-item]
    print(json.dumps(facts) if options.json else facts["path"])
    return 0


def _fetch(name: ModelName, root: Path) -> Pulled:
    from smolforge.cli.progress import progress
    from smolforge.hub import places
    from smolforge.hub.download import pull
    from smolforge.hub.remote import Hub

    hub = Hub(places.endpoint(), places.token())
    with progress(f"pull {name}", "MB", 1e6) as shown:
        pulled = pull(name, root, hub, lambda file, here, total: shown.update(here, total, file))
    print(f"every digest checked; pinned: {name.id}@{pulled.commit}", file=sys.stderr)
    return pulled
