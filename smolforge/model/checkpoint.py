"""Hugging Face model folders: ``config.json``, ``model.safetensors`` (or shards and an index), generation config.

Input: a decoder, or a folder. Output: a folder, or a decoder. The fused QKV and gate-up matrices are split into the
names that transformers uses, and fused again. safetensors only; a missing, unexpected or mis-shaped tensor is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smolforge.errors import DataError, FormatError, MissingDependencyError
from smolforge.formats.hf_config import flat_config
from smolforge.formats.hf_folder import HFTensors
from smolforge.model.config import ModelConfig, YarnConfig
from smolforge.model.decoder import Decoder
from smolforge.model.hf_config import TokenIds, from_hf, to_hf
from smolforge.store import read_json, write_json

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}


def hf_parts(config: ModelConfig) -> dict[str, list[tuple[str, int]]]:
    """Return, for each decoder parameter, the Hugging Face tensors stacked in it: (name, rows), top to bottom."""
    query, kv, hidden, inner = config.query_size, config.kv_size, config.hidden_size, config.intermediate_size
    parts = {"embed.weight": [("model.embed_tokens.weight", config.vocab_size)]}
    for i in range(config.n_layers):
        ours, theirs = f"layers.{i}", f"model.layers.{i}"
        for kind in ("weight", "bias") if config.attention_bias else ("weight",):
            stacked = (("q", query), ("k", kv), ("v", kv))
            parts[f"{ours}.attention.qkv.{kind}"] = [
                (f"{theirs}.self_attn.{n}_proj.{kind}", rows) for n, rows in stacked
            ]
            parts[f"{ours}.attention.out.{kind}"] = [(f"{theirs}.self_attn.o_proj.{kind}", hidden)]
        for kind in ("weight", "bias") if config.mlp_bias else ("weight",):
            parts[f"{ours}.mlp.gate_up.{kind}"] = [(f"{theirs}.mlp.{n}_proj.{kind}", inner) for n in ("gate", "up")]
            parts[f"{ours}.mlp.down.{kind}"] = [(f"{theirs}.mlp.down_proj.{kind}", hidden)]
        parts[f"{ours}.attention_norm.weight"] = [(f"{theirs}.input_layernorm.weight", hidden)]
        parts[f"{ours}.mlp_norm.weight"] = [(f"{theirs}.post_attention_layernorm.weight", hidden)]
    parts["norm.weight"] = [("model.norm.weight", hidden)]
    if not config.tie_word_embeddings:
        parts["head.weight"] = [("lm_head.weight", config.vocab_size)]
    return parts


def hf_tensors(decoder: Decoder, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Return the weights under Hugging Face names, contiguous, on the CPU; a tied head is left out, as is usual."""
    parameters = dict(decoder.named_parameters())
    tensors = {}
    for ours, stacked in hf_parts(decoder.config).items():
        pieces = torch.split(parameters[ours].detach(), [rows for _, rows in stacked])
        for (name, _), piece in zip(stacked, pieces, strict=True):
            tensors[name] = piece.to("cpu", dtype or piece.dtype).contiguous()
    return tensors


def load_tensors(decoder: Decoder, tensors: Mapping[str, Tensor], *, where: str = "tensors") -> Decoder:
    """Fill the decoder in place from Hugging Face names; values are cast to each parameter's dtype.

    FormatError names the first missing, unexpected or mis-shaped tensor. A ``lm_head.weight`` beside tied weights is
    accepted only when it equals the embedding. ``rotary_emb.inv_freq`` buffers of old checkpoints are ignored.
    """
    parameters = dict(decoder.named_parameters())
    parts = hf_parts(decoder.config)
    _check_names(decoder.config, parts, tensors, where)
    with torch.no_grad():
        for ours, stacked in parts.items():
            pieces = torch.split(parameters[ours], [rows for _, rows in stacked])
            for (name, _), piece in zip(stacked, pieces, strict=True):
                if tuple(tensors[name].shape) != tuple(piece.shape):
                    raise FormatError(
                        f"{where}: tensor '{name}' has shape {list(tensors[name].shape)}, expected {list(piece.shape)}"
                    )
                piece.copy_(tensors[name])
    return decoder


def _check_names(
    config: ModelConfig, parts: Mapping[str, list[tuple[str, int]]], tensors: Mapping[str, Tensor], where: str
) -> None:
    expected = {name for stacked in parts.values() for name, _ in stacked}
    extra = {name for name in tensors if not name.endswith("rotary_emb.inv_freq")} - expected
    if config.tie_word_embeddings and "lm_head.weight" in extra:
        if not torch.equal(tensors["lm_head.weight"], tensors["model.embed_tokens.weight"]):
            raise FormatError(f"{where}: 'lm_head.weight' differs from the embedding, but the configuration ties them")
        extra.discard("lm_head.weight")
    if missing := sorted(expected - set(tensors)):
        raise FormatError(f"{where}: tensor '{missing[0]}' is missing ({len(missing)} of {len(expected)} are)")
    if extra:
        raise FormatError(
            f"{where}: tensor '{min(extra)}' is not part of this architecture ({len(extra)} such tensors)"
        )


def save_pretrained(
    decoder: Decoder, folder: Path, *, dtype: torch.dtype | None = None, ids: TokenIds | None = None
) -> None:
    """Write the model folder; ``dtype`` (default: that of the weights) is the stored type, ``ids`` the special tokens.

    The weights appear under their final name only when whole. Other files in the folder (a tokenizer) stay.
    """
    save_file = _safetensors().save_file
    tensors, ids = hf_tensors(decoder, dtype), ids or TokenIds()
    stored = next(iter(tensors.values())).dtype
    if stored not in _DTYPES:
        raise FormatError(f"{folder}: weights of type {stored} are not stored; use float32, bfloat16 or float16")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{WEIGHTS}.part"
    save_file(tensors, str(part), metadata={"format": "pt"})
    part.replace(folder / WEIGHTS)
    config = to_hf(decoder.config, ids=ids, dtype=_DTYPES[stored])
    write_json(folder / "config.json", config)
    special = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id") if config[key] is not None}
    write_json(folder / "generation_config.json", {"_from_model_config": True, **special})


def load_pretrained(
    folder: Path,
    dtype: torch.dtype = torch.float32,
    *,
    rope_scaling: YarnConfig | None = None,
    max_position_embeddings: int | None = None,
) -> Decoder:
    """Read a model folder. ``rope_scaling`` and ``max_position_embeddings`` replace what is stored (YaRN).

    FormatError or DataError names the file and the tensor or key at fault; a configuration that the tensors do not fit
    is refused before memory is taken for it.
    """
    config = from_hf(read_json(folder / "config.json"), where=str(folder / "config.json"))
    changes: dict[str, Any] = {"rope_scaling": rope_scaling, "max_position_embeddings": max_position_embeddings}
    config = config.with_(**{key: value for key, value in changes.items() if value is not None})
    HFTensors(folder).check(flat_config(to_hf(config), str(folder)))  # headers only, before anything is allocated
    with torch.device("meta"):
        decoder = Decoder(config)
    decoder = decoder.to_empty(device="cpu").to(dtype)
    return load_tensors(decoder, read_tensors(folder), where=str(folder))


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Return every tensor of ``model.safetensors``, or of the shards that ``model.safetensors.index.json`` lists."""
    if (folder / INDEX).is_file():
        return dict(_read_shards(folder))
    if not (folder / WEIGHTS).is_file():
        raise DataError(f"{folder}: neither {WEIGHTS} nor {INDEX} is there")
    return _read_file(folder / WEIGHTS)


def _read_shards(folder: Path) -> Iterator[tuple[str, Tensor]]:
    index = read_json(folder / INDEX)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise FormatError(f"{folder / INDEX}: no 'weight_map'")
    for shard in sorted(set(weight_map.values())):
        if Path(shard).name != shard:
            raise FormatError(f"{folder / INDEX}: shard '{shard}' is not a file name in this folder")
        tensors = _read_file(folder / shard)
        for name in (name for name, at in weight_map.items() if at == shard):
            if name not in tensors:
                raise FormatError(f"{folder / shard}: tensor '{name}' is missing, though the index says it is here")
            yield name, tensors[name]


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = _safetensors().load_file(str(path))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:  # the library's own exception type is not exported in every version
        raise FormatError(f"{path}: not a whole safetensors file ({error})") from None
    return tensors


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError:
        raise MissingDependencyError("safetensors", "train", "reading and writing model folders") from None
    return safetensors.torch
