"""What the files of a model say about its tokens.

In: an opened source. Out: the tokenizer as ``tokenizer.json`` bytes, and ``TokenFacts``: begin and end tokens, and the
chat template, from a GGUF header or the files of a Hugging Face folder.
"""

from __future__ import annotations

import json
from typing import Any

from smolforge.engine.codec import control_flags
from smolforge.engine.weights import FolderSource, GGUFSource, Source
from smolforge.errors import FormatError
from smolforge.formats.gguf_model import GGUFModel
from smolforge.formats.gguf_tokenizer import to_tokenizer_json
from smolforge.formats.hf_tokenizer import TokenFacts, read_token_facts, read_tokenizer_json


def read_codec(source: Source) -> tuple[bytes, TokenFacts]:
    """Return the tokenizer (``tokenizer.json`` bytes, markup flagged as special) and the facts about its tokens."""
    if isinstance(source, GGUFSource):
        value, facts = to_tokenizer_json(source.model.tokenizer), _gguf_facts(source.model)
    else:
        assert isinstance(source, FolderSource)
        value = read_tokenizer_json(source.path, source.config["vocab_size"])
        facts = read_token_facts(source.path, source.config)
    ready = _short_merges(control_flags(value))
    return json.dumps(ready, ensure_ascii=False, separators=(",", ":")).encode(), facts


def _short_merges(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Write merges as "left right", the older of the two forms: a fifth faster to open, at every start."""
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in tokenizer["model"]["merges"]]
    if any(" " in part for pair in pairs for part in pair):  # not byte-level spelling
        return tokenizer
    return {**tokenizer, "model": {**tokenizer["model"], "merges": [" ".join(pair) for pair in pairs]}}


def _gguf_facts(model: GGUFModel) -> TokenFacts:
    tokenizer, n_tokens = model.tokenizer, len(model.tokenizer.tokens)
    keys = [f"tokenizer.ggml.{name}_token_id" for name in ("eot", "eom")]
    ends = [tokenizer.eos, *(model.file.get(key, int, None) for key in keys)]
    for key, end in zip(keys, ends[1:], strict=True):
        if end is not None and not 0 <= end < n_tokens:
            raise FormatError(f"{model.path}: key '{key}': {end} is not one of the {n_tokens} tokens")
    eos = tuple(dict.fromkeys(end for end in ends if end is not None))
    return TokenFacts(tokenizer.bos, eos, tokenizer.add_bos, tokenizer.chat_template)
