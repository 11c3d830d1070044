"""`smolforge perplexity`: how well a model foresees a text, by the same definition as llama.cpp's llama-perplexity."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from smolforge.cli.models import HELP

    parser.add_argument("file", type=Path, help="a text file, UTF-8; '-' for standard input")
    parser.add_argument("-m", "--model", help=HELP)
    parser.add_argument(
        "--n-ctx", type=int, default=512, metavar="N", help="tokens of a chunk; its second half is scored"
    )
    parser.add_argument("--chunks", type=int, metavar="N", help="score at most this many chunks (all)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads (as many as there are cores)")
    parser.add_argument("--json", action="store_true", help="value, standard error, tokens and chunks as JSON")


def run(options: argparse.Namespace) -> int:
    """Score the text. The value alone goes to standard output."""
    from smolforge.cli.models import find_model
    from smolforge.cli.options import positive
    from smolforge.cli.progress import progress
    from smolforge.engine.loaded import open_model
    from smolforge.evaluate.perplexity import perplexity

    positive(options, "n_ctx", "chunks", "threads")
    text = _read(options.file)
    path = find_model(options.model)
    with progress(f"first use of {path.name}", "%") as shown:
        model = open_model(
            path, threads=options.threads, progress=lambda share, what: shown.update(share * 100, 100, what)
        )
    tokens = model.codec.encode_text([text])[0]
    with progress("perplexity", "chunks") as shown:
        found = perplexity(
            model, tokens, options.n_ctx, chunks=options.chunks,
            report=lambda done, of, value: shown.update(done, of, f"{value:.4f} so far"),
        )  # fmt: skip
    if options.json:
        print(json.dumps({**vars(found), "n_ctx": options.n_ctx, "model": str(path)}))
        return 0
    print(
        f"± {found.error:.4f}; {found.tokens} tokens scored in {found.chunks} chunks of {options.n_ctx}",
        file=sys.stderr,
    )
    print(f"{found.value:.4f}")
    return 0


def _read(file: Path) -> str:
    from smolforge.cli.main import read_input
    from smolforge.errors import DataError

    if str(file) == "-":
        return read_input()
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text (byte {error.start})") from None
