"""The typed recipe: its name, where it writes, its seed, its model, its public datasets, and one section per stage.

``load.py`` makes a Recipe from a file and overrides; ``identify`` gives every stage its id, so the runner knows what is
finished already and the dry run can say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, Field

from smolforge.recipe.stages import STAGES, Stage
from smolforge.store import Config, artifact_id


class Dataset(Config):
    """A public dataset that mixtures refer to by name, as published. smolforge downloads nothing: a real run asks for
    its documents as a folder in ``corpus.sources``; the dry run counts epochs where ``tokens`` is stated."""

    path: str
    subset: str | None = None
    rows: int | None = Field(None, gt=0, description="rows before `keep`")
    keep: float = Field(1.0, gt=0, le=1, description="fraction of the rows that is used (a fixed subset)")
    tokens: float | None = Field(None, gt=0, description="tokens of one epoch")
    note: str = ""


class PlanConfig(Config):
    """What the dry run reckons with: the accelerator, how busy it is kept, and what the numbers should come to.

    ``mfu`` is the share of ``peak_tflops`` that useful work reaches; ``watts`` is the power of one accelerator with
    its share of the host. ``expect`` states ``parameters`` or a stage's tokens, checked to one part in a thousand.
    ``tokens``: tokens of one epoch of a source or shard, for plans made before anything was tokenized.
    ``weight_tolerance``: a mixture's sum farther than this from 1 is a mistake; None where weights are only relative.
    """

    accelerator: str = "this CPU"
    peak_tflops: float = Field(1.0, gt=0)
    mfu: float = Field(0.3, gt=0, le=1)
    watts: float = Field(65.0, gt=0)
    memory_gib: float | None = Field(None, gt=0)
    weight_tolerance: float | None = Field(None, ge=0)
    expect: dict[str, float] = Field(default_factory=dict)
    tokens: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)


class Header(Config):
    """The keys of a recipe that belong to no stage."""

    name: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$")
    output: Path | None = None
    seed: int = Field(0, ge=0, lt=2**63)
    about: str = ""
    model: dict[str, Any] | None = None
    datasets: dict[str, Dataset] = Field(default_factory=dict)
    plan: PlanConfig = PlanConfig()


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. ``sections`` holds the stages it has, in running order."""

    header: Header
    sections: Mapping[str, Config]
    source: Path
    stages: Sequence[Stage] = STAGES
    overrides: Sequence[str] = field(default_factory=tuple)

    @property
    def output(self) -> Path:
        """The folder everything is written to: ``output``, or ``runs/<name>``."""
        return (self.header.output or Path("runs") / self.header.name).expanduser()

    def present(self) -> list[Stage]:
        """Return the rows of the stages this recipe has, in running order."""
        return [stage for stage in self.stages if stage.name in self.sections]

    def as_dict(self) -> dict[str, Any]:
        """Return the resolved recipe as a JSON value, defaults filled in."""
        head = self.header.model_dump(mode="json")
        return {**head, "output": str(self.output), **{n: c.model_dump(mode="json") for n, c in self.sections.items()}}


@dataclass(frozen=True)
class Step:
    """A stage with everything its id depends on. ``inputs``: stage name → id. ``job`` is ``config`` with the fields
    that change no byte (how many workers, say), which a configuration class leaves out of its identity."""

    stage: Stage
    id: str
    config: dict[str, Any]
    job: dict[str, Any]
    inputs: dict[str, str]
    seed: int

    @property
    def folder(self) -> str:
        """The name of its folder, in ``work/`` while it runs and in ``artifacts/`` when it is finished."""
        return f"{self.stage.name}-{self.id}"


def identify(recipe: Recipe) -> list[Step]:
    """Give every stage its id: a digest of stage, version, resolved config, seed, ids of inputs, and of whatever the
    config's own ``fingerprint()`` says about things outside the recipe (a folder of documents, package versions)."""
    steps: dict[str, Step] = {}
    for stage in recipe.present():
        inputs = {name: steps[name].id for name in stage.inputs(steps)}
        steps[stage.name] = make_step(stage, recipe.sections[stage.name], inputs, recipe.header.seed)
    return list(steps.values())


def make_step(stage: Stage, config: Config, inputs: dict[str, str], seed: int) -> Step:
    """Return the step of one stage; ``inputs``: the name it knows an input by → that input's id."""
    resolved = config.model_dump(mode="json")
    outside = config.fingerprint() if hasattr(config, "fingerprint") else None
    basis = {"config": resolved, "seed": seed, "outside": cast(Any, outside)}
    key = artifact_id(stage.name, stage.version, basis, inputs)
    return Step(stage, key, resolved, _everything(config), inputs, seed)


def _everything(value: Any) -> Any:
    """Return a configuration as a JSON value with every field, those excluded from dumps too."""
    if isinstance(value, BaseModel):
        return {name: _everything(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {key: _everything(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_everything(item) for item in value]
    return str(value) if isinstance(value, Path) else value
