"""`smolforge corpus tokenizers`: what a corpus's languages cost in several tokenizers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MEASURES = {
    "tokens_per_word": "tokens a word",
    "bytes_per_token": "bytes a token",
    "parity": "tokens relative to English",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "corpus", type=Path, help="a recipe whose corpus stage has finished, or the folder of a finished corpus"
    )
    parser.add_argument(
        "tokenizers", nargs="*", metavar="TOKENIZER",
        help="tokenizer.json, a folder with it, a GGUF file, owner/repo in the Hugging Face cache, or "
        "tiktoken:o200k_base; by default the recipe's own and those found on this machine",
    )  # fmt: skip
    parser.add_argument("--bytes", type=int, default=200_000, help="text of each language to measure on (200,000)")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")


def run(options: argparse.Namespace) -> int:
    """Open corpus and tokenizers, measure, and print one table a measure."""
    from smolforge.errors import ConfigError
    from smolforge.tokens.compare import compare, open_encoder
    from smolforge.tokens.inputs import read_jsonl, texts_by_language

    folder, own = _corpus(options.corpus)
    given = dict(zip(_short(options.tokenizers), map(_resolved, options.tokenizers), strict=True))
    names = given or {**own, **dict(_present())}
    if not names:
        raise ConfigError("no tokenizer is here; name one: tokenizer.json, a GGUF file, tiktoken:o200k_base")
    held_out = folder / "held_out"
    text = held_out if any(held_out.glob("part-*.parquet")) else folder / "kept"
    texts = {name: rows for name, rows in texts_by_language(text, None, options.bytes).items() if rows}
    aligned = list(read_jsonl(folder / "aligned.jsonl")) if (folder / "aligned.jsonl").is_file() else []
    result = compare({name: open_encoder(path) for name, path in names.items()}, texts, aligned)
    print(json.dumps(result, indent=2, ensure_ascii=False) if options.json else render(result))
    return 0


def _corpus(path: Path) -> tuple[Path, dict[str, str]]:
    """Return the folder of a finished corpus, and the recipe's tokenizer where it has been trained."""
    from smolforge.errors import ConfigError
    from smolforge.recipe.load import load_recipe
    from smolforge.recipe.runner import finished
    from smolforge.recipe.schema import identify

    if path.is_dir():
        return path, {}
    recipe = load_recipe(path)
    done = {step.stage.name: finished(recipe.output, step) for step in identify(recipe)}
    corpus, tokenizer = done.get("corpus"), done.get("tokenizer")
    if corpus is None:
        raise ConfigError(f"{path}: its corpus stage has not finished; run it: smolforge run {path} --until corpus")
    return corpus.path, {recipe.header.name: str(tokenizer.path)} if tokenizer else {}


def _short(names: Sequence[str]) -> list[str]:
    """Return what tokenizers are called in tables: the folder's or file's own name, unless two share it."""
    paths = [Path(name) for name in names]
    own = [path.parent.name if path.name == "tokenizer.json" else path.name for path in paths]
    return list(names) if len(set(own)) < len(own) or "" in own else own


def _resolved(name: str) -> str:
    from smolforge.hub.local import local_model
    from smolforge.tokens.compare import TIKTOKEN

    return name if name.startswith(TIKTOKEN) or Path(name).expanduser().exists() else str(local_model(name))


def _present() -> Iterator[tuple[str, str]]:
    """Yield the tokenizers of models on this machine: the bundled one and those of the Hugging Face cache."""
    from smolforge.hub.cache import snapshots
    from smolforge.hub.local import bundled
    from smolforge.hub.places import cache_root

    if (file := bundled()) is not None:
        yield file.stem, str(file)
    if cache_root().is_dir():
        for snapshot in snapshots(cache_root()):
            if (snapshot.path / "tokenizer.json").is_file():
                yield snapshot.id, str(snapshot.path)


def render(result: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table a measure, tokenizers as columns, and one of the vocabularies."""
    from smolforge.cli.table import render as table

    names = list(result)
    languages = sorted({language for row in result.values() for language in row["languages"]})
    right = set(range(1, len(names) + 1))
    parts = []
    for key, title in MEASURES.items():
        rows = [
            [code, *(_cell(result[name]["languages"].get(code, {}).get(key)) for name in names)] for code in languages
        ]
        shown = [row for row in rows if any(cell != "–" for cell in row[1:])]
        if shown:
            parts.append(table([title, *names], shown, right))
    rows = [
        ["ids", *(f"{result[name]['vocab_size']:,}" for name in names)],
        ["worst parity", *(_cell(result[name]["worst_parity"]) for name in names)],
        ["unused ids", *(_percent(result[name].get("unused")) for name in names)],
        ["Rényi efficiency", *(_cell(result[name].get("renyi_efficiency")) for name in names)],
    ]
    return "\n\n".join([*parts, table(["vocabulary", *names], rows, right)])


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
