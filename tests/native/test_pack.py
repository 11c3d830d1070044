"""Packed layouts: every GGUF type repacks exactly, and the bytes lie where `native/packed.h` draws them.

`packed_q4` and `packed_q8` are that drawing in NumPy.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smolforge.engine import _native
from smolforge.formats.blocks import BLOCK_TYPES, BlockType, dequantize

ROWS, COLS = 37, 512
# Where the half floats of a block lie; random bytes there would be infinities.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}  # fmt: skip
FLOATS = {"F32": np.float32, "F16": np.float16}


def random_blocks(kind: BlockType) -> NDArray[np.uint8]:
    """Bytes of a (ROWS, COLS) tensor in which every code and every scale of the type occurs."""
    rng = np.random.default_rng(kind.id)
    if kind.name in FLOATS:
        return rng.normal(size=(ROWS, COLS)).astype(FLOATS[kind.name]).view(np.uint8)
    if kind.name == "BF16":
        upper = rng.normal(size=(ROWS, COLS)).astype(np.float32).view(np.uint16)[:, 1::2]
        return np.ascontiguousarray(upper).view(np.uint8)
    raw = rng.integers(0, 256, (ROWS, COLS // kind.values, kind.size), dtype=np.uint8)
    for at in HALVES[kind.name]:
        raw[..., at : at + 2] = rng.normal(size=(*raw.shape[:2], 1)).astype(np.float16).view(np.uint8)
    return raw.reshape(ROWS, -1)


def rows_of(packed: _native.Packed) -> NDArray[np.float32]:
    return np.stack([packed.row(i) for i in range(packed.rows)])


@pytest.mark.parametrize("name", sorted(BLOCK_TYPES))
def test_a_packed_row_dequantizes_to_the_bits_of_its_gguf_row(name: str) -> None:
    kind = BLOCK_TYPES[name]
    raw = random_blocks(kind)
    got = rows_of(_native.pack(raw.reshape(-1), name, ROWS, COLS))
    assert np.array_equal(got.view(np.uint32), dequantize(raw, kind, (ROWS, COLS)).view(np.uint32))


def test_rows_are_packed_in_the_order_asked_for() -> None:
    raw = random_blocks(BLOCK_TYPES["Q4_K"]).reshape(-1)
    order = np.random.default_rng(1).permutation(ROWS).astype(np.int32)
    plain, ordered = _native.pack(raw, "Q4_K", ROWS, COLS), _native.pack(raw, "Q4_K", ROWS, COLS, order)
    assert np.array_equal(rows_of(ordered), rows_of(plain)[order])


def by_panel(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(rows, blocks, bytes) to (panels, blocks, 16, bytes), with zeros for the rows that fill the last panel."""
    padded = np.zeros((-(-len(rows) // 16) * 16, *rows.shape[1:]), np.uint8)
    padded[: len(rows)] = rows
    return padded.reshape(-1, 16, *rows.shape[1:]).swapaxes(1, 2)


def with_scales(vectors: NDArray[np.uint8], scales: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Panels of codes, then scales; both multiples of 64 bytes here."""
    panels = len(vectors)
    return np.concatenate([vectors.reshape(panels, -1), scales.reshape(panels, -1)], axis=1).reshape(-1)


def packed_q4(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Q4_0 as panels: byte 4 r + i of vector j holds columns 4 j + i (low) and 16 + 4 j + i (high) of row r."""
    blocks = by_panel(raw.reshape(ROWS, -1, 18))
    vectors = blocks[..., 2:].reshape(*blocks.shape[:3], 4, 4).swapaxes(2, 3)  # panel, block, j, row, i
    return with_scales(np.ascontiguousarray(vectors), np.ascontiguousarray(blocks[..., :2]))


def packed_q8(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Q8_0 as panels: byte 4 r + i of vector j holds column 4 j + i of row r."""
    blocks = by_panel(raw.reshape(ROWS, -1, 34))
    vectors = blocks[..., 2:].reshape(*blocks.shape[:3], 8, 4).swapaxes(2, 3)
    return with_scales(np.ascontiguousarray(vectors), np.ascontiguousarray(blocks[..., :2]))


@pytest.mark.parametrize(("name", "reference"), [("Q4_0", packed_q4), ("Q8_0", packed_q8)])
def test_bytes_lie_as_drawn(name: str, reference: object) -> None:
    raw = random_blocks(BLOCK_TYPES[name])
    assert callable(reference)
    assert np.array_equal(_native.pack(raw.reshape(-1), name, ROWS, COLS).buffer(), reference(raw))


def test_a_packed_q4_takes_no_more_bits_than_the_file() -> None:
    packed = _native.pack(np.zeros(64 * 512 // 32 * 18, np.uint8), "Q4_0", 64, 512)
    assert packed.nbytes == 64 * 512 * 4.5 / 8


@pytest.mark.parametrize(
    ("name", "rows", "cols", "message"),
    [
        ("Q4_0", 16, 48, "multiple of 32"),
        ("F32", 16, 31, "multiple of 32"),
        ("Q4_K", 16, 128, "multiple of 256"),
        ("Q4_9", 1, 32, "Q4_0, Q4_1"),
    ],
)
def test_what_cannot_be_packed_is_refused_by_name(name: str, rows: int, cols: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _native.pack(np.zeros(1 << 16, np.uint8), name, rows, cols)
