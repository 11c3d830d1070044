"""The tokenizer inside a GGUF header, and the same tokenizer as a Hugging Face ``tokenizer.json``.

In: GGUF metadata, or a parsed ``tokenizer.json`` with its special ids. Out: ``TokenizerData``, the metadata to write,
or the ``tokenizer.json`` value. Only byte-level BPE (``tokenizer.ggml.model`` = "gpt2"); others are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import FormatError, nearest
from smolforge.formats.gguf_read import GGUFFile
from smolforge.formats.pre_tokenizers import IGNORE_MERGES, SPLITS, expressions, pre_tokenizer_json


class TokenType(IntEnum):
    """What llama.cpp does with a token (``llama_token_type``)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class TokenizerData:
    """A byte-level BPE tokenizer. ``tokens[i]`` and ``types[i]`` belong to id i; a merge is "left right"."""

    pre: str
    tokens: tuple[str, ...]
    types: tuple[TokenType, ...]
    merges: tuple[str, ...]
    bos: int | None = None
    eos: int | None = None
    pad: int | None = None
    add_bos: bool = False
    chat_template: str | None = None


def read_tokenizer(file: GGUFFile) -> TokenizerData:
    """Read the ``tokenizer.*`` keys; FormatError names the key that is missing, inconsistent or not supported."""
    model = file.get("tokenizer.ggml.model", str)
    if model != "gpt2":
        raise FormatError(f"{file.path}: tokenizer.ggml.model '{model}' is not supported, only 'gpt2' (byte-level BPE)")
    tokens = _strings(file, "tokenizer.ggml.tokens")
    if len(set(tokens)) != len(tokens):
        raise FormatError(f"{file.path}: tokenizer.ggml.tokens holds the same token twice")
    return TokenizerData(
        pre=file.get("tokenizer.ggml.pre", str, "gpt-2"),
        tokens=tokens,
        types=_types(file, len(tokens)),
        merges=_merges(file, tokens),
        bos=_special(file, "bos", len(tokens)),
        eos=_special(file, "eos", len(tokens)),
        pad=_special(file, "padding", len(tokens)),
        add_bos=file.get("tokenizer.ggml.add_bos_token", bool, False),
        chat_template=file.get("tokenizer.chat_template", str, None),
    )


def _merges(file: GGUFFile, tokens: Sequence[str]) -> tuple[str, ...]:
    """Return the merges; FormatError for one that is not two tokens which together are a third."""
    merges, known = _strings(file, "tokenizer.ggml.merges"), frozenset(tokens)
    for row, merge in enumerate(merges):
        left, space, right = merge.partition(" ")
        if not space or " " in right:
            raise FormatError(
                f"{file.path}: tokenizer.ggml.merges[{row}] is not two tokens and a space: {merge[:40]!r}"
            )
        if left not in known or right not in known or left + right not in known:
            raise FormatError(f"{file.path}: tokenizer.ggml.merges[{row}]: {merge[:40]!r} does not make a token of two")
    return merges


def _strings(file: GGUFFile, key: str) -> tuple[str, ...]:
    values = file.get(key, list)
    if not all(isinstance(value, str) for value in values):
        raise FormatError(f"{file.path}: key '{key}': expected an array of strings")
    return tuple(values)


def _types(file: GGUFFile, count: int) -> tuple[TokenType, ...]:
    key = "tokenizer.ggml.token_type"
    values: NDArray[Any] = file.get(key, np.ndarray, np.full(count, 1))
    if len(values) != count or values.dtype.kind not in "iu" or values.min(initial=1) < 1 or values.max(initial=1) > 6:
        raise FormatError(f"{file.path}: key '{key}': expected {count} integers from 1 to 6")
    return tuple(TokenType(int(value)) for value in values)


def _special(file: GGUFFile, name: str, count: int) -> int | None:
    key = f"tokenizer.ggml.{name}_token_id"
    value: int | None = file.get(key, int, None)
    if value is not None and not 0 <= value < count:
        raise FormatError(f"{file.path}: key '{key}': {value} is not one of the {count} tokens")
    return value


def tokenizer_metadata(data: TokenizerData) -> dict[str, Any]:
    """Return the ``tokenizer.*`` keys to write."""
    ids = {"bos": data.bos, "eos": data.eos, "padding": data.pad}
    template = {} if data.chat_template is None else {"tokenizer.chat_template": data.chat_template}
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": data.pre,
        "tokenizer.ggml.tokens": list(data.tokens),
        "tokenizer.ggml.token_type": np.array(data.types, np.int32),
        "tokenizer.ggml.merges": list(data.merges),
        **{f"tokenizer.ggml.{name}_token_id": value for name, value in ids.items() if value is not None},
        "tokenizer.ggml.add_bos_token": data.add_bos,
        **template,
    }


def from_tokenizer_json(value: Mapping[str, Any], pre: str, vocab_size: int, where: str) -> TokenizerData:
    """Turn a parsed ``tokenizer.json`` into TokenizerData with ``vocab_size`` entries (unused ids are filled in).

    FormatError if it is not byte-level BPE, or if it splits text otherwise than the llama.cpp name ``pre`` does.
    """
    model = value.get("model") or {}
    if model.get("type") != "BPE" or not _is_byte_level(value.get("decoder")):
        raise FormatError(f"{where}: only byte-level BPE tokenizers can be written to GGUF")
    _check_splitting(value, pre, where)
    tokens: dict[int, tuple[str, TokenType]] = {i: (text, TokenType.NORMAL) for text, i in model["vocab"].items()}
    for added in value.get("added_tokens", ()):
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        tokens[added["id"]] = (added["content"], kind)
    if max(tokens) >= vocab_size:
        raise FormatError(f"{where}: token id {max(tokens)} does not fit the model's vocabulary of {vocab_size}")
    rows = [tokens.get(i, (f"[UNUSED{i}]", TokenType.UNUSED)) for i in range(vocab_size)]
    return TokenizerData(
        pre=pre,
        tokens=tuple(text for text, _ in rows),
        types=tuple(kind for _, kind in rows),
        merges=tuple(merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]),
    )


def _is_byte_level(decoder: Any) -> bool:
    return isinstance(decoder, Mapping) and decoder.get("type") == "ByteLevel"


def _check_splitting(value: Mapping[str, Any], pre: str, where: str) -> None:
    if pre not in SPLITS:
        raise FormatError(f"{where}: '{pre}' is no pre-tokenizer name this package knows{nearest(pre, SPLITS)}")
    if value.get("normalizer") is not None:
        raise FormatError(f"{where}: a normalizer cannot be expressed in GGUF; llama.cpp would skip it")
    if expressions(value.get("pre_tokenizer")) != SPLITS[pre]:
        raise FormatError(f"{where}: its pre_tokenizer does not split text as llama.cpp's '{pre}' does")
    if bool((value.get("model") or {}).get("ignore_merges")) != (pre in IGNORE_MERGES):
        raise FormatError(f"{where}: model.ignore_merges must be {pre in IGNORE_MERGES} for llama.cpp's '{pre}'")


def to_tokenizer_json(data: TokenizerData) -> dict[str, Any]:
    """Return the ``tokenizer.json`` value; FormatError when ``data.pre`` is not a name in the table."""
    if data.pre not in SPLITS:
        raise FormatError(
            f"tokenizer.ggml.pre '{data.pre}' is not supported{nearest(data.pre, SPLITS)}; "
            f"supported are {', '.join(SPLITS)}"
        )
    added = [
        {
            "id": i,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind is not TokenType.USER_DEFINED,
        }
        for i, (text, kind) in enumerate(zip(data.tokens, data.types, strict=True))
        if kind in (TokenType.CONTROL, TokenType.USER_DEFINED)
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer_json(data.pre),
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": data.pre in IGNORE_MERGES,
            "vocab": {text: i for i, text in enumerate(data.tokens)},
            "merges": [merge.split(" ") for merge in data.merges],
        },
    }
