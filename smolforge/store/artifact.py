"""Artifacts: a finished stage is a folder whose ``manifest.json``, written last, is its done marker.

An artifact's id is a digest of (stage, code version, resolved configuration, ids of its inputs), so an unchanged stage
is found again and an edited one makes everything after it new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def finish(work: Path, final: Path, manifest: Manifest, resume_only: Sequence[str] = ()) -> Artifact:
    """Make ``work`` the finished folder ``final``: digest and fsync the files, write the manifest last, publish.

    What lies under a name of ``resume_only`` is not part of the artifact.
    """
    kept = [path for path in _files(work) if path.relative_to(work).parts[0] not in resume_only]
    files = {str(path.relative_to(work)): digest_file(path) for path in kept}
    fsync_tree(work)
    write_json(work / MANIFEST, asdict(Manifest(**{**asdict(manifest), "files": files})))
    return publish(work, final)


def publish(work: Path, final: Path) -> Artifact:
    """Move a work folder that has its manifest to its final place, without what the manifest does not list."""
    artifact = Artifact.open(work)
    for path in _files(work):
        if str(path.relative_to(work)) not in artifact.manifest.files:
            path.unlink()
    for folder in sorted((path for path in work.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    final.parent.mkdir(parents=True, exist_ok=True)
    work.rename(final)
    fsync_path(final.parent)
    return Artifact(final, artifact.manifest)


def _files(work: Path) -> list[Path]:
    return sorted(path for path in work.rglob("*") if path.is_file() and path.name != MANIFEST)
