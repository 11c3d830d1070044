"""`smolforge corpus retune`: what other limits would drop of a finished corpus, which stays as it is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smolforge.corpus.config import CorpusConfig
    from smolforge.corpus.rules.retune import Retuned

_HEADINGS = ["step", "reason", "documents before", "after", "newly dropped", "bytes before", "after", "newly dropped"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verb's arguments."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a finished corpus, or a run that has one")
    parser.add_argument("--rules", metavar="FOLDER", help="rule profiles to try, as the recipe's corpus.rules")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another limit, as below the recipe's corpus, e.g. language.confidence=0.7 or quality.top=0.5",
    )
    parser.add_argument("--json", action="store_true", help="the table as JSON")


def run(options: argparse.Namespace) -> int:
    """Judge again, show before and after."""
    from smolforge.cli.corpus_folder import corpus_folder
    from smolforge.corpus.rules.retune import retune
    from smolforge.store import Artifact
    from smolforge.store.artifact import MANIFEST

    folder = corpus_folder(options.folder)
    manifest = Artifact.open(folder).manifest if (folder / MANIFEST).is_file() else None
    config = changed(manifest.config if manifest else {}, options.rules, options.set)
    found = retune(folder, config, manifest.seed if manifest else 0)
    if options.json:
        print(json.dumps([row.as_json() for row in found], indent=1, ensure_ascii=False))
        return 0
    print(table(found))
    print(
        "before: the limits of the finished stage; near dedup and byte budgets are not computed anew", file=sys.stderr
    )
    return 0


def changed(config: dict[str, Any], rules: str | None, pairs: Sequence[str]) -> CorpusConfig:
    """Return a stage's configuration with other values. ConfigError names the key, and the nearest valid one."""
    from pydantic import ValidationError

    from smolforge.corpus.config import CorpusConfig
    from smolforge.errors import ConfigError, nearest
    from smolforge.recipe.explain import dotted, models_at

    values: dict[str, Any] = json.loads(json.dumps(config))
    for pair in [*([f"rules={json.dumps(rules)}"] if rules else []), *pairs]:
        key, _, text = pair.partition("=")
        *above, last = key.split(".")
        inside = values
        for part in above:
            if not isinstance(inside.get(part), dict):
                inside[part] = {}
            inside = inside[part]
        inside[last] = _value(text)
    try:
        return CorpusConfig.model_validate(values)
    except ValidationError as error:
        mistakes = error.errors()
        first = next((each for each in mistakes if each["type"] == "extra_forbidden"), mistakes[0])
        place, said = dotted(first["loc"]), first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = {name for model in models_at(CorpusConfig, first["loc"][:-1]) for name in model.model_fields}
            said = f"unknown key{nearest(str(first['loc'][-1]), sorted(known))}"
        raise ConfigError(f"--set: corpus.{place}: {said}") from None


def _value(text: str) -> Any:
    """Return a JSON value, or else the words as they stand."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def table(rows: Sequence[Retuned]) -> str:
    """Return the rows as text, with a line of totals."""
    from smolforge.cli.table import render, size_text

    cells = [
        [row.step, row.reason, *(f"{n:,}" for n in (row.then, row.now, row.fresh)),
         *(size_text(n) for n in (row.then_bytes, row.now_bytes, row.fresh_bytes))]
        for row in rows
    ]  # fmt: skip
    names = ("then", "now", "fresh", "then_bytes", "now_bytes", "fresh_bytes")
    totals = {name: sum(getattr(row, name) for row in rows) for name in names}
    counts = [f"{totals[name]:,}" for name in names[:3]] + [size_text(totals[name]) for name in names[3:]]
    return render(_HEADINGS, [*cells, ["all", "", *counts]], right=range(2, 8))
