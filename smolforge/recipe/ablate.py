"""Ablation: two corpora or mixtures, one budget, one tokenizer, one held-out text, several seeds; which loses less?

Input: two readings of a recipe (side a and side b) or finished corpora. Output: the comparison; every stage of it is an
artifact like those of a run, so what is unchanged is found again and an interrupted ablation goes on where it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smolforge.errors import ConfigError
from smolforge.evaluate.paired_loss import PairedLoss, paired_loss
from smolforge.recipe.ablation_score import SCORES, AblationScoreConfig
from smolforge.recipe.ablation_text import AblationTextConfig
from smolforge.recipe.display import Display
from smolforge.recipe.lock import hold
from smolforge.recipe.mixture import demands
from smolforge.recipe.runner import go_through
from smolforge.recipe.schema import Recipe, make_step
from smolforge.recipe.stages import Stage, stage_named
from smolforge.store import Artifact, Config, digest_json, read_json, write_json

Name = Literal["a", "b"]
SIDES: tuple[Name, Name] = ("a", "b")
TEXT = Stage(
    "ablation_text", f"{AblationTextConfig.__module__}:AblationTextConfig", f"{AblationTextConfig.__module__}:run"
)
SCORE = Stage(
    "ablation_score", f"{AblationScoreConfig.__module__}:AblationScoreConfig", f"{AblationScoreConfig.__module__}:run"
)
NEEDED = ("tokenizer", "tokenize", "pretrain")


@dataclass(frozen=True)
class Side:
    """One side: what it is called, the recipe as it reads it, and a finished corpus to use instead of the recipe's."""

    title: str
    recipe: Recipe
    corpus: Artifact | None = None


@dataclass(frozen=True)
class Ablation:
    """The result: ``losses`` by language, ``all`` together; ``text`` says what each side trained on."""

    titles: Mapping[Name, str]
    tokens: int
    seeds: tuple[int, ...]
    losses: Mapping[str, PairedLoss]
    text: Mapping[Name, Mapping[str, Any]]
    artifacts: Mapping[str, str]

    @property
    def verdict(self) -> Literal["a", "b", "open"]:
        """Which side is better over all held-out text."""
        return self.losses["all"].verdict

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "verdict": self.verdict, "titles": dict(self.titles), "tokens": self.tokens, "seeds": list(self.seeds),
            "losses": {name: loss.as_json() for name, loss in self.losses.items()},
            "text": {name: dict(counts) for name, counts in self.text.items()}, "artifacts": dict(self.artifacts),
        }  # fmt: skip


def budget(recipe: Recipe) -> int:
    """Return the tokens that pretraining reads."""
    return round(math.fsum(demand.tokens for demand in demands(recipe) if demand.stage == "pretrain"))


def check_sides(sides: Mapping[Name, Side]) -> int:
    """Return the common token budget; ConfigError where the sides cannot be compared."""
    for side in sides.values():
        absent = [name for name in NEEDED if name not in side.recipe.sections]
        if absent or (side.corpus is None and "corpus" not in side.recipe.sections):
            raise ConfigError(f"{side.recipe.source}: an ablation needs the stage '{(absent or ['corpus'])[0]}'")
    budgets = {name: budget(side.recipe) for name, side in sides.items()}
    if budgets["a"] != budgets["b"]:
        raise ConfigError(
            f"side a trains on {budgets['a']:,} tokens and side b on {budgets['b']:,}; give both the same steps, "
            "batch and sequence length"
        )
    return budgets["a"]


class _Run:
    """Steps of an ablation, gone through one by one in one output folder."""

    def __init__(self, output: Path, display: Display, lock: int, total: int) -> None:
        self.output, self.display, self.lock, self.total, self.number = output, display, lock, total, 0
        self.artifacts: dict[str, str] = {}

    def step(self, label: str, stage: Stage, config: Config, inputs: Mapping[str, Artifact], seed: int) -> Artifact:
        """Run one stage, or find it finished. ``label`` is what people see."""
        step = make_step(stage, config, {name: each.manifest.id for name, each in inputs.items()}, seed)
        self.number += 1
        self.display.begin(label, self.number, self.total, step.id)
        artifact, _ = go_through(step, inputs, self.output, self.display, self.lock)
        self.artifacts[label] = str(artifact.path)
        return artifact


def ablate(
    sides: Mapping[Name, Side], output: Path, display: Display, *, seeds: int = 3, judge: Name | Artifact = "b",
    score: AblationScoreConfig | None = None,
) -> Ablation:  # fmt: skip
    """Train both sides and compare them. ``judge``: the side, or the corpus, whose held-out documents measure both.

    The tokenizer is side a's: what it favours, if anything, is the baseline. ConfigError as ``check_sides``.
    """
    tokens = check_sides(sides)
    if seeds < 1:
        raise ConfigError(f"--seeds {seeds}: expected at least 1")
    base = sides["a"].recipe
    synthesized = "synthesize" in base.sections
    total = sum(side.corpus is None for side in sides.values()) + synthesized + 5 + 4 * seeds
    with hold(output) as lock:
        run = _Run(output, display, lock, total)
        try:
            return _compare(run, sides, tokens, seeds, judge, score or AblationScoreConfig())
        finally:
            display.close()


def _compare(
    run: _Run, sides: Mapping[Name, Side], tokens: int, seeds: int, judge: Name | Artifact, score: AblationScoreConfig
) -> Ablation:
    base = sides["a"].recipe
    seed, sections = base.header.seed, base.sections
    corpora = {name: _corpus(run, name, side) for name, side in sides.items()}
    judges = judge if isinstance(judge, Artifact) else corpora[judge]
    texts = {
        name: run.step(f"text {name}", TEXT, AblationTextConfig(), {"corpus": each, "held_out": judges}, seed)
        for name, each in corpora.items()
    }
    common: dict[str, Artifact] = {}
    if "synthesize" in sections:
        stage = stage_named("synthesize")
        common["synthesize"] = run.step("synthesize", stage, sections["synthesize"], {"corpus": corpora["a"]}, seed)
    learned = {"corpus": texts["a"], **common}
    common["tokenizer"] = run.step("tokenizer", stage_named("tokenizer"), sections["tokenizer"], learned, seed)
    data = {name: _tokenized(run, name, side, {"corpus": texts[name], **common}) for name, side in sides.items()}
    scores: dict[Name, list[list[dict[str, Any]]]] = {name: [] for name in sides}
    for k in range(seeds):  # both sides of a seed together: an ablation that is stopped can end with fewer seeds
        for name, side in sides.items():
            scores[name].append(_trained(run, name, side, data[name], score, seed + k))
    text = {name: each.manifest.counts for name, each in texts.items()}
    titles = {name: side.title for name, side in sides.items()}
    result = Ablation(titles, tokens, tuple(range(seed, seed + seeds)), _losses(scores), text, run.artifacts)
    key = digest_json([sorted(run.artifacts.values()), titles])[:16]
    write_json(run.output / "ablations" / f"{key}.json", result.as_json())
    return result


def _corpus(run: _Run, name: Name, side: Side) -> Artifact:
    if side.corpus is not None:
        return side.corpus
    recipe = side.recipe
    return run.step(f"corpus {name}", stage_named("corpus"), recipe.sections["corpus"], {}, recipe.header.seed)


def _tokenized(run: _Run, name: Name, side: Side, inputs: dict[str, Artifact]) -> dict[str, Artifact]:
    """Return what training and scoring of a side read."""
    config, seed = side.recipe.sections["tokenize"], side.recipe.header.seed
    tokenized = run.step(f"tokenize {name}", stage_named("tokenize"), config, inputs, seed)
    return {"tokenize": tokenized, "tokenizer": inputs["tokenizer"], "corpus": inputs["corpus"]}


def _trained(
    run: _Run, name: Name, side: Side, data: Mapping[str, Artifact], score: AblationScoreConfig, seed: int
) -> list[dict[str, Any]]:
    """Train a side under one seed and return the rows of its scores."""
    config: Any = side.recipe.sections["pretrain"]
    inputs = {key: data[key] for key in ("tokenize", "tokenizer")}
    model = run.step(f"pretrain {name}, seed {seed}", stage_named("pretrain"), config, inputs, seed)
    judged = {"pretrain": model, "tokenizer": data["tokenizer"], "corpus": data["corpus"]}
    window = max(phase.sequence_length or config.sequence_length for phase in config.phases)
    score = score.model_copy(update={"window": window})
    rows: list[dict[str, Any]] = read_json(
        run.step(f"score {name}, seed {seed}", SCORE, score, judged, seed).path / SCORES
    )
    return rows


def _losses(scores: Mapping[Name, list[list[dict[str, Any]]]]) -> dict[str, PairedLoss]:
    """Compare the sides over all documents and by language."""
    rows = scores["a"][0]
    languages = sorted({row["language"] for row in rows})
    losses = {}
    for name in ("all", *languages):
        chosen = [i for i, row in enumerate(rows) if name in ("all", row["language"])]
        bits = {side: [[table[i]["bits"] for i in chosen] for table in scores[side]] for side in SIDES}
        sizes, groups = [rows[i]["bytes"] for i in chosen], [rows[i]["group"] for i in chosen]
        losses[name] = paired_loss(bits["a"], bits["b"], sizes, groups)
    return losses
