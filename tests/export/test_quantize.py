"""Which tensor gets which type, and the scale search: a valid layout whose error is never above the reference's."""

from __future__ import annotations

import numpy as np
import pytest

from smolforge.errors import FormatError
from smolforge.export.quantize import encode, plan_types
from smolforge.formats.blocks import block_type, dequantize, quantize
from smolforge.formats.scale_search import search_q4_0

Q4_0 = block_type("Q4_0")


def shapes(width: int = 64, tied: bool = True) -> dict[str, tuple[int, ...]]:
    head = {} if tied else {"lm_head.weight": (500, width)}
    up = "model.layers.0.mlp.up_proj.weight"
    return {"model.embed_tokens.weight": (500, width), up: (128, width), "model.norm.weight": (width,), **head}


def names(plan: dict[str, object]) -> dict[str, str]:
    return {name: stored.kind.name for name, stored in plan.items()}  # type: ignore[attr-defined]


def test_the_head_has_its_own_type_and_vectors_stay_float() -> None:
    assert names(plan_types(shapes(), "Q4_0", "Q8_0")) == {
        "model.embed_tokens.weight": "Q8_0",
        "model.layers.0.mlp.up_proj.weight": "Q4_0",
        "model.norm.weight": "F32",
    }
    untied = names(plan_types(shapes(tied=False), "Q4_0", "F16"))
    assert (untied["model.embed_tokens.weight"], untied["lm_head.weight"]) == ("Q4_0", "F16")
    assert names(plan_types(shapes(), "Q4_0", "Q4_0"))["model.embed_tokens.weight"] == "Q4_0"
    assert set(names(plan_types(shapes(), "F16", "Q8_0")).values()) == {"F16", "F32"}  # never below the target


def test_rows_that_are_not_whole_blocks_fall_back_with_a_note() -> None:
    plan = plan_types(shapes(width=72), "Q4_0", "Q8_0")
    assert plan["model.layers.0.mlp.up_proj.weight"].kind.name == "F16"
    assert "rows of 72 weights" in (plan["model.layers.0.mlp.up_proj.weight"].note or "")


def weighted_error(raw: np.ndarray, x: np.ndarray, importance: np.ndarray) -> np.ndarray:
    error = importance * (dequantize(raw, Q4_0, x.shape) - x) ** 2
    return error.reshape(-1, 32).sum(axis=1)


@pytest.mark.parametrize("seed", range(3))
def test_the_search_never_loses_and_usually_gains(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((40, 96)).astype(np.float32) * np.float32(0.02)
    x[0] = 0
    x[1, :32] = 0.5
    importance = rng.gamma(0.5, size=96).astype(np.float32)
    plain, searched = quantize(x, Q4_0), search_q4_0(x, importance)
    before, after = weighted_error(plain, x, importance), weighted_error(searched, x, importance)
    assert (after <= before * 1.001 + 1e-9).all()
    assert after.sum() < 0.8 * before.sum()
    uniform = weighted_error(search_q4_0(x), x, np.ones(96, np.float32)).sum()
    assert uniform < 0.9 * weighted_error(plain, x, np.ones(96, np.float32)).sum()


def test_searched_blocks_are_read_by_the_reference() -> None:
    reference = pytest.importorskip("gguf")
    x = np.random.default_rng(5).standard_normal((4, 64)).astype(np.float32)
    raw = search_q4_0(x)
    theirs = reference.quants.dequantize(raw, reference.GGMLQuantizationType.Q4_0)
    np.testing.assert_array_equal(dequantize(raw, Q4_0, x.shape), theirs)


def test_importance_that_makes_no_sense_is_refused() -> None:
    x = np.ones((2, 32), np.float32)
    for bad in (np.ones(31, np.float32), np.full(32, -1, np.float32), np.full(32, np.nan, np.float32)):
        with pytest.raises(FormatError, match="importance must be 32 finite numbers"):
            search_q4_0(x, bad)


def test_a_tensor_that_cannot_be_stored_is_named() -> None:
    with pytest.raises(FormatError, match="tensor 'w': the weights hold NaN"):
        encode("w", np.full((1, 32), np.nan, np.float32), Q4_0, None, True)
