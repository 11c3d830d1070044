"""`smolforge run`: go through a recipe. The report's path, and nothing else, goes to standard output."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("recipe", type=Path, help="a recipe file, e.g. recipes/nano.yaml")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="change the recipe: sft.phases.0.steps=10, corpus.sources+=~/notes",
    )
    parser.add_argument("--until", metavar="STAGE", help="stop after this stage")
    parser.add_argument("--from", dest="from_stage", metavar="STAGE", help="run this stage and what follows again")
    parser.add_argument("--dry-run", action="store_true", help="check the recipe and print the plan; run nothing")
    parser.add_argument("--json", action="store_true", help="events as JSON lines on stderr, the result on stdout")


def run(options: argparse.Namespace) -> int:
    """Run the recipe, or only plan it."""
    from smolforge.recipe.display import choose_display
    from smolforge.recipe.load import load_recipe
    from smolforge.recipe.plan import check
    from smolforge.recipe.process import StageCrash
    from smolforge.recipe.runner import run_recipe

    recipe = load_recipe(options.recipe, options.overrides)
    if options.dry_run:
        from smolforge.cli.plan_verb import show

        return show(recipe, options.json)
    check(recipe)
    try:
        result = run_recipe(recipe, choose_display(options.json), options.until, options.from_stage)
    except StageCrash as crash:
        print(crash, file=sys.stderr)
        return 1
    last = list(result.artifacts.values())[-1].path if result.artifacts else result.output
    if options.json:
        stages = {name: str(artifact.path) for name, artifact in result.artifacts.items()}
        print(json.dumps({"report": str(result.report or ""), "stages": stages, "cached": result.cached}))
    else:
        print(result.report or last)
    return 0
