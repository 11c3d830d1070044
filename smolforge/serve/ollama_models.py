"""The model as Ollama's clients list and show it.

Input: the open engine. Output: JSON values, from the headers of the model's files.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from smolforge.engine.engine import Engine
from smolforge.hub.describe import describe

NEVER = "9999-12-31T23:59:59Z"  # the model stays while the server runs
_BILLION, _MILLION = 10**9, 10**6


def listed(engine: Engine) -> dict[str, Any]:
    """Return the entry of ``/api/tags``."""
    path, about = engine.model.path, _about(engine.model.path)
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat().replace("+00:00", "Z")
    return {
        "name": engine.model.name,
        "model": engine.model.name,
        "modified_at": changed,
        "size": about["bytes"],
        "digest": engine.model.digest,
        "details": _details(about),
    }


def running(engine: Engine) -> dict[str, Any]:
    """Return the entry of ``/api/ps``; ``size`` is that of the weights, all of it in the processor's memory."""
    entry = {name: value for name, value in listed(engine).items() if name != "modified_at"}
    return {**entry, "expires_at": NEVER, "size_vram": 0, "context_length": engine.context}


def described(engine: Engine) -> dict[str, Any]:
    """Return the body of ``/api/show``."""
    about = _about(engine.model.path)
    family = str(about["architecture"])
    capabilities = ["completion", "tools", "embedding"] if engine.model.has_template else ["completion", "embedding"]
    return {
        "modified_at": listed(engine)["modified_at"],
        "template": about["template"] or "",
        "parameters": "",
        "license": about["licence"] or "",
        "details": _details(about),
        "model_info": {
            "general.architecture": family,
            "general.parameter_count": about["parameters"],
            f"{family}.context_length": engine.context,
            f"{family}.embedding_length": engine.model.config["hidden_size"],
            f"{family}.block_count": engine.model.config["num_hidden_layers"],
        },
        "capabilities": capabilities + (["thinking"] if engine.model.think is not None else []),
    }


@lru_cache(maxsize=4)
def _about(path: Path) -> dict[str, Any]:
    return describe(path)


def _details(about: dict[str, Any]) -> dict[str, Any]:
    family = str(about["architecture"])
    return {
        "parent_model": "",
        "format": "gguf" if about["format"].startswith("GGUF") else "safetensors",
        "family": family,
        "families": [family],
        "parameter_size": _size(about["parameters"]),
        "quantization_level": next(iter(about["tensors"]), ""),
    }


def _size(parameters: int) -> str:
    """Write 135M or 3.1B."""
    if parameters >= _BILLION:
        return f"{parameters / _BILLION:.1f}B"
    return f"{parameters / _MILLION:.0f}M"
