"""What a model on the disk is, from its headers alone: no weight is read.

Input: a model folder or a GGUF file. Output: a JSON value that `smolforge show` prints. A model that the engine does
not run is described all the same, with the reason.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from smolforge.errors import FormatError
from smolforge.formats.gguf_metadata import read_shape
from smolforge.formats.gguf_read import GGUFFile
from smolforge.formats.hf_config import read_config
from smolforge.formats.safetensors_io import SafetensorsFile

SHAPE = {
    "hidden_size": "d_model", "intermediate_size": "d_ff", "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads", "num_key_value_heads": "n_kv_heads", "head_dim": "head_dim",
    "vocab_size": "vocab_size", "tie_word_embeddings": "tied_embeddings", "rope_theta": "rope_theta",
    "rope_scaling": "rope_scaling",
}  # fmt: skip
Tensors = list[tuple[str, tuple[int, ...], int]]  # (type, shape, bytes)


def describe(path: Path) -> dict[str, Any]:
    """Return format, architecture, shape, parameters, tensor types, context, template and licence of a model.

    ``runs`` is True, or the reason why the engine refuses it. FormatError where the headers cannot be read at all.
    """
    return _describe_gguf(path) if path.suffix == ".gguf" else _describe_folder(path)


def _describe_gguf(path: Path) -> dict[str, Any]:
    file = GGUFFile(path)
    arch = file.get("general.architecture", str)
    tensors: Tensors = [(info.kind.name, info.shape, info.size) for info in file.tensors.values()]
    try:
        config, runs = read_shape(file), True
    except FormatError as error:
        config, runs = {}, str(error)  # type: ignore[assignment]
    template = file.metadata.get("tokenizer.chat_template")
    licence = file.metadata.get("general.license")
    return {
        "path": str(path),
        "format": f"GGUF v{file.version}",
        "name": file.metadata.get("general.name"),
        "architecture": arch,
        "runs": runs,
        **_facts(config, tensors),
        "context": config.get("max_position_embeddings") or file.metadata.get(f"{arch}.context_length"),
        "template": template if isinstance(template, str) else None,
        "licence": licence if isinstance(licence, str) else None,
    }


def _describe_folder(path: Path) -> dict[str, Any]:
    raw = _json(path / "config.json")
    try:
        config, runs = read_config(path), True
    except FormatError as error:
        config, runs = {}, str(error)  # type: ignore[assignment]
    tensors = [
        (entry.dtype, entry.shape, entry.size)
        for file in sorted(path.glob("*.safetensors"))
        for entry in SafetensorsFile(file).entries.values()
    ]
    return {
        "path": str(path),
        "format": "safetensors",
        "name": raw.get("_name_or_path") or path.name,
        "architecture": raw.get("model_type"),
        "runs": runs,
        **_facts(config, tensors),
        "context": config.get("max_position_embeddings") or raw.get("max_position_embeddings"),
        "template": _template(path),
        "licence": _licence(path),
    }


def _facts(config: dict[str, Any], tensors: Tensors) -> dict[str, Any]:
    """Return the shape in the field's short names, and what the tensors add up to."""
    layers = config.get("no_rope_layers") or []
    return {
        "shape": {short: config[long] for long, short in SHAPE.items() if config},
        "nope_layers": [layer for layer, rope in enumerate(layers) if not rope],
        "parameters": sum(math.prod(shape) for _, shape, _ in tensors),
        "bytes": sum(size for _, _, size in tensors),
        "tensors": _by_type(tensors),
    }


def _by_type(tensors: Iterable[tuple[str, tuple[int, ...], int]]) -> dict[str, dict[str, int]]:
    count, values, size = Counter[str](), Counter[str](), Counter[str]()
    for kind, shape, n_bytes in tensors:
        count[kind] += 1
        values[kind] += math.prod(shape)
        size[kind] += n_bytes
    return {
        kind: {"tensors": count[kind], "values": values[kind], "bytes": size[kind]} for kind, _ in size.most_common()
    }


def _template(folder: Path) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    settings = folder / "tokenizer_config.json"
    found = _json(settings).get("chat_template") if settings.is_file() else None
    return found if isinstance(found, str) else None


def _licence(folder: Path) -> str | None:
    """Return the licence the model card names, else the first line of a licence file."""
    card = folder / "README.md"
    if card.is_file():
        head = card.read_text(encoding="utf-8", errors="replace")[:20_000]
        if found := re.search(r"\A---\n(?:.*\n)*?license:[ \t]*([^\n]+)\n", head):
            return found[1].strip().strip("\"'")
    for file in sorted(folder.glob("LICEN[SC]E*")):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.strip() for line in lines if line.strip()), None)
    return None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(found, dict):
        raise FormatError(f"{file}: expected a JSON object, found {type(found).__name__}")
    return found
