"""The ground floor: digests, atomic files, stage artifacts with manifests, and what a stage is given to work with."""

from typing import TYPE_CHECKING, Any

from smolforge.store.artifact import Artifact, Manifest, artifact_id
from smolforge.store.atomic import fsync_tree, read_json, write_atomic, write_json
from smolforge.store.digest import digest_bytes, digest_file, digest_json
from smolforge.store.stage import Progress, QuietProgress, StageContext, StageOutcome

if TYPE_CHECKING:
    from smolforge.store.config import Config

__all__ = [
    "Artifact",
    "Config",
    "Manifest",
    "Progress",
    "QuietProgress",
    "StageContext",
    "StageOutcome",
    "artifact_id",
    "digest_bytes",
    "digest_file",
    "digest_json",
    "fsync_tree",
    "read_json",
    "write_atomic",
    "write_json",
]


def __getattr__(name: str) -> Any:
    """Import ``Config`` when it is asked for: pydantic takes a quarter of a second, and the engine needs none of it."""
    if name == "Config":
        from smolforge.store.config import Config

        return Config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
