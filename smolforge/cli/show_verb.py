"""`smolforge show`: what a model is, from its headers alone."""

from __future__ import annotations

import argparse
import json
from typing import Any


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from smolforge.cli.models import HELP

    parser.add_argument("model", nargs="?", help=HELP)
    parser.add_argument("--json", action="store_true", help="everything as JSON, with the chat template's text")


def run(options: argparse.Namespace) -> int:
    """Look and tell."""
    from smolforge.cli.models import find_model, tools_of
    from smolforge.hub.describe import describe

    path = find_model(options.model)
    found = describe(path) | {"tools": [tool["function"]["name"] for tool in tools_of(path) or []]}
    print(json.dumps(found, indent=2, ensure_ascii=False) if options.json else render(found))
    return 0


def render(found: dict[str, Any]) -> str:
    """Return the facts as text; what comes from the file is shown without its control characters."""
    from smolforge.cli.table import count_text, size_text
    from smolforge.printable import printable

    total = found["bytes"]
    types = ", ".join(
        f"{kind} {part['tensors']} ({100 * part['bytes'] / max(total, 1):.0f}% of bytes)"
        for kind, part in found["tensors"].items()
    )
    shape = ", ".join(f"{name} {value}" for name, value in found["shape"].items() if value is not None)
    lines = {
        "model": found["path"],
        "name": found["name"],
        "format": f"{found['format']}, {size_text(total)}",
        "architecture": found["architecture"],
        "runs": "yes" if found["runs"] is True else f"no: {found['runs']}",
        "parameters": f"{count_text(found['parameters'])} ({found['parameters']:,})",
        "shape": shape or None,
        "no positions": f"layers {found['nope_layers']}" if found["nope_layers"] else None,
        "tensors": types,
        "context": f"{found['context']:,} tokens" if found["context"] else None,
        "template": f"{len(found['template']):,} characters" if found["template"] else "none in the file",
        "tools": ", ".join(found["tools"]) or None,
        "licence": found["licence"] or "not stated",
    }
    return "\n".join(f"{name:<13} {printable(str(value))}" for name, value in lines.items() if value is not None)
