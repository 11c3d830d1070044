"""Everything the report shows, read from finished artifacts: manifests and the few files beside them it knows.

Input: the artifacts of a run. Output: ``Gathered``. A stage the recipe does not have, or a file a stage did not write,
is simply absent; a torn file is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from smolforge.errors import DataError
from smolforge.store import Artifact, read_json

TRAINING_STAGES = ("pretrain", "long_context", "midtrain", "sft", "preference")
STAGE_ORDER = ("corpus", "synthesize", "tokenizer", "tokenize", *TRAINING_STAGES, "merge", "evaluate", "export")


@dataclass(frozen=True)
class Gathered:
    """The artifacts of a run by stage name."""

    artifacts: Mapping[str, Artifact]

    def file(self, stage: str, name: str) -> Any | None:
        """Return the JSON value of a stage's file, or None where stage or file is missing."""
        if stage not in self.artifacts:
            return None
        path = self.artifacts[stage].path / name
        return read_json(path) if path.is_file() else None

    @property
    def stages(self) -> list[str]:
        """The stages that are there, in running order."""
        return [name for name in STAGE_ORDER if name in self.artifacts]

    @cached_property
    def logs(self) -> dict[str, list[dict[str, Any]]]:
        """Return the rows of each training stage's log, stages in running order, empty logs left out."""
        logs = {stage: self._log(stage) for stage in TRAINING_STAGES if stage in self.artifacts}
        return {stage: rows for stage, rows in logs.items() if rows}

    def _log(self, stage: str) -> list[dict[str, Any]]:
        path = self.artifacts[stage].path / "log.jsonl"
        if not path.is_file():
            return []
        rows = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DataError(f"{path}:{number}: not valid JSON ({error})") from None
        return rows

    @cached_property
    def results(self) -> dict[str, Any]:
        """The evaluation's results, or an empty object."""
        return self.file("evaluate", "results.json") or {}

    @cached_property
    def exports(self) -> list[dict[str, Any]]:
        """The export's table, or an empty list."""
        return self.file("export", "exports.json") or []

    @cached_property
    def call_sets(self) -> dict[str, dict[str, Any]]:
        """Set name → decoding → summary, of the model that is judged."""
        by_model: dict[str, dict[str, Any]] = self.results.get("calls", {})
        return by_model.get(self.results.get("subject", ""), {})

    @cached_property
    def libraries(self) -> dict[str, str]:
        """Versions of every library any stage used."""
        merged: dict[str, str] = {}
        for stage in self.stages:
            merged.update(self.artifacts[stage].manifest.libraries)
        return dict(sorted(merged.items(), key=lambda pair: (pair[0] != "python", pair[0])))

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved configuration of every stage, from the manifests."""
        return {stage: self.artifacts[stage].manifest.config for stage in self.stages}

    def cost(self, stage: str) -> dict[str, Any]:
        """What a stage cost: wall_s, cpu_s, energy_j, peak_rss_bytes and how energy was measured."""
        return self.artifacts[stage].manifest.cost
