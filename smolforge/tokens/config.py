"""Configuration of the ``tokenizer`` and ``tokenize`` stages.

Read by the recipe; everything the two stages do follows from it, from their inputs and from the seed in the context.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from smolforge.store.config import Config
from smolforge.store.outside import files_mark
from smolforge.tokens.shard_names import ShardsBy
from smolforge.tokens.special import RESERVED

PreTokenizer = Literal["llama-bpe", "qwen2", "qwen35", "smollm", "gpt-2", "deepseek-v3"]
SINGLE_DIGITS: tuple[PreTokenizer, ...] = ("qwen2", "qwen35", "smollm")

# For models of text: words with their space, letters with their marks, Chinese in runs cut at max_token_length.
_TEXT: dict[str, Any] = {
    "pre_tokenizer": "qwen35", "digits": "single", "han": "runs", "spaces": "with_words", "prefixes": (),
    "space_words": 0, "balance": "parity", "normalization": "NFC", "scaffold_from_tools": False,
    "sets": (), "document_sets": (), "bytes_per_language": 4_000_000,
}  # fmt: skip
_LARGE: dict[str, Any] = {**_TEXT, "reserved": 256, "bytes_per_language": 10_000_000}
# 65k: all ids fit uint16, so shards are half as large; 128k: SmolLM3's size, digits in threes as its tokenizer has them
PRESETS: dict[str, dict[str, Any]] = {
    "8k": {**_TEXT, "vocab_size": 8192},
    "16k": {**_TEXT, "vocab_size": 16_384},
    "65k": {**_LARGE, "vocab_size": 65_536},
    "128k": {**_LARGE, "vocab_size": 128_256, "pre_tokenizer": "deepseek-v3", "digits": "triple"},
}


class TokenizerConfig(Config):
    """Byte-level BPE. ``pre_tokenizer`` names the split rule as GGUF does, so every runtime splits alike.

    ``preset`` sets what ``PRESETS`` lists; keys stated beside it win. The merges are learned inside finer pieces than
    that rule gives: spaces, digits, Han characters and ``prefixes`` stand alone, so that a word is the same tokens
    after a space, a quote or an article, and can be copied.
    """

    preset: Literal["8k", "16k", "65k", "128k"] | None = None
    vocab_size: int = Field(6144, ge=512, le=1 << 20, description="all ids: special, scaffold and learned ones")
    languages: tuple[str, ...] | None = Field(None, description="languages of the corpus to learn from; None: all")
    bytes_per_language: int = Field(200_000, ge=0, description="at most so much text of each language")
    sample_bytes: int | None = Field(None, gt=0, description="of all languages together, shared out as UniMax does")
    sample_epochs: float = Field(1.0, gt=0, le=10, description="how often sample_bytes may count a language's text")
    sets: tuple[str, ...] = ("commands_train", "reasoning_midtrain", "reasoning_train")
    document_sets: tuple[str, ...] = ("copying.docs",)
    bytes_per_set: int = Field(4_000_000, ge=0, description="at most so much of each synthesized set")
    pre_tokenizer: PreTokenizer = "llama-bpe"
    digits: Literal["single", "triple"] = "single"
    han: Literal["characters", "runs"] = "characters"
    spaces: Literal["apart", "with_words"] = "apart"
    space_words: int = Field(400, ge=0, description="frequent words that get a token with their space (spaces: apart)")
    prefixes: tuple[str, ...] = Field(("ال",), description="word beginnings that stand alone before more letters")
    balance: Literal["sample", "parity"] = Field(
        "sample", description="parity: some merges go to the language that aligned text shows worst compressed"
    )
    parity_limit: float = Field(1.3, ge=1, description="balance: parity: tokens of any language, relative to English")
    normalization: Literal["NFC"] | None = Field(
        None, description="form that documents are put into before they are encoded; prompts stay as they are"
    )
    reserved: int = Field(len(RESERVED), ge=len(RESERVED), le=4096, description="control tokens without a use yet")
    max_token_length: int = Field(24, ge=4, description="bytes")
    scaffold: tuple[str, ...] = Field((), description="strings that become whole ordinary tokens")
    whole_turns: bool = Field(
        False, description="one token for all that the template puts between a person's words and the model's"
    )
    scaffold_from_tools: bool = Field(True, description="add the names and JSON pieces of tools.json")
    compare: tuple[str, ...] = Field((), description="other tokenizers to measure beside it: files, or tiktoken:NAME")

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, values: Any) -> Any:
        chosen = PRESETS.get(str(values.get("preset"))) if isinstance(values, dict) else None
        return {**chosen, **values} if chosen else values

    def fingerprint(self) -> dict[str, str]:
        """Return what the tokenizers to compare with are."""
        return {name: files_mark(name) for name in self.compare if Path(name).exists()}

    @model_validator(mode="after")
    def _digits_fit(self) -> Self:
        if self.digits == "triple" and self.pre_tokenizer in SINGLE_DIGITS:
            raise ValueError(f"digits: triple, but pre_tokenizer {self.pre_tokenizer} splits single digits")
        return self


class TokenizeConfig(Config):
    """What becomes a shard: corpus text (kept and held out), conversation sets, document sets, preferences.

    ``shards_by`` names the shards of kept text after the language (``text-fr``), the source (``fineweb_edu``) or both
    (``fineweb_edu.fr``); held-out text always goes by language. ``difficulty`` gives each document the number that
    curricula order by: ``compression``, a column of the corpus tables, or a key of their ``meta``.
    """

    languages: tuple[str, ...] | None = Field(None, description="languages of the corpus; None: all that it has")
    shards_by: ShardsBy = "language"
    difficulty: str | None = None
    held_out: bool = True
    sets: tuple[str, ...] = ("commands_train", "reasoning_midtrain", "reasoning_train")
    document_sets: tuple[str, ...] = ("copying.docs", "commands.docs")
    preferences: bool = True
    max_conversation_tokens: int | None = Field(None, ge=8, description="longer conversations are left out and counted")
    max_document_tokens: int | None = Field(None, ge=8, description="longer documents are cut there and counted")
