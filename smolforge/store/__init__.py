"""The ground floor: digests, atomic files, stage artifacts with manifests, and what a stage is given to work with."""

from smolforge.store.artifact import Artifact, Manifest, artifact_id
from smolforge.store.atomic import fsync_tree, read_json, write_atomic, write_json
from smolforge.store.config import Config
from smolforge.store.digest import digest_bytes, digest_file, digest_json
from smolforge.store.stage import Progress, QuietProgress, StageContext, StageOutcome

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
