"""Configuration of the ``tokenizer`` and ``tokenize`` stages.

Read by the recipe; everything the two stages do follows from it, from their inputs and from the seed in the context.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from smolforge.store.config import Config

PreTokenizer = Literal["llama-bpe", "qwen2", "qwen35", "smollm", "gpt-2"]
SINGLE_DIGITS: tuple[PreTokenizer, ...] = ("qwen2", "qwen35", "smollm")


class TokenizerConfig(Config):
    """Byte-level BPE. ``pre_tokenizer`` names the split rule as GGUF does, so every runtime splits alike.

    The merges are learned inside finer pieces than that rule gives: spaces, digits, Han characters and ``prefixes``
    stand alone, so that a word is the same tokens after a space, a quote or an article, and can be copied.
    """

    vocab_size: int = Field(6144, ge=512, le=1 << 20, description="all ids: special, scaffold and learned ones")
    languages: tuple[str, ...] | None = Field(None, description="languages of the corpus to learn from; None: all")
    bytes_per_language: int = Field(200_000, ge=0, description="at most so much text of each language")
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
        "sample", description="parity: each merge goes to the language that aligned text shows worst compressed"
    )
    max_token_length: int = Field(24, ge=4, description="bytes")
    scaffold: tuple[str, ...] = Field((), description="strings that become whole ordinary tokens")
    whole_turns: bool = Field(
        False, description="one token for all that the template puts between a person's words and the model's"
    )
    scaffold_from_tools: bool = Field(True, description="add the names and JSON pieces of tools.json")

    @model_validator(mode="after")
    def _digits_fit(self) -> Self:
        if self.digits == "triple" and self.pre_tokenizer in SINGLE_DIGITS:
            raise ValueError(f"digits: triple, but pre_tokenizer {self.pre_tokenizer} splits single digits")
        return self


class TokenizeConfig(Config):
    """What becomes a shard: text by language (kept and held out), conversation sets, document sets, preferences."""

    languages: tuple[str, ...] | None = Field(None, description="languages of the corpus; None: all that it has")
    held_out: bool = True
    sets: tuple[str, ...] = ("commands_train", "reasoning_midtrain", "reasoning_train")
    document_sets: tuple[str, ...] = ("copying.docs", "commands.docs")
    preferences: bool = True
    max_conversation_tokens: int | None = Field(None, ge=8, description="longer conversations are left out and counted")
    max_document_tokens: int | None = Field(None, ge=8, description="longer documents are cut there and counted")
