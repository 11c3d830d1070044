"""A GGUF file opened as a model: Hugging Face config, Hugging Face tensor names and row order, tokenizer.

In: a path to a file of architecture ``llama`` or ``smollm3``. Out: ``GGUFModel``; its weights come as float32 arrays or
as the stored blocks, one tensor at a time. Anything that would compute something else is refused on opening.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import FormatError
from smolforge.formats.blocks import BlockType
from smolforge.formats.gguf_metadata import ROPE_FACTORS, read_shape
from smolforge.formats.gguf_names import expected_shapes, gguf_name, rotary_heads, to_hf_rows
from smolforge.formats.gguf_read import GGUFFile, TensorInfo
from smolforge.formats.gguf_tokenizer import TokenizerData, read_tokenizer


class GGUFModel:
    """An open GGUF model. ``config`` is the flat form of ``smolforge.formats.hf_config``.

    ``shapes``: Hugging Face tensor name → NumPy shape, in forward order; a tied head is not among them.
    """

    def __init__(self, path: Path) -> None:
        """Open and check; FormatError names file and key or tensor."""
        self.file = GGUFFile(path)
        self.path = path
        self.config: dict[str, Any] = read_shape(self.file)
        self.shapes = expected_shapes(self.config)
        self._check_tensors()
        self.tokenizer: TokenizerData = read_tokenizer(self.file)
        n_tokens, n_rows = len(self.tokenizer.tokens), self.config["vocab_size"]
        if n_tokens != n_rows:
            raise FormatError(f"{path}: {n_tokens} tokens, but {n_rows} rows in 'token_embd.weight'")

    def _check_tensors(self) -> None:
        expected = {gguf_name(name): shape for name, shape in self.shapes.items()}
        for name, info in self.file.tensors.items():
            if name == ROPE_FACTORS:  # already part of the config
                continue
            if name not in expected:
                raise FormatError(f"{self.path}: tensor '{name}' is not part of this architecture as we compute it")
            if info.shape != expected[name]:
                raise FormatError(f"{self.path}: tensor '{name}' has shape {info.shape}, expected {expected[name]}")
        for name in expected:
            self.file.info(name)

    def info(self, name: str) -> TensorInfo:
        """Where a tensor lies in the file, by its Hugging Face name."""
        return self.file.info(gguf_name(name))

    def array(self, name: str) -> NDArray[np.float32]:
        """One tensor by its Hugging Face name, dequantized to float32, rows in Hugging Face order."""
        weights = self.file.array(gguf_name(name))
        heads = rotary_heads(name, self.config)
        return to_hf_rows(weights, heads) if heads else weights

    def blocks(self, name: str) -> tuple[NDArray[np.uint8], BlockType]:
        """One tensor's stored bytes (rows, bytes per row), rows in Hugging Face order, and their type."""
        info = self.info(name)
        raw = self.file.raw(info.name).reshape(-1, info.kind.row_size(info.shape[-1]))
        heads = rotary_heads(name, self.config)
        return (to_hf_rows(raw, heads) if heads and len(info.shape) > 1 else raw), info.kind

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Every tensor as (Hugging Face name, float32 array), one at a time."""
        for name in self.shapes:
            yield name, self.array(name)
