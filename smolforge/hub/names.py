"""Names of models on the hub: ``owner/repo[:quant][@revision]``.

Input: what a person typed. Output: ``ModelName``, whose parts are safe to use in paths and addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smolforge.errors import ConfigError

FORM = "owner/repo, owner/repo:Q4_K_M or owner/repo@revision"
# The hub's own rule: letters, digits, '-', '_' and '.', neither at the ends nor doubled where it would be ambiguous.
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_NAME = re.compile(
    rf"(?P<owner>{_PART})/(?P<repo>{_PART})(?::(?P<quant>[\w.-]{{1,96}}))?(?:@(?P<revision>[\w./-]{{1,200}}))?"
)


@dataclass(frozen=True)
class ModelName:
    """A repository of the hub, and optionally which of its GGUF files and which of its revisions is meant."""

    owner: str
    repo: str
    quant: str | None = None
    revision: str = "main"

    @property
    def id(self) -> str:
        """``owner/repo``."""
        return f"{self.owner}/{self.repo}"

    @property
    def folder(self) -> str:
        """The repository's folder in the cache."""
        return f"models--{self.owner}--{self.repo}"

    def __str__(self) -> str:
        quant = f":{self.quant}" if self.quant else ""
        return f"{self.id}{quant}" + (f"@{self.revision}" if self.revision != "main" else "")


def parse_name(text: str) -> ModelName:
    """Read a name; ConfigError says which forms there are."""
    found = _NAME.fullmatch(text)
    if found is None or any(".." in part or "--" in part for part in (found["owner"], found["repo"])):
        raise ConfigError(f"{text!r} is not a model's name; expected {FORM}")
    revision = found["revision"] or "main"
    if ".." in revision or revision.startswith(("/", "-")) or revision.endswith("/") or "//" in revision:
        raise ConfigError(f"{text!r}: {revision!r} is not a revision; expected a branch, a tag or a commit")
    return ModelName(found["owner"], found["repo"], found["quant"], revision)


def looks_like_name(text: str) -> bool:
    """Whether ``text`` has the form of a hub name (a path may have it too)."""
    return _NAME.fullmatch(text) is not None
