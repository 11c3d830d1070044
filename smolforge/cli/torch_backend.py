"""A model opened in torch, in float32: the slow reference behind ``--backend torch``.

Input is a model folder or a GGUF file. Output is a chat model whose answers can be compared with the engine's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from smolforge.errors import MissingDependencyError

if TYPE_CHECKING:
    from smolforge.model.decoder import Decoder
    from smolforge.tasks.chat import ChatModel
    from smolforge.tokens.template import ChatCodec


def open_in_torch(path: Path) -> ChatModel:
    """Open ``path``; MissingDependencyError without torch."""
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("torch", "train", "the torch backend") from None
    from smolforge.model.checkpoint import load_pretrained
    from smolforge.model.generator import TorchGenerator
    from smolforge.tasks.chat import ChatModel
    from smolforge.tokens.template import ChatCodec

    if path.suffix == ".gguf":
        decoder, codec = _read_gguf(path)
    else:
        decoder, codec = load_pretrained(path, dtype=torch.float32), ChatCodec.open(path)
    shape = decoder.config
    return ChatModel(TorchGenerator(decoder.eval()), codec, shape.vocab_size, shape.max_position_embeddings)


def _read_gguf(path: Path) -> tuple[Decoder, ChatCodec]:
    """Read a GGUF file's weights to float32, and its tokenizer: the answers are those of the quantized weights."""
    import torch
    from tokenizers import Tokenizer

    from smolforge.formats.gguf_model import GGUFModel
    from smolforge.formats.gguf_tokenizer import to_tokenizer_json
    from smolforge.model.checkpoint import load_tensors
    from smolforge.model.decoder import Decoder
    from smolforge.model.hf_config import from_hf
    from smolforge.tokens.template import ChatCodec

    model = GGUFModel(path)
    tensors = {name: torch.from_numpy(array) for name, array in model.tensors()}
    decoder = load_tensors(Decoder(from_hf(model.config, where=str(path))), tensors, where=str(path))
    return decoder, ChatCodec(Tokenizer.from_str(json.dumps(to_tokenizer_json(model.tokenizer))))
