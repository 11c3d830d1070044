"""Whatever the arguments, the native module answers with an error or a number, and stays within bounds.

Meant to run on a build with -DSMOLFORGE_SANITIZE=ON too.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smolforge.engine import _native
from tests.native.reference import Run, i32, tiny

MODEL = tiny(layers=(0, -1), head_dim=32).model(2)
MEMORY = _native.Pages(MODEL, 6, "f16")
GOOD: dict[str, Any] = {
    "tokens": i32(1, 2, 3), "starts": i32(0), "counts": i32(3), "pages": np.array([[0, 1]], np.int32),
    "outputs": i32(2),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": i32(1, 70, 3)}, r"tokens\[1\] = 70 is not in 0..69"),
        ({"tokens": i32(1, -1, 3)}, r"tokens\[1\] = -1"),
        ({"tokens": i32(), "counts": i32(0)}, "tokens: 0"),
        ({"starts": i32(-1)}, "start -1"),
        ({"starts": i32(126)}, "position 128 lies behind its 2 pages"),
        ({"starts": i32(2**31 - 1)}, "start 2147483647"),
        ({"counts": i32(2)}, "counts add up to 2, but there are 3 tokens"),
        ({"counts": i32(2**31 - 1)}, "count 2147483647"),
        ({"counts": i32(-3)}, "count -3"),
        ({"pages": np.array([[6, 1]], np.int32)}, "page 6 is not in 0..5"),
        ({"pages": np.array([[-1, 1]], np.int32)}, "page -1"),
        ({"pages": np.zeros((2, 1), np.int32)}, "same number of sequences"),
        ({"pages": np.zeros((1, 0), np.int32)}, "position 2 lies behind its 0 pages"),
        ({"outputs": i32(3)}, r"outputs\[0\] = 3 is not in 0..2"),
        ({"outputs": i32(-1)}, r"outputs\[0\] = -1"),
        (
            {"starts": i32(0, 0), "counts": i32(1, 2), "pages": np.zeros((2, 1), np.int32)},
            "page 0 would be written by two",
        ),
        (
            {"starts": i32(0, 64), "counts": i32(1, 2), "pages": np.array([[1, 0], [1, 2]], np.int32)},
            "page 1 would be written by one sequence while another reads it",
        ),
    ],
)
def test_wrong_arguments_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODEL.forward(MEMORY, **{**GOOD, **change})


def test_arrays_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError):
        MODEL.forward(MEMORY, **{**GOOD, "pages": np.array([0, 1], np.int32)})
    with pytest.raises(TypeError):
        MODEL.forward(MEMORY, **{**GOOD, "tokens": np.zeros(3, np.float32)})


@pytest.mark.parametrize("name", list(GOOD))
def test_arrays_between_the_places_of_numbers_are_refused_by_name(name: str) -> None:
    shifted = np.empty(GOOD[name].nbytes + 1, np.uint8)[1:].view(np.int32).reshape(GOOD[name].shape)
    shifted[:] = GOOD[name]
    with pytest.raises(ValueError, match=f"{name}: the array does not start"):
        MODEL.forward(MEMORY, **{**GOOD, name: shifted})


def test_pages_of_another_model_are_refused() -> None:
    other = _native.Pages(tiny(layers=(0,), head_dim=32).model(), 6, "f16")
    with pytest.raises(ValueError, match="another shape"):
        MODEL.forward(other, **GOOD)


numbers = st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 70)
arrays = st.lists(numbers, max_size=6).map(lambda values: np.array(values, np.int32))
tables = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(st.integers(-1, 7), min_size=width, max_size=width), max_size=3).map(
        lambda rows: np.array(rows, np.int32).reshape(-1, width)
    )
)


@settings(max_examples=400, deadline=None)
@given(tokens=arrays, starts=arrays, counts=arrays, pages=tables, outputs=arrays)
def test_any_indices_give_numbers_or_a_value_error(**arguments: Any) -> None:
    try:
        logits = MODEL.forward(MEMORY, **arguments)
    except ValueError:
        return
    assert logits.shape == (len(arguments["outputs"]), 70)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("kind", ["f16", "bf16", "q8", "q4"])
def test_any_bytes_in_a_page_are_only_numbers(kind: Any) -> None:
    run = Run(MODEL, kind, pages=3)
    noise = np.random.default_rng(0).bytes(run.memory.page_bytes)
    run.memory.write(0, noise)
    assert run.memory.read(0) == noise
    run.length = 40
    assert run.feed(i32(*range(60))).shape == (60, 70)


@pytest.mark.parametrize("page", [-1, 6, 2**40])
def test_pages_that_do_not_exist_are_refused(page: int) -> None:
    for call in (MEMORY.read, MEMORY.release, lambda p: MEMORY.copy(0, p), lambda p: MEMORY.write(p, b"")):
        with pytest.raises(ValueError, match=f"page {page} is not in 0..5"):
            call(page)


def test_page_memory_is_checked_and_comes_back_as_zeros() -> None:
    with pytest.raises(ValueError, match="bytes, expected"):
        MEMORY.write(0, b"short")
    for count in (0, -1, 2**62):
        with pytest.raises(ValueError, match="pages"):
            _native.Pages(MODEL, count, "f16")
    with pytest.raises(ValueError, match="'f8' is not one of f16, bf16, q8, q4"):
        _native.Pages(MODEL, 1, "f8")  # type: ignore[arg-type]
    MEMORY.write(5, b"\x01" * MEMORY.page_bytes)
    MEMORY.copy(5, 4)
    MEMORY.release(5)
    assert MEMORY.read(5) == bytes(MEMORY.page_bytes)
    assert MEMORY.read(4) == b"\x01" * MEMORY.page_bytes


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_layers", 0), ("n_layers", 3), ("n_heads", 5), ("n_kv_heads", 4), ("head_dim", 31), ("d_model", 95),
        ("d_ff", 2**30), ("vocab_size", 71), ("norm_eps", 0.0), ("norm_eps", float("nan")), ("layer_rope", [0, 1]),
        ("layer_rope", [0, -2]),
        ("rope_tables", [(np.ones(3, np.float32), 1.0)]), ("rope_tables", [3]), ("n_heads", "six"),
        ("d_model", 2**40),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(field: str, value: Any) -> None:
    model = tiny(layers=(0, -1), head_dim=32)
    model.shape[field] = value
    with pytest.raises(ValueError, match=r"shape|tensor"):
        model.model()


@pytest.mark.parametrize("change", ["missing", "extra", "wrong"])
def test_tensors_that_do_not_fit_are_refused_by_name(change: str) -> None:
    model = tiny(layers=(0,))
    name = "model.layers.0.self_attn.q_proj.bias" if change == "extra" else "model.layers.0.mlp.up_proj.weight"
    if change == "missing":
        del model.tensors[name]
    else:
        model.tensors[name] = (
            np.zeros(96, np.float32) if change == "extra" else model.tensors["model.embed_tokens.weight"]
        )
    with pytest.raises(ValueError, match=name):
        model.model()


@pytest.mark.parametrize("threads", [-1, 513])
def test_thread_counts_are_bounded(threads: int) -> None:
    with pytest.raises(ValueError, match="threads"):
        tiny().model(threads)


def test_views_and_blocks_of_the_wrong_size_are_refused() -> None:
    packed = tiny().tensors["model.embed_tokens.weight"]
    aligned = packed.buffer()
    assert np.array_equal(_native.view("f32", 70, 96, aligned).row(69), packed.row(69))
    for kind, rows, cols, buffer, message in (
        ("f32", 70, 96, aligned[:-1], "bytes, expected"),
        ("f32", 64, 96, aligned[1 : 1 + 64 * 96 * 4], "64-byte line"),
        ("q9", 70, 96, aligned, "q9"),
        ("f32", 2**60, 2**20, aligned, "matrix"),
        ("f32", -1, 96, aligned, "matrix"),
    ):
        with pytest.raises(ValueError, match=message):
            _native.view(kind, rows, cols, buffer)
    with pytest.raises(ValueError, match="bytes, expected"):
        _native.pack(np.zeros(100, np.uint8), "F32", 2, 32)
    with pytest.raises(ValueError, match="row_order"):
        _native.pack(np.zeros(256, np.uint8), "F32", 2, 32, i32(0, 2))
    with pytest.raises(IndexError):
        packed.row(70)


def test_threads_take_turns_on_one_model() -> None:
    model = tiny(head_dim=64).model(2)
    tokens = i32(*range(60))
    expected = Run(model).feed(tokens)
    found: list[bool] = []

    def work() -> None:
        found.extend(np.array_equal(Run(model).feed(tokens), expected) for _ in range(5))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [True] * 20
