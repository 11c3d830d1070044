"""The table of stages: what each is called, where its configuration and its function live, and what it reads.

The loader, the runner and the dry run read this table; nothing else knows the stages. Configuration classes and
functions are named by import string and resolved only when needed, so reading a recipe imports no heavy package.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from smolforge.errors import ConfigError, nearest
from smolforge.store import Config


@dataclass(frozen=True)
class Stage:
    """One row. ``requires`` must be in the recipe; ``uses`` are read where the recipe has them; of ``follows`` the
    first that the recipe has is the model to go on from. ``version`` is raised whenever the same configuration would
    write different files. ``takes_model``: the recipe's ``model`` section becomes the configuration's ``model``."""

    name: str
    config: str
    run: str
    requires: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    version: str = "1"
    takes_model: bool = False

    def config_class(self) -> type[Config]:
        """Import and return the configuration class."""
        found = resolve(self.config)
        if not (isinstance(found, type) and issubclass(found, Config)):
            raise TypeError(f"{self.config} is not a smolforge.store.Config")
        return found

    def inputs(self, present: Collection[str]) -> list[str]:
        """Return the stages among ``present`` whose artifacts this one is given."""
        follow = next((name for name in self.follows if name in present), None)
        wanted = [*self.requires, *self.uses, *([follow] if follow else [])]
        return list(dict.fromkeys(name for name in wanted if name in present))


def resolve(path: str) -> Any:
    """Return the object named by "package.module:name"."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


_TRAIN = "smolforge.train.config:TrainConfig"
_TRAIN_RUN = "smolforge.train.stage:run"
_DATA = ("tokenize", "tokenizer")
_MODELS = ("pretrain", "long_context", "midtrain", "sft", "preference")
_EVERYTHING = ("corpus", "synthesize", "tokenizer", "tokenize", *_MODELS, "merge")

STAGES: tuple[Stage, ...] = (
    Stage("corpus", "smolforge.corpus.config:CorpusConfig", "smolforge.corpus.stage:run", version="2"),
    Stage(
        "synthesize",
        "smolforge.corpus.synthesize.config:SynthesizeConfig",
        "smolforge.recipe.generators:run",
        uses=("corpus",),
        version="2",
    ),
    Stage(
        "tokenizer",
        "smolforge.tokens.config:TokenizerConfig",
        "smolforge.tokens.tokenizer_stage:run",
        requires=("corpus",),
        uses=("synthesize",),
        version="2",
    ),
    Stage(
        "tokenize",
        "smolforge.tokens.config:TokenizeConfig",
        "smolforge.tokens.tokenize_stage:run",
        requires=("corpus", "tokenizer"),
        uses=("synthesize",),
    ),
    Stage("pretrain", _TRAIN, _TRAIN_RUN, requires=_DATA, takes_model=True),
    Stage("long_context", _TRAIN, _TRAIN_RUN, requires=_DATA, follows=_MODELS[:1]),
    Stage("midtrain", _TRAIN, _TRAIN_RUN, requires=_DATA, follows=_MODELS[1::-1]),
    Stage("sft", _TRAIN, _TRAIN_RUN, requires=_DATA, follows=_MODELS[2::-1]),
    Stage("preference", "smolforge.train.config:PreferenceConfig", _TRAIN_RUN, requires=_DATA, follows=_MODELS[3::-1]),
    Stage(
        "merge",
        "smolforge.train.config:MergeConfig",
        "smolforge.train.merge_stage:run",
        requires=("tokenizer", "preference"),
        uses=_MODELS,
    ),
    Stage("evaluate", "smolforge.evaluate.config:EvaluateConfig", "smolforge.evaluate.stage:run", uses=_EVERYTHING),
    Stage("export", "smolforge.export.config:ExportConfig", "smolforge.export.stage:run", uses=_EVERYTHING),
    Stage(
        "report",
        "smolforge.recipe.report.config:ReportConfig",
        "smolforge.recipe.report.stage:run",
        uses=(*_EVERYTHING, "evaluate", "export"),
    ),
)


def stage_named(name: str, stages: Sequence[Stage] = STAGES) -> Stage:
    """Return the row called ``name``; ConfigError with the nearest name."""
    for stage in stages:
        if stage.name == name:
            return stage
    names = [stage.name for stage in stages]
    raise ConfigError(f"there is no stage '{name}'{nearest(name, names)}; stages: {', '.join(names)}")
