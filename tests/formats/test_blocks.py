"""Block types: agreement with the reference package bit for bit, and invariants of each layout."""

from __future__ import annotations

import numpy as np
import pytest

from smolforge.errors import FormatError
from smolforge.formats.blocks import BLOCK_TYPES, ENCODERS, block_type, dequantize, quantize
from smolforge.formats.k_encode import K_ENCODERS

rng = np.random.default_rng(7)


def weights(rows: int = 64, columns: int = 512) -> np.ndarray:
    x = (rng.standard_normal((rows, columns)) * rng.choice([1e-3, 0.02, 1.0, 300.0], (rows, 1))).astype(np.float32)
    x[3] = 0
    x[4, :32] = 0.25  # a constant block
    x[5, :32] = -np.arange(32) / 8  # the extreme is negative
    x[6, 0:2] = [1.5, -1.5]  # a tie of magnitudes
    return x


@pytest.mark.parametrize("name", sorted(set(ENCODERS) - {"F32"} - set(K_ENCODERS)))
def test_written_bytes_are_those_of_the_reference(name: str) -> None:
    reference = pytest.importorskip("gguf")
    x = weights()
    ours = quantize(x, block_type(name))
    theirs = reference.quants.quantize(x, reference.GGMLQuantizationType[name])
    np.testing.assert_array_equal(ours, theirs.view(np.uint8).reshape(ours.shape))


@pytest.mark.parametrize("name", sorted(BLOCK_TYPES))
def test_values_read_are_those_of_the_reference(name: str) -> None:
    reference = pytest.importorskip("gguf")
    kind = block_type(name)
    raw = rng.integers(0, 120, (32, kind.row_size(512)), dtype=np.uint8)  # below 0x7c: no infinite half anywhere
    theirs = reference.quants.dequantize(raw, reference.GGMLQuantizationType[name])
    ours = dequantize(raw, kind, (32, 512))
    assert np.isfinite(ours).all()
    np.testing.assert_array_equal(ours, theirs.reshape(32, 512))


@pytest.mark.parametrize(("name", "steps"), [("Q8_0", 127), ("Q4_0", 8), ("Q5_0", 16)])
def test_error_stays_within_one_step_of_the_block_scale(name: str, steps: int) -> None:
    x = weights()
    kind = block_type(name)
    error = np.abs(dequantize(quantize(x, kind), kind, x.shape) - x).reshape(-1, 32).max(axis=1)
    scale = np.abs(x).reshape(-1, 32).max(axis=1) / steps
    assert (error <= scale * 1.01 + 1e-7).all()


def test_q8_0_rounds_halves_away_from_zero_and_nothing_below_a_half_up() -> None:
    row = np.zeros((1, 32), np.float32)
    row[0, :6] = [127, 0.5, -0.5, 2.5, np.nextafter(np.float32(0.5), np.float32(0)), -1.5]
    codes = quantize(row, block_type("q8_0"))[0, 2:8].view(np.int8)
    assert codes.tolist() == [127, 1, -1, 3, 0, -2]


def test_a_row_that_is_not_whole_blocks_is_refused() -> None:
    with pytest.raises(FormatError, match="row of 40 weights cannot be Q4_0"):
        quantize(np.zeros((2, 40), np.float32), block_type("Q4_0"))


def test_weights_that_are_not_finite_are_refused() -> None:
    bad = np.full((1, 32), np.nan, np.float32)
    with pytest.raises(FormatError, match="NaN"):
        quantize(bad, block_type("Q8_0"))
    with pytest.raises(FormatError, match="float16"):
        quantize(np.full((1, 32), 3e38, np.float32), block_type("Q4_0"))


def test_unknown_type_names_the_nearest() -> None:
    with pytest.raises(FormatError, match="did you mean 'Q4_0'"):
        block_type("q40")
