"""Whether a model fits a machine and how fast it would be, from its shape alone: no weight is read.

Input: a flat config, the types its file stores (or none yet), a context, a memory budget and a read bandwidth. Output:
one ``Estimate`` for each way to keep weights and keys and values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from smolforge.engine.architectures import tensor_shapes
from smolforge.engine.files import Weights
from smolforge.engine.memory_budget import LEAST_PAGES
from smolforge.engine.sequence import DRAFT_ROOM
from smolforge.engine.weights import targets
from smolforge.formats.hf_folder import EMBEDDING, HEAD

# Bits a weight takes once it is packed (native/packed.h): 16 rows of codes and scales.
PACKED_BITS = {
    "F32": 32.0, "F16": 16.0, "BF16": 16.0, "Q4_0": 4.5, "Q4_1": 5.0, "Q4_K": 4.625, "Q5_0": 8.5, "Q5_1": 9.0,
    "Q5_K": 8.625, "Q8_0": 8.5, "Q6_K": 8.5625, "Q3_K": 8.5625, "Q2_K": 9.125, "IQ4_NL": 8.5, "IQ4_XS": 8.5625,
}  # fmt: skip
KV_KINDS = ("f16", "q8", "q4")
PAGE_TOKENS = 64  # native/kv.h
# What a step reaches of the read bandwidth, and what it costs besides reading (benchmarks/engine.py).
SHARE, STEP_SECONDS = 0.8, 0.4e-3
PROCESS_BYTES = 140e6  # Python, NumPy, a tokenizer, the kernels' own buffers
CHUNK_ROWS = 512  # prompt tokens computed together


@dataclass(frozen=True)
class Estimate:
    """One way to keep a model. Bytes; tokens per second with an empty and with a full context."""

    weights: str
    kv: str
    weight_bytes: int
    kv_bytes: int
    work_bytes: int
    fits: bool
    tokens_per_second: float
    tokens_per_second_full: float

    @property
    def total_bytes(self) -> int:
        """Everything that must be in memory."""
        return self.weight_bytes + self.kv_bytes + self.work_bytes

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return {**asdict(self), "total_bytes": self.total_bytes}


def estimate(
    config: Mapping[str, Any], stored: Mapping[str, str] | None, context: int, memory: float, bandwidth: float
) -> list[Estimate]:
    """Return what each way takes, best quality first.

    ``stored``: ggml type by Hugging Face tensor name, of a file whose weights stay as they are; None: not quantized
    yet, so 16, 8 and 4 bits are all possible. ``memory`` in bytes, ``bandwidth`` in bytes per second.
    """
    shapes = tensor_shapes(config, "this shape")
    ways: list[tuple[str, Mapping[str, str]]]
    if stored is None:
        kinds: tuple[Weights, ...] = ("bf16", "q8", "q4")
        ways = [(kind, targets(shapes, kind)) for kind in kinds]
    else:
        ways = [("as stored", stored)]
    limits = context, memory, bandwidth
    return [_estimate(config, name, types, kv, limits) for name, types in ways for kv in KV_KINDS]


def best(estimates: Sequence[Estimate]) -> Estimate | None:
    """Return the first that fits: weights count more for quality than keys and values."""
    return next((one for one in estimates if one.fits), None)


def weight_bytes(config: Mapping[str, Any], types: Mapping[str, str]) -> tuple[int, int]:
    """Return the bytes of all packed weights, and of those that one step reads: all but an untied embedding.

    ``types``: ggml type by Hugging Face tensor name.
    """
    shapes = tensor_shapes(config, "this shape")
    sizes = {name: int(math.prod(shape) * _bits(types, name, shape) / 8) for name, shape in shapes.items()}
    total = sum(sizes.values())
    return total, total - (sizes[EMBEDDING] if HEAD in sizes else 0)


def kv_token_bytes(config: Mapping[str, Any], kind: str) -> int:
    """Return the bytes that one token's keys and values take in all layers (native/kv.h)."""
    dim = -(-config["head_dim"] // 32) * 32
    codes = {"f16": 2 * dim, "bf16": 2 * dim, "q8": dim, "q4": dim // 2}[kind]
    scales = {"f16": 0, "bf16": 0, "q8": 4, "q4": dim // 32 * 4}[kind]
    return int(2 * (codes + scales) * config["num_key_value_heads"] * config["num_hidden_layers"])


def _estimate(
    config: Mapping[str, Any],
    name: str,
    types: Mapping[str, str],
    kv: str,
    limits: tuple[int, float, float],
) -> Estimate:
    context, memory, bandwidth = limits
    weights, read = weight_bytes(config, types)
    token_bytes = kv_token_bytes(config, kv)
    pages = max(LEAST_PAGES, -(-(context + DRAFT_ROOM) // PAGE_TOKENS))
    kv_bytes = pages * PAGE_TOKENS * token_bytes
    work = int(PROCESS_BYTES + 4 * CHUNK_ROWS * (3 * config["intermediate_size"] + 6 * config["hidden_size"]))
    work += 4 * 8 * config["vocab_size"]
    return Estimate(
        weights=name,
        kv=kv,
        weight_bytes=weights,
        kv_bytes=kv_bytes,
        work_bytes=work,
        fits=weights + kv_bytes + work <= memory,
        tokens_per_second=_rate(read, bandwidth),
        tokens_per_second_full=_rate(read + context * token_bytes, bandwidth),
    )


def _bits(types: Mapping[str, str], tensor: str, shape: tuple[int, ...]) -> float:
    return PACKED_BITS[types[tensor]] if len(shape) == 2 else 32.0


def _rate(n_bytes: int, bandwidth: float) -> float:
    return 1 / (n_bytes / bandwidth / SHARE + STEP_SECONDS)
