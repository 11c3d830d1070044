"""What the files of a Hugging Face folder say about its tokens.

In: a folder with ``tokenizer.json`` and, perhaps, ``tokenizer_config.json``, ``generation_config.json`` and a template.
Out: the parsed tokenizer and ``TokenFacts``. Other kinds of tokenizers than byte-level BPE are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smolforge.errors import DataError, FormatError
from smolforge.store.atomic import read_json

TOKENIZER, TEMPLATE = "tokenizer.json", "chat_template.jinja"
SETTINGS, GENERATION = "tokenizer_config.json", "generation_config.json"


@dataclass(frozen=True)
class TokenFacts:
    """What a model's files say about its tokens; ids. ``add_bos``: text to be continued starts with ``bos``."""

    bos: int | None = None
    eos: tuple[int, ...] = ()
    add_bos: bool = False
    chat_template: str | None = None


def read_tokenizer_json(folder: Path, vocab_size: int) -> dict[str, Any]:
    """Return the parsed ``tokenizer.json``; FormatError unless it is a byte-level BPE of at most ``vocab_size`` ids."""
    file = folder / TOKENIZER
    value = _json(file)
    decoder = value.get("decoder")
    if not isinstance(decoder, Mapping) or decoder.get("type") != "ByteLevel":
        raise FormatError(f"{file}: only byte-level BPE tokenizers are supported")
    try:
        from tokenizers import Tokenizer

        size = Tokenizer.from_str(json.dumps(value)).get_vocab_size(with_added_tokens=True)
    except Exception as error:  # the Rust side raises bare Exception
        raise FormatError(f"{file}: not a tokenizer ({error})") from None
    if size > vocab_size:
        raise FormatError(f"{file}: {size} tokens, but the model has {vocab_size} rows of logits")
    return value


def _json(file: Path) -> dict[str, Any]:
    try:
        value = read_json(file)
    except DataError as error:
        raise FormatError(str(error)) from None
    if not isinstance(value, dict):
        raise FormatError(f"{file}: expected a JSON object, found {type(value).__name__}")
    return value


def _optional(folder: Path, name: str) -> dict[str, Any]:
    return _json(folder / name) if (folder / name).is_file() else {}


def read_token_facts(folder: Path, config: Mapping[str, Any]) -> TokenFacts:
    """Return what a folder says about begin and end tokens and its template; ``config`` is the flat form."""
    settings, generation = _optional(folder, SETTINGS), _optional(folder, GENERATION)
    ids = _token_ids(_json(folder / TOKENIZER))
    named = {name: _id_of(settings.get(f"{name}_token"), ids) for name in ("bos", "eos")}
    bos = named["bos"] if named["bos"] is not None else config["bos_token_id"]
    ends = [*_ids(named["eos"]), *_ids(generation.get("eos_token_id")), *_ids(config["eos_token_id"])]
    eos = tuple(dict.fromkeys(end for end in ends if 0 <= end < config["vocab_size"]))
    add_bos = settings.get("add_bos_token") is True or _writes_bos(_json(folder / TOKENIZER), bos)
    return TokenFacts(bos if isinstance(bos, int) else None, eos, add_bos, _template(folder, settings))


def _token_ids(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    added = {token["content"]: token["id"] for token in tokenizer.get("added_tokens", ())}
    return {**(tokenizer.get("model") or {}).get("vocab", {}), **added}


def _id_of(token: Any, ids: Mapping[str, int]) -> int | None:
    text = token.get("content") if isinstance(token, Mapping) else token
    return ids.get(text) if isinstance(text, str) else None


def _ids(value: Any) -> list[int]:
    return [item for item in (value if isinstance(value, list) else [value]) if type(item) is int]


def _writes_bos(tokenizer: Mapping[str, Any], bos: int | None) -> bool:
    """Whether the tokenizer's post-processor begins every text with the begin token (Llama 3)."""
    text = json.dumps(tokenizer.get("post_processor"))
    names = [token["content"] for token in tokenizer.get("added_tokens", ()) if token["id"] == bos]
    return any(json.dumps(name) in text for name in names)


def _template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """The template: a file of its own, or in ``tokenizer_config.json``, there perhaps one of several by name."""
    if (folder / TEMPLATE).is_file():
        return (folder / TEMPLATE).read_text(encoding="utf-8", errors="replace")
    found = settings.get("chat_template")
    if isinstance(found, list):
        named = {row.get("name"): row.get("template") for row in found if isinstance(row, Mapping)}
        found = named.get("default") or named.get("tool_use")
    return found if isinstance(found, str) else None
