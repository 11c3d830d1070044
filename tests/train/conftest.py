"""Small real shards, a tokenizer folder and stage contexts for the trainer's tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from smolforge.store import Artifact, Manifest, StageContext, digest_file
from smolforge.tokens.shards import ShardWriter

VOCAB = 64
MODEL = {
    "preset": "nano",
    "hidden_size": 32,
    "intermediate_size": 48,
    "n_layers": 4,
    "n_heads": 4,
    "n_kv_heads": 2,
    "max_position_embeddings": 64,
}


def artifact(path: Path, stage: str) -> Artifact:
    return Artifact(path, Manifest(stage, "0" * 16, "1", {}, {}, 0))


def counting_documents(count: int, seed: int) -> list[list[int]]:
    """Documents that count upwards from a random start: something a tiny model can learn."""
    draw = np.random.default_rng(seed)
    return [
        [3 + (int(start) + i) % (VOCAB - 3) for i in range(int(length))]
        for start, length in zip(draw.integers(0, 60, count), draw.integers(5, 20, count), strict=True)
    ]


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Artifact]:
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "tokenizer.json").write_text('{"a": "stand-in for the digest"}')
    (tokenizer / "special_tokens.json").write_text(
        json.dumps({"vocab_size": VOCAB, "ids": {"<|im_end|>": 1, "<|pad|>": 2}})
    )
    digest = digest_file(tokenizer / "tokenizer.json")
    shards = tmp_path / "tokenize"
    for number, name in enumerate(("text-en", "text-fr", "preferences/chosen", "preferences/rejected")):
        with ShardWriter(shards / name, vocab_size=VOCAB, tokenizer=digest, name=name) as writer:
            for document in counting_documents(120, number):
                if name.endswith("rejected"):
                    document = document[:3] + document[3:][::-1]
                mask = [0] * 3 + [1] * (len(document) - 3) if "preferences" in name else None
                writer.add(document, mask)
    return {"tokenizer": artifact(tokenizer, "tokenizer"), "tokenize": artifact(shards, "tokenize")}


@pytest.fixture
def context(tmp_path: Path, inputs: dict[str, Artifact]) -> Callable[..., StageContext]:
    def make(name: str, **more: Artifact) -> StageContext:
        work = tmp_path / "work" / name / "stage-0"  # the folder names the stage, and with it the order of its data
        work.mkdir(parents=True, exist_ok=True)
        return StageContext(work, {**inputs, **more}, seed=7)

    return make
