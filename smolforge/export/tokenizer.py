"""The tokenizer stage's folder as exports need it.

In: ``tokenizer.json``, ``special_tokens.json`` and ``chat_template.jinja``. Out: the tokenizer keys of a GGUF header,
and the tokenizer files of a Hugging Face folder.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from smolforge.errors import ArtifactError
from smolforge.formats.gguf_tokenizer import TokenizerData, TokenType, from_tokenizer_json
from smolforge.model.hf_config import TokenIds
from smolforge.store import read_json, write_json

SPECIAL, TEMPLATE = "special_tokens.json", "chat_template.jinja"


def special_tokens(folder: Path) -> dict[str, Any]:
    """Read ``special_tokens.json``; ArtifactError if a field the exports need is missing."""
    value = read_json(folder / SPECIAL)
    for key in ("ggml_pre", "eos", "end_of_text", "pad", "tokens"):
        if not isinstance(value, dict) or key not in value:
            raise ArtifactError(f"{folder / SPECIAL}: the field '{key}' is missing; run the tokenizer stage again")
    return dict(value)


def token_ids(folder: Path) -> TokenIds:
    """Return what ``config.json`` says about special tokens: no begin-of-text; generation ends at two ids."""
    special = special_tokens(folder)
    return TokenIds(bos=None, eos=(special["eos"], special["end_of_text"]), pad=special["pad"])


def gguf_tokenizer(folder: Path, vocab_size: int) -> TokenizerData:
    """Return the tokenizer for a GGUF of ``vocab_size`` rows; FormatError if llama.cpp would read it otherwise.

    llama.cpp assumes an arbitrary begin-of-text id where none is given, so end-of-text stands there; it is never added.
    """
    special = special_tokens(folder)
    file = folder / "tokenizer.json"
    data = from_tokenizer_json(read_json(file), special["ggml_pre"], vocab_size, str(file))
    types = list(data.types)
    for entry in special["tokens"].values():
        types[entry["id"]] = TokenType[entry["ggml_type"].upper()]
    return replace(
        data,
        types=tuple(types),
        bos=special["end_of_text"],
        eos=special["eos"],
        pad=special["pad"],
        add_bos=False,
        chat_template=(folder / TEMPLATE).read_text(encoding="utf-8"),
    )


def copy_tokenizer(folder: Path, target: Path) -> None:
    """Write the tokenizer files of a Hugging Face folder; the template goes into the configuration as well."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", TEMPLATE):
        shutil.copyfile(folder / name, target / name)
    settings = read_json(folder / "tokenizer_config.json")
    template = (folder / TEMPLATE).read_text(encoding="utf-8")
    write_json(target / "tokenizer_config.json", {**settings, "chat_template": template})
