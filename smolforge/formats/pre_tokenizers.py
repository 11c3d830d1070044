"""How llama.cpp's ``tokenizer.ggml.pre`` names split text, said in the terms of the ``tokenizers`` library.

In: a name of the table. Out: the ``pre_tokenizer`` JSON of a ``tokenizer.json``. The patterns are facts about published
tokenizers (llama.cpp: src/llama-vocab.cpp); ours takes one of these names, so that no GGUF reader needs a new one.
"""

from __future__ import annotations

from typing import Any

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_PATTERN = LLAMA3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")


def _byte_level(use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _split(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, _byte_level(False)]}


# "gpt-2": ByteLevel's own pattern. "smollm": each digit alone, then that one. "smaug-bpe", "llama-bpe": Llama 3's.
PRE_TOKENIZERS: dict[str, dict[str, Any]] = {
    "gpt-2": _byte_level(True),
    "smollm": {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, _byte_level(True)],
    },
    "smaug-bpe": _split(LLAMA3_PATTERN),
    "llama-bpe": _split(LLAMA3_PATTERN),
    "qwen2": _split(QWEN2_PATTERN),
}
# With these, a pre-token that is itself in the vocabulary is taken whole, whatever the merges say.
IGNORE_MERGES = frozenset({"llama-bpe"})
