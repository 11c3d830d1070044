"""What the runner hands to a stage and what a stage hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from smolforge.store.artifact import Artifact


class Progress(Protocol):
    """Where a stage tells how far it is; the terminal draws it, a log file keeps it."""

    def start(self, total: int | None, unit: str) -> None:
        """Begin a piece of work of ``total`` units (None: not known)."""

    def update(self, done: int, **values: float | str) -> None:
        """Say that ``done`` units are finished, with values worth showing (loss, tokens/s, ...)."""

    def note(self, text: str) -> None:
        """Say one line that a person should see."""


class QuietProgress:
    """A Progress that says nothing: for tests and for library use."""

    def start(self, total: int | None, unit: str) -> None: ...

    def update(self, done: int, **values: float | str) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class StageContext:
    """Everything a stage may use besides its configuration.

    ``work`` is the folder to write into. It survives a kill: a stage finds there what an interrupted earlier try of
    the same stage (same id) left, and either continues from it or removes it. Once the stage returns, the runner
    fsyncs the folder, writes ``manifest.json`` last and renames it to its final place.
    """

    work: Path
    inputs: Mapping[str, Artifact]
    seed: int
    progress: Progress = field(default_factory=QuietProgress)


@dataclass(frozen=True)
class StageOutcome:
    """What goes into the manifest: ``counts`` (in, out, reasons) and ``metrics`` (flat name → number).

    ``resume_only`` names files and folders of the work folder that only an interrupted run needs. They go once the
    manifest is written, not before: a kill in between must not cost the stage.
    """

    counts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    resume_only: tuple[str, ...] = ()
