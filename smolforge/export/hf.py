"""A decoder as a Hugging Face folder: ``transformers`` opens it as it is and gives the same logits.

In: a decoder and the tokenizer stage's folder. Out: ``config.json``, ``model.safetensors``, ``generation_config.json``
and the tokenizer files with the chat template.
"""

from __future__ import annotations

from pathlib import Path

import torch

from smolforge.export.tokenizer import copy_tokenizer, token_ids
from smolforge.model.checkpoint import save_pretrained
from smolforge.model.decoder import Decoder

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def write_folder(folder: Path, decoder: Decoder, tokenizer: Path, dtype: str) -> None:
    """Write the folder; ``dtype`` ("float32", "bfloat16", "float16") is the type of the stored weights."""
    save_pretrained(decoder, folder, dtype=DTYPES[dtype], ids=token_ids(tokenizer))
    copy_tokenizer(tokenizer, folder)
