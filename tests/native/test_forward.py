"""A forward pass is what the formulas say, and its numbers do not depend on how it was cut up."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.native.reference import Run, decode, i32, tiny

TOKENS = (np.arange(700, dtype=np.int32) * 37 + 11) % 70  # eleven pages, two partitions of the keys
# Relative errors (root mean square). Rounding a key or value to f16 moves it by up to 2^-11, 3e-4 on average; bf16 is
# eight times as coarse; q8 has steps of 1/127 of a head's largest value, 2 to 3 times the typical one; q4 steps of 1/7.
BOUNDS = {"f16": 1e-3, "bf16": 8e-3, "q8": 2e-2, "q4": 0.35}


def distance(found: NDArray[np.float32], expected: NDArray[np.float64]) -> float:
    return float(np.sqrt(((found - expected) ** 2).mean() / (expected**2).mean()))


@pytest.mark.parametrize("heads", [(6, 2), (4, 4), (6, 1), (12, 2)])
@pytest.mark.parametrize("head_dim", [16, 48, 64])
def test_logits_and_every_layer_follow_the_formulas(heads: tuple[int, int], head_dim: int) -> None:
    model = tiny(heads, head_dim=head_dim)
    tokens = TOKENS[:150]
    layers, logits = decode(model, tokens)
    run = Run(model.model(2))
    assert distance(run.feed(tokens), logits) < BOUNDS["f16"]
    arguments = (tokens, i32(0), i32(len(tokens)), run.pages[None], i32())
    assert distance(run.model.layers(run.memory, *arguments), layers) < BOUNDS["f16"]


@pytest.mark.parametrize("layers", [(0, 0), (-1, -1), (0, -1, 0)])
@pytest.mark.parametrize("tied", [True, False])
def test_layers_without_positions_and_untied_heads(layers: tuple[int, ...], tied: bool) -> None:
    model = tiny(layers=layers, tied=tied, scale=1.2)
    _, logits = decode(model, TOKENS[:90])
    assert distance(Run(model.model()).feed(TOKENS[:90]), logits) < BOUNDS["f16"]


@pytest.mark.parametrize("kind", list(BOUNDS))
def test_each_kind_of_cache_is_as_near_as_its_codes_allow(kind: str) -> None:
    model = tiny()
    _, logits = decode(model, TOKENS)
    error = distance(Run(model.model(2), kind).feed(TOKENS), logits)
    assert error < BOUNDS[kind]
    assert kind in ("f16", "bf16") or error > BOUNDS["f16"]  # the codes are really used


def test_quantized_weights_stay_near_their_dequantized_selves() -> None:
    model = tiny(gguf_type="Q8_0")
    _, logits = decode(model, TOKENS[:100])
    assert distance(Run(model.model()).feed(TOKENS[:100]), logits) < 0.04  # activations in 8 bits: 0.5% a product


@pytest.mark.parametrize("kind", list(BOUNDS))
@pytest.mark.parametrize("gguf_type", ["F32", "Q8_0"])
@pytest.mark.parametrize("heads", [(6, 2), (4, 4)])
def test_bits_do_not_depend_on_chunks_or_threads(kind: str, gguf_type: str, heads: tuple[int, int]) -> None:
    model = tiny(heads, gguf_type=gguf_type)
    whole = Run(model.model(1), kind).feed(TOKENS)
    for threads, chunks in ((1, [1] * 5), (2, [1, 63, 2, 17, 430, 1, 1]), (3, [600, 1, 2, 3])):
        run = Run(model.model(threads), kind)
        cuts = [int(cut) for cut in np.cumsum(chunks)]
        parts = [run.feed(chunk) for chunk in np.split(TOKENS, cuts)]
        assert np.array_equal(np.concatenate(parts), whole)


def test_a_pass_with_every_phase_a_deep_model_can_have_is_complete() -> None:
    """Heads whose rows are not whole blocks, keys split over threads, drafted rows and a trace, in twelve layers."""
    model = tiny((2, 2), layers=(0,) * 12)
    alone, shared = Run(model.model(1)), Run(model.model(2))
    assert np.array_equal(alone.feed(TOKENS), shared.feed(TOKENS))
    last = TOKENS[:3]
    arguments = (last, i32(len(TOKENS)), i32(3), alone.pages[None], i32(0, 1, 2))
    logits = [run.model.forward(run.memory, *arguments) for run in (alone, shared)]
    traces = [run.model.layers(run.memory, *arguments) for run in (alone, shared)]
    assert np.array_equal(*logits) and np.array_equal(*traces)


@pytest.mark.parametrize("kind", ["f16", "q8"])
def test_bits_do_not_depend_on_what_else_is_in_the_pass(kind: Any) -> None:
    model = tiny().model(2)
    alone = [Run(model, kind).feed(TOKENS[a:b])[-1] for a, b in ((0, 3), (5, 75), (100, 620))]
    memory = Run(model, kind, pages=24).memory
    tokens = np.concatenate((TOKENS[:3], TOKENS[5:75], TOKENS[100:620]))
    pages = np.zeros((3, 10), np.int32)
    pages[0, :1], pages[1, :2], pages[2, :9] = [7], [20, 3], [1, 0, 2, 9, 8, 11, 10, 5, 4]
    together = model.forward(memory, tokens, i32(0, 0, 0), i32(3, 70, 520), pages, i32(2, 72, 592))
    assert np.array_equal(together, np.stack(alone))


def test_a_shared_prefix_and_a_copied_page_give_the_same_bits() -> None:
    model = tiny().model(2)
    first = Run(model)
    whole = first.feed(TOKENS[:200])
    first.memory.copy(2, 20)  # positions 128 ... 191, of which the second sequence keeps 128 ... 149
    pages = i32(0, 1, 20, 21)
    again = model.forward(first.memory, TOKENS[150:200], i32(150), i32(50), pages[None], np.arange(50, dtype=np.int32))
    assert np.array_equal(again, whole[150:])
    assert np.array_equal(first.feed(TOKENS[200:210]), Run(model).feed(TOKENS[:210])[200:])  # the first is untouched


def test_starting_earlier_rolls_back() -> None:
    run = Run(tiny().model())
    whole = run.feed(TOKENS[:130])
    run.length = 60
    run.feed(TOKENS[300:320])
    run.length = 60
    assert np.array_equal(run.feed(TOKENS[60:130]), whole[60:])


def test_hidden_states_are_what_the_head_multiplies() -> None:
    model = tiny(tied=False)
    run = Run(model.model())
    arguments = (run.memory, TOKENS[:9], i32(0), i32(9), run.pages[None], i32(8, 0))
    hidden = run.model.forward(*arguments, hidden=True)
    assert hidden.shape == (2, 96)
    assert np.allclose(hidden @ model.weights["lm_head.weight"].T, run.model.forward(*arguments), atol=1e-4)


def test_only_the_rows_asked_for_come_back_in_their_order() -> None:
    run = Run(tiny().model(2))
    whole = run.feed(TOKENS[:40])
    arguments = (run.memory, TOKENS[:40], i32(0), i32(40), run.pages[None])
    assert np.array_equal(run.model.forward(*arguments, i32(39, 3, 3)), whole[[39, 3, 3]])
    assert run.model.forward(*arguments, i32()).shape == (0, 70)


def test_far_positions_turn_keys_and_queries_alike() -> None:
    """Scores depend on distances only: two tokens at 70,001 see one another as they do at the start."""
    model = tiny(layers=(0,)).model()
    run = Run(model, pages=1100)
    near = run.feed(TOKENS[:64])
    table = np.full((1, 1100), 1099, np.int32)
    table[0, 1093:1095] = 1, 2
    run.memory.write(1099, bytes(run.memory.page_bytes))
    far = model.forward(run.memory, TOKENS[:64], i32(1093 * 64), i32(64), table, np.arange(64, dtype=np.int32))
    assert np.isfinite(far).all()
    assert not np.allclose(near, far)  # 69,952 keys of zeros are seen as well


@pytest.mark.parametrize("isa", ["plain", "avx2", "avxvnni", "avx512vnni", "neon", "dotprod", "i8mm"])
def test_every_instruction_set_follows_the_formulas(isa: str) -> None:
    program = (
        "import sys; from smolforge.engine import _native; from tests.native.test_forward import *\n"
        "if sys.argv[1] not in _native.isas(): sys.exit(77)\n"
        "assert _native.isa() == sys.argv[1]\n"
        "model = tiny(head_dim=64); logits = decode(model, TOKENS)[1]\n"
        "print(*[distance(Run(model.model(2), kind).feed(TOKENS), logits) for kind in BOUNDS])"
    )
    environment = {**os.environ, "SMOLFORGE_ISA": isa, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program, isa], capture_output=True, text=True, env=environment)
    if done.returncode == 77 or "no instruction set" in done.stderr:
        pytest.skip(f"this build and CPU have no {isa}")
    assert done.returncode == 0, done.stderr
    for error, bound in zip(done.stdout.split(), BOUNDS.values(), strict=True):
        assert float(error) < bound
