"""`smolforge plan`: check every number of a recipe and say what it would take (the same as `run --dry-run`)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smolforge.recipe.schema import Recipe


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("recipe", type=Path, help="a recipe file, e.g. recipes/3b.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="change the recipe before planning")
    parser.add_argument("--json", action="store_true", help="the plan as JSON")


def run(options: argparse.Namespace) -> int:
    """Load, check and plan."""
    from smolforge.recipe.load import load_recipe

    return show(load_recipe(options.recipe, options.overrides), options.json)


def show(recipe: Recipe, as_json: bool) -> int:
    """Print the plan to standard output: it is the answer."""
    from smolforge.errors import ConfigError
    from smolforge.recipe.plan import make_plan
    from smolforge.recipe.plan_text import render

    plan = make_plan(recipe)
    print(json.dumps(plan.as_dict(), indent=2, ensure_ascii=False) if as_json else render(plan))
    if plan.problems:
        raise ConfigError(f"{recipe.source}: {len(plan.problems)} problems, the first: {plan.problems[0]}")
    return 0
