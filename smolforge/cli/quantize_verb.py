"""`smolforge quantize`: write a model as a smaller GGUF file, which llama.cpp opens too. Its path goes to stdout."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

TYPES = ("q4_0", "q4_1", "q8_0", "q4_k_m")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from smolforge.cli.models import HELP

    parser.add_argument("source", help=HELP.partition(";")[0])
    parser.add_argument("target", type=Path, help="the .gguf file to write")
    parser.add_argument("--type", choices=TYPES, required=True, help="4 bits (q4_k_m keeps most quality) or 8")
    parser.add_argument("--threads", type=int, metavar="N", help="threads (as many as cores may be used)")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    parser.add_argument("--json", action="store_true", help="path, sizes and tensor types as JSON")


def run(options: argparse.Namespace) -> int:
    """Quantize tensor by tensor; the file appears when it is whole."""
    from smolforge.cli.models import find_model
    from smolforge.cli.options import positive
    from smolforge.cli.progress import progress
    from smolforge.cli.table import size_text
    from smolforge.errors import ConfigError
    from smolforge.formats.gguf_quantize import quantize_gguf
    from smolforge.recipe.machine import usable_cores

    positive(options, "threads")
    if options.target.suffix != ".gguf" or options.target.is_dir():
        raise ConfigError(f"{options.target}: the name of a GGUF file ends in .gguf")
    if options.target.exists() and not options.force:
        raise ConfigError(f"{options.target}: exists; say --force to write over it")
    source = find_model(options.source)
    with progress(f"quantize to {options.type}", "%") as shown:
        done = quantize_gguf(
            source,
            options.target,
            options.type,
            threads=options.threads or usable_cores(),
            progress=lambda share, what: shown.update(100 * share, 100, what),
        )
    facts = {"path": str(done.path), "bytes": done.bytes, "source_bytes": done.source_bytes, "tensors": done.types}
    for note in done.notes:
        print(note, file=sys.stderr)
    print(f"{size_text(done.source_bytes)} became {size_text(done.bytes)}", file=sys.stderr)
    print(json.dumps(facts) if options.json else done.path)
    return 0
