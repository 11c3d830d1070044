"""`smolforge corpus label`: ask a generator how much pages teach; the pages with each score go to stdout."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verb's arguments."""
    parser.add_argument("documents", type=Path, metavar="FOLDER", help="document tables, like a corpus stage's 'kept'")
    parser.add_argument("--endpoint", required=True, metavar="URL", help="an OpenAI-compatible server, http://.../v1")
    parser.add_argument("--model", required=True, help="its name for the model that is asked")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=".parquet, .jsonl or .csv to write")
    parser.add_argument("--sample", type=int, default=1000, metavar="N", help="documents of each language (1000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other documents")
    parser.add_argument("--key-variable", metavar="NAME", help="environment variable that holds the server's key")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="requests at a time (4)")
    parser.add_argument("--plain", action="store_true", help="do not ask for answers in the form of a JSON schema")
    parser.add_argument("--retry-failed", action="store_true", help="ask again about documents that failed before")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="kept answers (the output's name with .replies)")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")


def run(options: argparse.Namespace) -> int:
    """Ask, write the table, show how many documents have each score."""
    from smolforge.cli.options import positive
    from smolforge.corpus.scoring.label import label, sample, write_labels
    from smolforge.corpus.synthesize.endpoint import open_client
    from smolforge.store.tables import suffix

    positive(options, "sample", "parallel")
    suffix(options.output)
    cache = options.cache or options.output.with_name(options.output.name + ".replies")
    with open_client(_endpoint(options), cache) as client:
        rows = sample(options.documents, options.sample, options.seed)
        tally = write_labels(options.output, label(rows, client, held=not options.plain))
        asked = client.asked
    if options.json:
        print(json.dumps({"scores": tally.scores, "failed": tally.failed, "asked": asked}))
    else:
        print("score  documents")
        print("\n".join(f"{score:>5}  {count}" for score, count in enumerate(tally.scores)))
    print(f"{asked} requests, the other answers were kept in {cache}; {tally.failed} documents failed", file=sys.stderr)
    print(f"wrote {options.output}; next: smolforge corpus train-quality {options.output} --label score --at-least 3",
          file=sys.stderr)  # fmt: skip
    return 0


def _endpoint(options: argparse.Namespace):  # type: ignore[no-untyped-def]
    from pydantic import ValidationError

    from smolforge.corpus.synthesize.endpoint import EndpointConfig
    from smolforge.errors import ConfigError

    try:
        return EndpointConfig(
            model=options.model, base_url=options.endpoint, key_variable=options.key_variable,
            concurrency=options.parallel, retry_failed=options.retry_failed,
        )  # fmt: skip
    except ValidationError as error:
        raise ConfigError(f"--endpoint: {error.errors()[0]['msg']}") from None
