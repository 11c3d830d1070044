"""Run a recipe: skip what is finished, run the rest in order, each stage in its own process, and keep the manifests.

Input is a Recipe; output is ``<output>/artifacts/<stage>-<id>/`` per stage and ``<output>/run.json``, which says which
of them make up the run. Kill it at any moment and run it again: nothing unfinished ever stands in ``artifacts/``.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smolforge.errors import ConfigError, nearest
from smolforge.recipe.display import Display
from smolforge.recipe.lock import hold
from smolforge.recipe.process import cost_file, run_stage
from smolforge.recipe.schema import Recipe, Step, identify
from smolforge.store import Artifact, Manifest, write_json
from smolforge.store.artifact import MANIFEST, finish, publish

RUN_FILE = "run.json"


@dataclass
class RunResult:
    """What a run left: the finished folder of every stage, and which of them were there already."""

    output: Path
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    cached: list[str] = field(default_factory=list)

    @property
    def report(self) -> Path | None:
        """The report's page, if the run got that far."""
        page = self.artifacts["report"].path / "report.html" if "report" in self.artifacts else None
        return page if page and page.is_file() else None


def select(recipe: Recipe, until: str | None, from_stage: str | None) -> tuple[list[Step], set[str]]:
    """Return the steps to go through, and the names of those to run again although they are finished."""
    steps = identify(recipe)
    names = [step.stage.name for step in steps]
    for option, name in (("--until", until), ("--from", from_stage)):
        if name is not None and name not in names:
            raise ConfigError(f"{option}: the recipe has no stage '{name}'{nearest(name, names)}; it has {names}")
    if until is not None:
        steps = steps[: names.index(until) + 1]
        if from_stage is not None and from_stage not in names[: len(steps)]:
            raise ConfigError(f"--from {from_stage} comes after --until {until}")
    again = {from_stage} if from_stage else set[str]()
    for step in steps:
        if again & set(step.inputs):
            again.add(step.stage.name)
    return steps, again


def run_recipe(recipe: Recipe, display: Display, until: str | None = None, from_stage: str | None = None) -> RunResult:
    """Run the recipe and return what it left. Raises StageError when a stage fails; finished stages stay."""
    refuse_unfetched(recipe)
    steps, again = select(recipe, until, from_stage)
    with hold(recipe.output) as lock:
        result = RunResult(recipe.output)
        try:
            for number, step in enumerate(steps, 1):
                display.begin(step.stage.name, number, len(recipe.sections), step.id)
                name = step.stage.name
                inputs = {given: result.artifacts[given] for given in step.inputs}
                artifact, cached = go_through(step, inputs, result.output, display, lock, again=name in again)
                result.artifacts[name] = artifact
                result.cached += [name] if cached else []
                _write_run_file(recipe, steps, result)
        finally:
            display.close()
    return result


def finished(output: Path, step: Step) -> Artifact | None:
    """Return the step's finished folder, or None."""
    final = output / "artifacts" / step.folder
    return Artifact.open(final) if (final / MANIFEST).is_file() else None


def refuse_unfetched(recipe: Recipe) -> None:
    """Raise ConfigError when the recipe names public datasets: smolforge runs on files, and downloads none."""
    if recipe.header.datasets:
        paths = sorted({dataset.path for dataset in recipe.header.datasets.values()})
        raise ConfigError(
            f"{recipe.source}: the recipe reads {len(paths)} public datasets that must be fetched first, e.g. "
            f"'hf download {paths[0]} --repo-type dataset'; then list the folders under corpus.sources and remove the "
            "'datasets' section (--dry-run works as it is)"
        )


def go_through(
    step: Step, inputs: Mapping[str, Artifact], output: Path, display: Display, lock: int, *, again: bool = False
) -> tuple[Artifact, bool]:
    """Return the step's finished folder, running the stage where there is none (or ``again``), and whether it was
    there already. ``lock``: the descriptor that ``hold`` gave for ``output``."""
    began, work = time.monotonic(), output / "work" / step.folder
    if again:
        _discard(output, step)
    if (work / MANIFEST).is_file():  # killed between the manifest and the rename
        publish(work, output / "artifacts" / step.folder)
    artifact = finished(output, step)
    if artifact is not None:
        display.end("cached", 0.0)
        return artifact, True
    work.mkdir(parents=True, exist_ok=True)
    try:
        outcome, libraries, cost = run_stage(step, work, inputs, display, lock)
    except BaseException:
        display.end("failed", time.monotonic() - began)
        raise
    manifest = Manifest(
        step.stage.name,
        step.id,
        step.stage.version,
        step.config,
        step.inputs,
        step.seed,
        counts=outcome.counts,
        metrics=outcome.metrics,
        libraries=libraries,
        cost=cost,
    )
    artifact = finish(work, output / "artifacts" / step.folder, manifest, outcome.resume_only)
    cost_file(work).unlink(missing_ok=True)
    display.end("done", time.monotonic() - began)
    return artifact, False


def _discard(output: Path, step: Step) -> None:
    """Remove what an earlier run of the step left, finished or not; a finished folder leaves its place first."""
    final, work = output / "artifacts" / step.folder, output / "work" / step.folder
    old = work.with_name(work.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    work.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        final.rename(old)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)
    cost_file(work).unlink(missing_ok=True)


def _write_run_file(recipe: Recipe, steps: Sequence[Step], result: RunResult) -> None:
    """Say which folders make up the run so far, and the recipe they were made from."""
    stages = {name: str(artifact.path.relative_to(result.output)) for name, artifact in result.artifacts.items()}
    write_json(
        result.output / RUN_FILE,
        {
            "name": recipe.header.name,
            "recipe": str(recipe.source),
            "overrides": list(recipe.overrides),
            "complete": len(stages) == len(recipe.sections),
            "stages": stages,
            "resolved": recipe.as_dict(),
        },
    )
