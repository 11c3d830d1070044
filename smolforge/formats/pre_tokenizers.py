"""How llama.cpp's ``tokenizer.ggml.pre`` names split text, said in the terms of the ``tokenizers`` library.

In: a name, or the ``pre_tokenizer`` of a ``tokenizer.json``. Out: that JSON, or the expressions it cuts text with, so
that two can be compared. The expressions are facts about published tokenizers (llama.cpp: src/llama-vocab.cpp).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CONTRACTIONS = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_CONTRACTIONS_ANY_CASE = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # the same, as Hugging Face files write it
_SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_LLAMA3 = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + _SPACES

_DEEPSEEK3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    + _SPACES
)

# Applied in turn; what an expression does not match stays a piece of its own.
SPLITS: dict[str, tuple[str, ...]] = {
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "llama-bpe": (_LLAMA3,),
    "smaug-bpe": (_LLAMA3,),
    "qwen2": (_LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"),),
    "qwen35": (_CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + _SPACES,),
    "deepseek-v3": (r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", _DEEPSEEK3),
}
# With these, a piece that is itself in the vocabulary is taken whole, whatever the merges say.
IGNORE_MERGES = frozenset({"llama-bpe"})


def byte_alphabet() -> list[str]:
    """The printable character that stands for each byte 0…255 in a byte-level vocabulary (the GPT-2 table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (chr(256 + i) for i in range(256))
    return [chr(byte) if byte in printable else next(others) for byte in range(256)]


def pre_tokenizer_json(pre: str) -> dict[str, Any]:
    """Return the ``pre_tokenizer`` of a ``tokenizer.json`` that splits as llama.cpp's ``pre`` does."""
    splits = [
        {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
        for expression in SPLITS[pre]
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": [*splits, byte_level]}


def expressions(pre_tokenizer: Any) -> tuple[str, ...] | None:
    """Return the expressions a ``pre_tokenizer`` cuts with, in a form that can be compared with ``SPLITS``.

    None if it holds anything but isolating splits on an expression, single digits and ByteLevel without prefix space.
    """
    if not isinstance(pre_tokenizer, Mapping):
        return None
    kind = pre_tokenizer.get("type")
    if kind == "Sequence":
        parts = [expressions(part) for part in pre_tokenizer.get("pretokenizers", ())]
        return None if None in parts else tuple(found for part in parts if part for found in part)
    if kind == "Digits" and pre_tokenizer.get("individual_digits"):
        return (r"\p{N}",)
    if kind == "ByteLevel" and not pre_tokenizer.get("add_prefix_space"):
        return (_GPT2,) if pre_tokenizer.get("use_regex", True) else ()
    pattern = pre_tokenizer.get("pattern")
    isolated = pre_tokenizer.get("behavior") == "Isolated" and not pre_tokenizer.get("invert")
    if kind == "Split" and isolated and isinstance(pattern, Mapping) and isinstance(pattern.get("Regex"), str):
        return (pattern["Regex"].replace(_CONTRACTIONS_ANY_CASE, _CONTRACTIONS),)
    return None
