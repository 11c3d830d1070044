"""`smolforge corpus plan`: how much of each source every phase would eat, how often, and what cannot be."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smolforge.recipe.schema import Recipe


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("recipe", type=Path, help="a recipe file, e.g. recipes/3b.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="change the recipe before planning")
    parser.add_argument(
        "--unimax", type=float, metavar="TOKENS",
        help="instead, suggest weights that read all languages alike within so many tokens (UniMax)",
    )  # fmt: skip
    parser.add_argument("--max-epochs", type=float, default=4.0, help="with --unimax: read none more often (4)")
    parser.add_argument("--sources", default="text-*", metavar="PATTERN", help="with --unimax: which sources (text-*)")
    parser.add_argument("--json", action="store_true", help="the plan as JSON")


def run(options: argparse.Namespace) -> int:
    """Load the recipe, plan, and print: 0 when every phase can be read, 2 otherwise."""
    from smolforge.errors import ConfigError
    from smolforge.recipe.load import load_recipe
    from smolforge.recipe.mixture import mixture_plan, sizes
    from smolforge.recipe.mixture_text import render

    recipe = load_recipe(options.recipe, options.overrides)
    if options.unimax is not None:
        return _suggest(recipe, options)
    plan, (_, origin) = mixture_plan(recipe), sizes(recipe)
    if options.json:
        print(json.dumps({"sizes": origin, **plan.as_json()}, indent=2, ensure_ascii=False))
    else:
        print(render(plan, origin))
    if plan.problems:
        raise ConfigError(f"{recipe.source}: {len(plan.problems)} problems, the first: {plan.problems[0]}")
    return 0


def _suggest(recipe: Recipe, options: argparse.Namespace) -> int:
    """Print a mixture that gives every language the same, but none too often."""
    from smolforge.errors import ConfigError
    from smolforge.recipe.mixture import sizes
    from smolforge.tokens.epoch_caps import unimax
    from smolforge.tokens.mixture import named_shards

    known, _ = sizes(recipe)
    chosen = {name: known[name] for name in named_shards(options.sources, known)}
    if not chosen:
        raise ConfigError(
            f"--sources {options.sources}: no source of that name has a size; run the recipe up to tokenize, or state "
            f"plan.tokens (known: {', '.join(sorted(known)) or 'none'})"
        )
    parts = unimax(chosen, options.unimax, options.max_epochs)
    total = sum(parts.values())
    weights = {name: round(part / total, 6) for name, part in parts.items()}
    if total < options.unimax * (1 - 1e-9):
        print(f"{options.max_epochs:g} epochs of all sources are {total:,.0f} tokens, less than asked", file=sys.stderr)
    if options.json:
        print(json.dumps({"tokens": parts, "weights": weights}, indent=2))
    else:
        print("mixture:")
        for name, weight in weights.items():
            print(f"  {name}: {weight:.6f}  # {parts[name]:,.0f} tokens, {parts[name] / chosen[name]:.2f} epochs")
    return 0
