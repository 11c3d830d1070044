"""Which files a model consists of, so that a change of any of them is noticed.

In: a path. Out: the files, or a refusal that says what a model looks like.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from smolforge.errors import ConfigError
from smolforge.formats.hf_folder import weight_files
from smolforge.formats.hf_tokenizer import GENERATION, SETTINGS, TEMPLATE, TOKENIZER

Weights = Literal["auto", "q4", "q8", "bf16", "f32"]
WEIGHTS: tuple[Weights, ...] = ("auto", "q4", "q8", "bf16", "f32")
SIDE_FILES = (TOKENIZER, TEMPLATE, SETTINGS, GENERATION)


def model_files(path: Path) -> list[Path]:
    """Return every file that a model at ``path`` is read from; ConfigError if there is no model."""
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ConfigError(f"{path}: not a model; expected a folder with config.json, or a .gguf file")
        sides = [path / name for name in SIDE_FILES if (path / name).is_file()]
        return [path / "config.json", *sides, *weight_files(path)]
    if not path.is_file():
        raise ConfigError(f"{path}: no such model; expected a .gguf file, or a folder with config.json")
    return [path]
