"""Which files of a repository make one model: a folder of safetensors, or one GGUF file.

Input: the file names of a revision and optionally a quantization. Output: the names to fetch. Pickled weights are never
among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from smolforge.errors import ConfigError, nearest

# What a small CPU model is best at, in the order they are taken where nobody named one.
PREFERRED = ("Q4_K_M", "Q4_0", "Q4_1", "Q8_0", "F16", "BF16", "F32")
BESIDE = {
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "chat_template.jinja", "tools.json", "model.safetensors", "model.safetensors.index.json",
}  # fmt: skip
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_NOTES = re.compile(r"(LICENSE|LICENCE|NOTICE|README)(\.\w+)?", re.IGNORECASE)


def choose_files(names: Sequence[str], quant: str | None, where: str) -> list[str]:
    """Return the files of the model, in their order; ConfigError lists what there is where no choice can be made."""
    wanted = [choose_gguf(names, quant, where)] if quant else _folder(names)
    if not wanted:
        wanted = [choose_gguf(names, None, where)]
    return [name for name in names if name in wanted or _NOTES.fullmatch(name)]


def _folder(names: Sequence[str]) -> list[str]:
    """Return the files of a safetensors model at the repository's root; nothing if there is none."""
    found = [name for name in names if name in BESIDE or _SHARD.fullmatch(name)]
    return found if "config.json" in found and any(name.endswith(".safetensors") for name in found) else []


def choose_gguf(names: Iterable[str], quant: str | None, where: str) -> str:
    """Return the one GGUF file meant by ``quant``, or the preferred one; ConfigError says what there is."""
    every = [name for name in names if name.lower().endswith(".gguf") and "mmproj" not in name.lower()]
    whole = [name for name in every if not _SPLIT.search(name)]
    if not whole:
        kind = "its GGUF files are split into parts, which are not read" if every else "no safetensors and no GGUF file"
        raise ConfigError(f"{where}: {kind}; nothing here that can be run")
    if quant is None and len(whole) == 1:
        return whole[0]
    for kind in [quant] if quant else PREFERRED:
        found = [name for name in whole if _means(name, kind)]
        if len(found) == 1:
            return found[0]
    known = sorted({_quant(name) for name in whole})
    hint = nearest(quant.upper(), known) if quant else ""
    problem = f"'{quant}' names none or several of its GGUF files{hint}" if quant else "several GGUF files"
    raise ConfigError(f"{where}: {problem}; name one of {', '.join(f':{kind}' for kind in known)}")


def _means(name: str, quant: str) -> bool:
    """Whether a file is of that quantization, or is called that."""
    return quant.lower() in (_quant(name).lower(), PurePosixPath(name).name.lower(), PurePosixPath(name).stem.lower())


def _quant(name: str) -> str:
    """Return what a GGUF file's name says of its type, e.g. ``Q4_K_M``; the whole stem where it says nothing."""
    stem = PurePosixPath(name).stem
    found = re.search(r"(?:^|[-._])((?:I?Q\d\w*|B?F16|F32|MXFP4\w*))$", stem, re.IGNORECASE)
    return found[1].upper() if found else stem
