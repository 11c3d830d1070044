"""Published mixtures, shipped as data: ``smollm3/stable`` names a table of ``mixtures/smollm3.json``.

Input is a name; output is source → share of tokens, as published (the reader normalises). Each file says where its
numbers come from.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from smolforge.errors import ConfigError, nearest

FOLDER = Path(__file__).with_name("mixtures")


@cache
def published() -> dict[str, dict[str, Any]]:
    """Return every shipped table by name: ``stage``, ``from`` (its source), ``tokens`` of the phase, ``weights``."""
    tables = {}
    for file in sorted(FOLDER.glob("*.json")):
        for name, table in json.loads(file.read_text(encoding="utf-8"))["mixtures"].items():
            tables[f"{file.stem}/{name}"] = table
    return tables


def published_weights(name: str) -> dict[str, float]:
    """Return the shares of one table; ConfigError with the nearest name."""
    if name not in published():
        raise ConfigError(
            f"mixture '{name}': no such table{nearest(name, published())}; shipped: {', '.join(published())}"
        )
    return dict(published()[name]["weights"])
