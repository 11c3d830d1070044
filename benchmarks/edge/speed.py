"""Kernels and forward passes against ``llama-bench``: the rows of the table that need no answers, only speed.

In: the two model files. Out: claims. Ours is one C++ forward pass a step with logits, as llama-bench times theirs;
sampling and text are in the rows of ``concurrent.py`` and ``extraction.py``.
"""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from . import machine, models, ours, peer
from .calm import in_turn
from .claims import Claim
from .setting import Setting

WARM = 64
PASSES = 6
DEEP, STEPS, CHUNK = 16384, 32, 512


def _sequence(path: Path, setting: Setting, context: int, kv: str = "f16") -> ours.Sequence:
    sequence = ours.Sequence(ours.load(path, setting.threads), context, kv)
    sequence.prefill(WARM)
    return sequence


def _pair(
    name: str, path: Path, what: Literal["prefill", "decode"], tokens: int, target: float, setting: Setting
) -> Claim:
    """Claim tokens per second of a prompt of ``tokens``, or of so many tokens one by one."""
    sequence = _sequence(path, setting, 1024)
    work = sequence.prefill if what == "prefill" else sequence.decode
    pair = in_turn(
        partial(work, tokens), partial(peer.bench, path, threads=setting.threads, **{what: tokens}), setting.turns
    )
    return Claim(name, pair.ours, pair.peer, target, "tok/s", note=pair.note)


def small_decode(setting: Setting) -> list[Claim]:
    """135M Q4_0, 128 tokens one by one."""
    return [_pair("135M Q4_0 decode", models.small(), "decode", 128, 2.2, setting)]


def small_prefill(setting: Setting) -> list[Claim]:
    """135M Q4_0, a prompt of 512 tokens."""
    return [_pair("135M Q4_0 prefill 512", models.small(), "prefill", 512, 2.3, setting)]


def large_prefill(setting: Setting) -> list[Claim]:
    """3B shape, a prompt of 256 tokens."""
    return [_pair("3B-shape Q4_0 prefill 256", models.large(), "prefill", 256, 1.6, setting)]


def large_decode(setting: Setting) -> list[Claim]:
    """3B shape, 16 tokens one by one; and the share of the read bandwidth, measured between the same turns."""
    path, read = models.large(), []
    sequence = _sequence(path, setting, 1024)

    def mine() -> float:
        read.append(machine.read_bandwidth(setting.threads))
        return sequence.decode(16)

    pair = in_turn(mine, lambda: peer.bench(path, threads=setting.threads, decode=16), setting.turns)
    bandwidth, weights = statistics.median(read), path.stat().st_size / 1e9
    share = f"{pair.ours * weights:.1f} of {bandwidth:.1f} GB/s"
    return [
        Claim("3B-shape Q4_0 decode", pair.ours, pair.peer, 1.4, "tok/s", note=pair.note),
        Claim(
            "3B decode, share of bandwidth", pair.ours * weights / bandwidth, None, 0.8, "of what is read", note=share
        ),
    ]


def long_decode(setting: Setting) -> list[Claim]:
    """Decoding behind 16,384 tokens, 8-bit keys and values on both sides, flash attention on theirs."""
    path = models.long()
    sequence = ours.Sequence(ours.load(path, setting.threads), DEEP + STEPS, "q8")
    for start in range(0, DEEP, CHUNK):
        sequence.forward(sequence.random(CHUNK), start, np.zeros(0, np.int32))
    options = ["-fa", "1", "-ctk", "q8_0", "-ctv", "q8_0"]
    pair = in_turn(
        lambda: sequence.decode(STEPS, DEEP),
        lambda: peer.bench(path, threads=setting.threads, decode=STEPS, depth=DEEP, options=options),
        min(setting.turns, 3),  # reading the 16k takes them most of a minute
    )
    return [Claim("decode behind 16k tokens, q8 KV", pair.ours, pair.peer, 1.0, "tok/s", note=pair.note)]


def large_rows(setting: Setting) -> list[Claim]:
    """3B shape: what a pass of 4 and of 8 rows costs against a pass of one."""
    sequence = _sequence(models.large(), setting, 1024)
    claims = []
    for rows, target in ((4, 1.25), (8, 2.0)):
        many = partial(sequence.rows, rows, WARM, PASSES)
        pair = in_turn(many, partial(sequence.rows, 1, WARM, PASSES), setting.turns)
        times = pair.ours / pair.peer
        claims.append(Claim(f"3B pass of {rows} rows against 1", times, None, target, "× the time", "lower", pair.note))
    return claims
