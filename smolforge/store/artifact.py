"""Artifacts: a finished stage is a folder whose ``manifest.json``, written last, is its done marker.

An artifact's id is a digest of (stage, code version, resolved configuration, ids of its inputs), so an unchanged stage
is found again and an edited one makes everything after it new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from smolforge.errors import ArtifactError
from smolforge.store.atomic import fsync_path, fsync_tree, read_json, write_json
from smolforge.store.digest import digest_file, digest_json

MANIFEST = "manifest.json"


def artifact_id(stage: str, version: str, config: Any, inputs: Mapping[str, str]) -> str:
    """Return the 16-character id of a stage run; ``config`` is the resolved configuration as a JSON value."""
    return digest_json({"stage": stage, "version": version, "config": config, "inputs": dict(inputs)})[:16]


@dataclass(frozen=True)
class Manifest:
    """What was done, from what, with what, and at what cost. Times in seconds, memory in bytes, energy in joules."""

    stage: str
    id: str
    version: str
    config: Any
    inputs: dict[str, str]
    seed: int
    counts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Artifact:
    """A finished stage folder."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> Artifact:
        """Open a finished folder; ArtifactError if the manifest is missing or a listed file is gone."""
        if not (path / MANIFEST).is_file():
            raise ArtifactError(f"{path}: no {MANIFEST}, so the stage that writes this folder has not finished")
        try:
            manifest = Manifest(**read_json(path / MANIFEST))
        except TypeError as error:
            raise ArtifactError(f"{path / MANIFEST}: not a manifest of this version ({error})") from None
        for name in manifest.files:
            if not (path / name).is_file():
                raise ArtifactError(
                    f"{path}: the manifest lists '{name}', which is gone; remove the folder and run again"
                )
        return cls(path, manifest)

    def verify(self) -> None:
        """Read every listed file again; ArtifactError names the first whose digest differs."""
        for name, digest in self.manifest.files.items():
            if digest_file(self.path / name) != digest:
                raise ArtifactError(f"{self.path / name}: changed after the stage finished")


def finish(work: Path, final: Path, manifest: Manifest) -> Artifact:
    """Make ``work`` the finished folder ``final``: digest and fsync the files, write the manifest last, rename."""
    names = sorted(str(p.relative_to(work)) for p in work.rglob("*") if p.is_file() and p.name != MANIFEST)
    complete = Manifest(**{**asdict(manifest), "files": {name: digest_file(work / name) for name in names}})
    fsync_tree(work)
    write_json(work / MANIFEST, asdict(complete))
    final.parent.mkdir(parents=True, exist_ok=True)
    work.rename(final)
    fsync_path(final.parent)
    return Artifact(final, complete)
