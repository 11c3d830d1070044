"""Where the Hugging Face cache is and how its hub is reached, by the variables its own library reads.

Input: the environment. Output: paths and settings (huggingface.co/docs/huggingface_hub, "Environment variables").
"""

from __future__ import annotations

import os
from pathlib import Path

from smolforge.store.home import home

DEFAULT_ENDPOINT = "https://huggingface.co"
TRUE = {"1", "on", "yes", "true"}


def cache_root() -> Path:
    """Return the folder that holds ``models--owner--repo``; it need not exist."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return _expand(named) if named else _home() / "hub"


def endpoint() -> str:
    """Return the hub's address without a slash at its end."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def offline() -> bool:
    """Whether the person forbade the network."""
    return any(_is_true(name) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def token() -> str | None:
    """Return the access token of the variable or of the file `hf auth login` writes; never print it."""
    named = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    if named is None and not _is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        file = os.environ.get("HF_TOKEN_PATH")
        try:
            named = (_expand(file) if file else _home() / "token").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
    return (named or "").strip() or None


def _home() -> Path:
    if named := os.environ.get("HF_HOME"):
        return _expand(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (_expand(cache) if cache else home() / ".cache") / "huggingface"


def _expand(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser()


def _is_true(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in TRUE
