"""Configuration of the corpus stage: which sources to read and how strict each step is.

Input: the ``corpus`` section of a recipe. Output: frozen values that ``stage.run`` reads. Importing this is cheap.
"""

from __future__ import annotations

import os
import platform
import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from smolforge.corpus.dedup.config import LineConfig, SubstringConfig
from smolforge.corpus.extract.config import ExtractConfig
from smolforge.corpus.scoring.config import DecontaminationConfig, QualityConfig, ToxicityConfig
from smolforge.errors import ConfigError, nearest
from smolforge.store import Config, digest_bytes, digest_json
from smolforge.store.outside import files_mark, package_versions

# user:password@, a token before the host, and signed queries; not "host:9000/name@revision".
_CREDENTIALS = re.compile(
    r"(?i)://[^/@:]*:(?!\d+/)[^@]+@|https?://[^/@]+@|[?&][\w-]*(?:sig|signature|token|secret|password|credential)="
)
NOT_DETECTED = ("code", "math")  # languages that no classifier knows: a source declares them
LANGUAGES = ("en", "fr", "es", "de", "it", "pt", "ar", "zh", "ru")
SourceKind = Literal["python_stdlib", "pydoc_topics", "gettext", "folder", "dataset", "git"]
SOURCE_KINDS: tuple[str, ...] = ("python_stdlib", "pydoc_topics", "gettext", "folder", "dataset", "git")
DEFAULT_PROFILES = {
    "python_stdlib": "code",
    "pydoc_topics": "reference",
    "gettext": "catalogue",
    "folder": "notes",
    "dataset": "prose",
    "git": "code",
}


class SourceSpec(Config):
    """One source. A plain string in the recipe is a source kind or else the path of a folder or file.

    ``path`` (folder, dataset, git): on this machine, or an address that ``fsspec`` knows (``s3://...``). A folder may
    hold text, Markdown, HTML, JSONL, CSV, Parquet, Arrow and WARC files; a dataset is a Hugging Face dataset folder,
    read by its card (``subset`` and ``split`` choose; by default the first and "train"); a git checkout gives its
    tracked source files. ``text_key``: the column or key of the text (default: "text", else "content").

    ``packages``/``wheels`` (gettext): distributions whose message catalogues are read, from ``*.whl`` files in the
    folder ``wheels`` where they are there, otherwise from what is installed. ``if_missing`` says what to do when a
    package is in neither place. ``language`` declares the language (``math`` and ``code`` are taken at their word,
    natural languages are still checked). ``rules`` names the profile in ``rules/`` (pages of a WARC: ``prose``;
    ``fineweb``: FineWeb's published rules for documents in English, ``prose`` for those in other languages).
    ``max_bytes`` bounds what is read: its units share it by their size and each keeps documents from its beginning
    (standard library modules are chosen by hash).
    ``docstring_share`` (python_stdlib): share of modules read for their docstrings instead of their code.
    ``ahead``: of several copies a document of this source stays, however long the others are (a curated text before the
    crawled page that quotes it whole). Without it the longest stays, and of equally long ones that of the first source.
    """

    kind: SourceKind
    path: str | None = None
    packages: tuple[str, ...] = ()
    wheels: str | None = None
    if_missing: Literal["error", "skip"] = "error"
    name: str | None = None
    licence: str | None = None
    language: str | None = None
    rules: str | None = None
    max_bytes: int | None = Field(default=None, gt=0)
    docstring_share: float = Field(default=0.25, ge=0, le=1)
    text_key: str | None = None
    subset: str | None = None
    split: str | None = None
    ahead: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"kind": value} if value in SOURCE_KINDS else {"kind": "folder", "path": value}
        return value

    @field_validator("path", "wheels")
    @classmethod
    def _without_credentials(cls, path: str | None) -> str | None:
        if path and _CREDENTIALS.search(path):  # addresses stand in ledgers, manifests and reports
            raise ValueError(
                "an address may not hold a user's password, key or token: it would be written into the corpus. Leave "
                "it out and give it to fsspec by the environment (FSSPEC_S3_KEY, FSSPEC_S3_SECRET, ...), by "
                "~/.config/fsspec/conf.json or by the provider's own login"
            )
        return path

    @model_validator(mode="after")
    def _complete(self) -> SourceSpec:
        if self.kind in ("folder", "dataset", "git") and not self.path:
            raise ValueError(f"a source of kind '{self.kind}' needs 'path'")
        if self.kind != "dataset" and (self.subset or self.split):
            raise ValueError(f"'subset' and 'split' are for sources of kind 'dataset', not '{self.kind}'")
        if self.kind == "gettext" and not self.packages:
            raise ValueError("a source of kind 'gettext' needs 'packages'")
        return self

    @property
    def profile(self) -> str:
        """Name of the rule profile that judges this source's documents."""
        return self.rules or DEFAULT_PROFILES[self.kind]


class DedupConfig(Config):
    """Near-duplicate removal: MinHash bands nominate, containment of word 3-grams decides.

    ``containment`` is the share of a document's shingles that must occur in the kept one (1.0: all of them; 0.9 also
    finds copies with small edits, and measured better);
    ``related`` is the share from which two documents must fall on the same side of the held-out split.
    A source that would lose more than ``wipe_out_share`` of its documents (and more than ``wipe_out_documents``)
    keeps them, or stops the stage.
    """

    bands: int = Field(default=14, ge=1, le=64)
    rows: int = Field(default=8, ge=1, le=32)
    shingle: int = Field(default=5, ge=1, le=13)
    containment: float = Field(default=0.9, gt=0, le=1)
    related: float = Field(default=0.5, gt=0, le=1)
    max_comparisons: int = Field(default=32, ge=1)
    wipe_out_share: float = Field(default=0.3, gt=0, le=1)
    wipe_out_documents: int = Field(default=20, ge=0)
    on_wipe_out: Literal["keep", "stop"] = "keep"


class PiiConfig(Config):
    """Which kinds of personal data are masked. With a key of its own, a corpus has placeholders of its own.

    ``key_variable`` names the environment variable that holds the key; the key itself is written nowhere.
    """

    kinds: tuple[Literal["email", "ip", "phone", "iban", "card", "secret"], ...] = (
        "email",
        "ip",
        "phone",
        "iban",
        "card",
        "secret",
    )
    key_variable: str | None = None

    def key(self) -> str:
        """Return the key ("" without one). ConfigError when the environment lacks it."""
        if self.key_variable is None:
            return ""
        if key := os.environ.get(self.key_variable, ""):
            return key
        raise ConfigError(f"corpus.pii.key_variable: the environment has no {self.key_variable}, or it is empty")


class LanguageConfig(Config):
    """Floors of the language step; ``sample_characters`` is how much of a document the classifier reads."""

    confidence: float = Field(default=0.65, ge=0, le=1)
    script_share: float = Field(default=0.4, ge=0, le=1)
    sample_characters: int = Field(default=1500, ge=100)


class EngineConfig(Config):
    """Where jobs run and what each may take: speed and safety, never a byte, so no part of the stage's identity.

    ``cluster`` is None for ``workers`` processes on this machine, ``auto`` for a Ray cluster started here, or the
    address of one that runs (``ray://host:10001``, ``host:6379``). ``memory_mib`` is what one worker may take beyond
    Python and its libraries; ``task_timeout`` seconds are allowed for one task (as many times
    that as a file that cannot be cut has pieces of 32 MB); after ``recycle_after`` tasks a worker
    is replaced.
    """

    workers: int = Field(default=1, ge=1, le=256, exclude=True)
    cluster: str | None = Field(default=None, min_length=1, exclude=True)
    memory_mib: int = Field(default=2048, ge=64, exclude=True)
    task_timeout: float = Field(default=1800.0, gt=0, exclude=True)
    recycle_after: int = Field(default=64, ge=1, exclude=True)


class CorpusConfig(EngineConfig):
    """The corpus stage: what to read, how strict each step is, and where it runs. A step whose section is None is off.

    ``line_rules``: changes to the limits of ``rules/lists/lines.json`` ({} for none); they clean pages (profile
    ``prose``). ``indexes``: folders with the dedup index of an earlier corpus; what repeats one of it is dropped.
    ``save_index``: the name under which this corpus saves one, as ``index/`` of its artifact.
    """

    sources: tuple[SourceSpec, ...] = (
        SourceSpec(kind="python_stdlib", max_bytes=4_000_000),
        SourceSpec(kind="pydoc_topics"),
        SourceSpec(kind="gettext", packages=("django",)),
    )
    languages: tuple[str, ...] = LANGUAGES
    max_bytes_per_language: int | dict[str, int] | None = None
    rules: str | None = None
    held_out: float = Field(default=0.05, ge=0, lt=1)
    held_out_min_bytes: int = Field(default=10_000, ge=0)
    extract: ExtractConfig = ExtractConfig()
    language: LanguageConfig = LanguageConfig()
    quality: QualityConfig | None = None
    toxicity: ToxicityConfig | None = None
    dedup: DedupConfig = DedupConfig()
    line_dedup: LineConfig | None = None
    substring_dedup: SubstringConfig | None = None
    line_rules: dict[str, bool | int | float] | None = None
    decontaminate: DecontaminationConfig | None = None
    indexes: tuple[str, ...] = ()
    save_index: str | None = Field(default=None, pattern=r"^[\w.-]+$")
    pii: PiiConfig = PiiConfig()
    max_document_characters: int = Field(default=60_000, ge=1000)
    shard_bytes: int = Field(default=32_000_000, ge=10_000)

    @field_validator("sources", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("line_rules")
    @classmethod
    def _known_line_rules(cls, value: dict[str, bool | int | float] | None) -> dict[str, bool | int | float] | None:
        if value:
            from smolforge.corpus.rules.lines import line_limits

            line_limits(value)
        return value

    @model_validator(mode="after")
    def _known_languages(self) -> CorpusConfig:
        known = (*self.languages, *NOT_DETECTED)
        budgets = self.max_bytes_per_language if isinstance(self.max_bytes_per_language, dict) else {}
        for code in budgets:
            if code not in (*known, "default"):
                raise ValueError(f"max_bytes_per_language: no language '{code}'{nearest(code, (*known, 'default'))}")
        for number, spec in enumerate(self.sources):
            if spec.language and spec.language not in known:
                said = f"'{spec.language}' is none of 'languages'{nearest(spec.language, known)}"
                raise ValueError(f"sources.{number}.language: {said}; known here: {', '.join(known)}")
        return self

    def fingerprint(self) -> dict[str, Any]:
        """Return what the sources are made of besides their configuration: files, packages, this Python."""
        folders = [path for spec in self.sources for path in (spec.path, spec.wheels)]
        models = [part.model for part in (self.quality, self.toxicity) if part is not None]
        others = [self.rules, *models, self.decontaminate and self.decontaminate.benchmarks, *self.indexes]
        return {
            "files": {path: _mark(path) for path in (*folders, *others) if path},
            "packages": package_versions(name for spec in self.sources for name in spec.packages),
            "python": platform.python_version(),
            **({"pii_key": digest_bytes(f"smolforge pii key\0{key}".encode())} if (key := self.pii.key()) else {}),
        }

    def byte_budget(self, language: str) -> int | None:
        """Most bytes of text kept in ``language``; None is no limit. A dict may carry a ``default``."""
        limit = self.max_bytes_per_language
        return limit.get(language, limit.get("default")) if isinstance(limit, dict) else limit


def _mark(path: str) -> str:
    """Return what changes when the files at a path or address change."""
    if "://" not in path:
        return files_mark(path)
    from smolforge.corpus.ingest.remote import list_remote

    return digest_json([[file.name, file.size, file.mark] for file in list_remote(path)])
