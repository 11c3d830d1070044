"""`smolforge corpus synthesize`: try a format on some documents before it goes into a recipe; what was kept and why."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smolforge.corpus.synthesize.generated_config import GeneratedConfig

_WITHOUT_ADDRESS = "default"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verb's arguments."""
    parser.add_argument("documents", type=Path, metavar="FOLDER", help="document tables, like a corpus stage's 'kept'")
    parser.add_argument("--format", required=True, help="what is made of a document, e.g. faq, maths, tool_call")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where to write; must be new")
    parser.add_argument("--sample", type=int, default=20, metavar="N", help="documents of each language (20)")
    parser.add_argument("--languages", nargs="+", default=["en"], metavar="CODE", help="of the documents (en)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=JSON", help="another key of the set, e.g. samples=3"
    )
    parser.add_argument(
        "--endpoint", metavar="URL", help="an OpenAI-compatible server, http://.../v1; else in this process"
    )
    parser.add_argument("--model", default=_WITHOUT_ADDRESS, help="a file, a folder, or the server's name for it")
    parser.add_argument("--key-variable", metavar="NAME", help="environment variable that holds the server's key")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="requests at a time (4)")
    parser.add_argument("--retry-failed", action="store_true", help="ask again about what failed before")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other documents")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="kept answers (the output's name with .replies)")
    parser.add_argument("--json", action="store_true", help="the report as JSON, with examples")


def run(options: argparse.Namespace) -> int:
    """Ask, check, write the tables; show what was kept and which checks stopped the rest."""
    from smolforge.cli.options import positive
    from smolforge.corpus.synthesize.generated_stage import run_generated
    from smolforge.errors import ConfigError
    from smolforge.recipe.generators import open_backend
    from smolforge.store import StageContext, read_json

    positive(options, "sample", "parallel")
    config = _config(options)
    if options.output.exists():
        raise ConfigError(
            f"--output: {options.output} is there already; name a new folder (kept answers are found again)"
        )
    options.output.mkdir(parents=True)
    context = StageContext(options.output, {}, options.seed)
    run_generated(config, options.documents, context, open_backend)
    report = read_json(options.output / "generated" / "report.json")
    part = report["sets"][options.format]
    if options.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print(f"kept {part['kept']} of {part['documents']}")
        print("".join(f"{count:>6}  {check}\n" for check, count in part["rejected"].items()), end="")
    print(f"wrote {options.output}/generated: kept, rejected with the evidence, report.json", file=sys.stderr)
    return 0


def _config(options: argparse.Namespace) -> GeneratedConfig:
    from pydantic import ValidationError

    from smolforge.corpus.synthesize.generated_config import GeneratedConfig
    from smolforge.errors import ConfigError

    generator = {
        "model": options.model, "base_url": options.endpoint, "key_variable": options.key_variable,
        "concurrency": options.parallel, "retry_failed": options.retry_failed,
    }  # fmt: skip
    set_: dict[str, Any] = {"format": options.format, "documents": options.sample, "languages": options.languages}
    for pair in options.set:
        key, _, value = pair.partition("=")
        try:
            set_[key] = json.loads(value)
        except ValueError:
            raise ConfigError(f"--set {pair}: expected KEY=JSON, e.g. 'limits={{\"copy_rate\": 0.5}}'") from None
    cache = options.cache or options.output.with_name(options.output.name + ".replies")
    given: dict[str, Any] = {"generator": generator, "cache": cache, "sets": {options.format: set_}}
    try:
        return GeneratedConfig(**given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
