"""Configuration of the ``export`` stage: which files to write, in which types, and how much to check them.

Read by the recipe; importing this module is cheap.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smolforge.store.config import Config

Format = Literal["hf", "gguf-f16", "gguf-q8_0", "gguf-q4_0"]


class ExportConfig(Config):
    """Each format is a file or folder of its own with a ``parity.json`` beside it."""

    subject: str = Field("merge", description="the stage whose model is exported")
    formats: tuple[Format, ...] = ("hf", "gguf-f16", "gguf-q8_0", "gguf-q4_0")
    hf_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    head_type: Literal["F16", "Q8_0", "Q4_0"] = Field(
        "Q8_0", description="type of the output head (the embedding, when tied) in the q4_0 file"
    )
    scale_search: bool = Field(
        True, description="choose Q4_0 scales by least weighted error, not by the largest weight"
    )
    calibration_set: str | None = Field(
        "commands_train", description="conversations that weigh the columns; None: alike"
    )
    calibration_items: int = Field(128, ge=1)
    parity_set: str = Field("commands_seen", description="held-out conversations whose answers are compared")
    parity_items: int = Field(200, ge=1, description="answers generated and compared for each format")
    parity_prompts: int = Field(32, ge=1, description="of them, so many whose logits are compared at every position")
    max_new_tokens: int = Field(128, ge=1)
    llama_cpp_prompts: int = Field(10, ge=0, description="prompts also given to llama.cpp, if xllamacpp is installed")
    llama_cpp_tokens: int = Field(48, ge=1)
    name: str = "smolforge"
