"""The dataset card of a corpus: ``README.md`` with the front matter that the Hugging Face hub and ``datasets`` read.

Input: the folder of a finished corpus. Output: Markdown; beside ``kept/`` and ``held_out/`` it makes the folder one
that ``datasets.load_dataset`` opens. Keys of the front matter: the hub's ``datasetcard.md`` specification.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smolforge.corpus.fates import KEPT, Fate, count_by, fates
from smolforge.corpus.split import HELD_OUT_STEP
from smolforge.errors import DataError
from smolforge.store import Artifact, Manifest, read_json
from smolforge.store.artifact import MANIFEST

SPLITS = {"train": KEPT, "test": HELD_OUT_STEP}
NOT_A_LANGUAGE = ("math", "code", "")
UNKNOWN, OTHER = "unknown", "other"
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B",
          "10B<n<100B", "100B<n<1T")  # fmt: skip
# Identifiers of the hub's list of licences; anything else is "other".
_HUB_LICENCES = frozenset((
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause",
    "bsd-3-clause-clear", "bsl-1.0", "c-uda", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0",
    "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "ecl-2.0", "epl-1.0", "epl-2.0",
    "etalab-2.0", "eupl-1.1", "eupl-1.2", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1",
    "lgpl-3.0", "lppl-1.3c", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "osl-3.0", "pddl",
    "postgresql", "unlicense", "wtfpl", "zlib",
))  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What a card tells of. ``licences``: documents in ``kept`` and ``held_out`` by licence; ``manifest``: None for a
    corpus that no recipe made."""

    folder: Path
    rows: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    licences: Counter[str]
    contamination: list[dict[str, Any]] | None = None
    manifest: Manifest | None = None
    ends: list[Fate] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Facts:
        """Read them from a finished corpus; DataError where it is none."""
        if not (folder / "funnel.json").is_file():
            raise DataError(f"{folder}: no funnel.json: not the folder of a finished corpus stage")
        rows, found = read_json(folder / "funnel.json"), folder / "contamination.json"
        manifest = Artifact.open(folder).manifest if (folder / MANIFEST).is_file() else None
        contamination = read_json(found) if found.is_file() else None
        sources = read_json(folder / "sources.json")
        return cls(folder, rows, sources, _licences(folder), contamination, manifest, fates(rows))

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of the stage, as its manifest has it."""
        return self.manifest.config if self.manifest else {}

    def documents(self, table: str) -> int:
        """How many documents are kept, or held out."""
        return count_by(self.ends, lambda end: end.step)[table]


def _licences(folder: Path) -> Counter[str]:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    found: Counter[str] = Counter()
    for path in sorted(path for name in SPLITS.values() for path in (folder / name).glob("part-*.parquet")):
        counts = pq.read_table(path, columns=["licence"])["licence"].value_counts().to_pylist()
        found.update({row["values"] or UNKNOWN: row["counts"] for row in counts})
    return found


def card(folder: Path, name: str) -> str:
    """Return the card of a finished corpus under a name. DataError where the folder holds none."""
    import yaml

    from smolforge.corpus.card_text import body

    facts = Facts.read(folder)
    header = yaml.safe_dump(front_matter(facts, name), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{header}---\n\n{body(facts, name)}"


def front_matter(facts: Facts, name: str) -> dict[str, Any]:
    """Return the metadata: licences, languages, size, and which files each split has."""
    there = [end for end in facts.ends if not end.is_dropped]
    spoken = [language for language, _ in count_by(there, lambda end: end.language, bytes_too=True).most_common()]
    languages = [language for language in spoken if language not in NOT_A_LANGUAGE]
    splits = {split: table for split, table in SPLITS.items() if facts.documents(table)}
    licences = hub_licences(facts.licences)
    files = [{"split": split, "path": f"{table}/part-*.parquet"} for split, table in splits.items()]
    return {
        "pretty_name": name,
        "language": [*languages, *(["code"] if "code" in spoken else [])],
        "license": licences[0] if len(licences) == 1 else licences,
        **({"license_name": "as-stated-per-document"} if OTHER in licences else {}),
        "size_categories": [size_category(sum(facts.documents(table) for table in splits.values()))],
        "task_categories": ["text-generation"],
        "tags": ["smolforge", *(["math"] if "math" in spoken else [])],
        "configs": [{"config_name": "default", "default": True, "data_files": files}],
    }


def hub_licences(found: Mapping[str, int]) -> list[str]:
    """Return the hub's identifiers of the licences, those of the most documents first."""
    counts: Counter[str] = Counter()
    for licence, documents in found.items():
        counts[_hub_licence(licence)] += documents
    return [licence for licence, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))] or [UNKNOWN]


def _hub_licence(licence: str) -> str:
    code = licence.strip().lower().removesuffix("-only").removesuffix("-or-later")
    code = "gfdl" if code.startswith("gfdl-") else code
    return code if code in _HUB_LICENCES or code == UNKNOWN else OTHER


def size_category(documents: int) -> str:
    """Return the hub's word for a number of rows."""
    limits = (10 ** (3 + at) for at in range(len(_SIZES)))
    return next((name for name, limit in zip(_SIZES, limits, strict=True) if documents < limit), "n>1T")
