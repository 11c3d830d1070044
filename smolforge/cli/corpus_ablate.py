"""`smolforge corpus ablate`: train a small model on two corpora or mixtures and say which predicts better."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smolforge.recipe.ablate import Ablation, Name, Side
    from smolforge.store import Artifact

VERDICTS = {
    "a": "{a} is better than {b}: its loss is lower by {amount:.4f} bits per byte ({low:.4f} to {high:.4f})",
    "b": "{b} is better than {a}: its loss is lower by {amount:.4f} bits per byte ({low:.4f} to {high:.4f})",
    "open": "no difference is shown: an interval of {a} − {b} holds 0 ({low:+.4f} to {high:+.4f} over documents)",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("recipe", type=Path, help="a recipe with corpus, tokenizer, tokenize and pretrain")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="change the recipe for both sides")
    for name in ("a", "b"):
        parser.add_argument(
            f"--{name}", nargs="+", default=[], metavar="key=value",
            help=f"what side {name} changes, or the folder of a finished corpus (one with kept/)",
        )  # fmt: skip
        parser.add_argument(f"--name-{name}", default=name, metavar="NAME", help=f"what side {name} is called")
    parser.add_argument("--seeds", type=int, default=3, help="how many times each side is trained (3)")
    parser.add_argument(
        "--judge", default="b", metavar="a|b|FOLDER",
        help="the side, or the finished corpus, whose held-out documents measure both; neither trains on them (b)",
    )  # fmt: skip
    parser.add_argument("--held-out-bytes", type=int, default=150_000, help="text of each language to measure on")
    parser.add_argument("--json", action="store_true", help="events as JSON lines on stderr, the result on stdout")


def run(options: argparse.Namespace) -> int:
    """Run the ablation and print its table."""
    from smolforge.recipe.ablate import ablate
    from smolforge.recipe.ablation_score import AblationScoreConfig
    from smolforge.recipe.display import choose_display

    sides: dict[Name, Side] = {
        "a": _side(options, options.name_a, options.a),
        "b": _side(options, options.name_b, options.b),
    }
    result = ablate(
        sides, sides["a"].recipe.output, choose_display(options.json), seeds=options.seeds, judge=_judge(options.judge),
        score=AblationScoreConfig(held_out_bytes=options.held_out_bytes),
    )  # fmt: skip
    print(json.dumps(result.as_json(), indent=2, ensure_ascii=False) if options.json else render(result))
    return 0


def _judge(word: str) -> Name | Artifact:
    from smolforge.recipe.ablate import SIDES
    from smolforge.store import Artifact

    for side in SIDES:
        if word == side:
            return side
    return Artifact.open(Path(word).expanduser().resolve())


def _side(options: argparse.Namespace, title: str, words: Sequence[str]) -> Side:
    """Read the recipe as one side does; a word without '=' is the folder of a finished corpus."""
    from smolforge.errors import ConfigError
    from smolforge.recipe.ablate import Side
    from smolforge.recipe.load import load_recipe
    from smolforge.store import Artifact

    folders = [Path(word).expanduser() for word in words if "=" not in word]
    if len(folders) > 1:
        raise ConfigError(f"side {title}: {len(folders)} folders of corpora; give one")
    recipe = load_recipe(options.recipe, [*options.overrides, *(word for word in words if "=" in word)])
    return Side(title, recipe, Artifact.open(folders[0].resolve()) if folders else None)


def render(result: Ablation) -> str:
    """Return the table and the verdict."""
    from smolforge.cli.table import count_text, render, size_text

    everything = result.losses["all"]
    lines = [
        f"{count_text(result.tokens)} tokens a side, seeds {', '.join(map(str, result.seeds))}; measured on "
        f"{everything.documents} held-out documents ({size_text(everything.bytes)}) that neither side trained on"
    ]
    for name, counts in result.text.items():
        lines.append(
            f"{result.titles[name]}: {counts['kept']:,} documents, {size_text(counts['kept_bytes'])} to train on; "
            f"{counts['overlapping']:,} left out because they overlap with held-out text"
        )
    heads = [
        "bits per byte",
        result.titles["a"],
        result.titles["b"],
        "difference",
        "documents and seeds",
        "seeds alone",
    ]
    rows = [
        [name, f"{loss.a:.4f}", f"{loss.b:.4f}", f"{loss.difference:+.4f}", f"{loss.low:+.4f} … {loss.high:+.4f}",
         "–" if loss.seeds_low is None else f"{loss.seeds_low:+.4f} … {loss.seeds_high:+.4f}"]
        for name, loss in result.losses.items()
    ]  # fmt: skip
    low, high = everything.low, everything.high
    if result.verdict == "a":
        low, high = -high, -low
    verdict = VERDICTS[result.verdict].format(
        a=result.titles["a"], b=result.titles["b"], amount=abs(everything.difference), low=low, high=high
    )
    return "\n".join([*lines, "", render(heads, rows, right={1, 2, 3, 4, 5}), "", verdict])
