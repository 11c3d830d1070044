"""Random shapes, weights, pages and arguments, the same ones in every run: numbers or a refusal, and nothing else.

Worth most on a build with the sanitizers (test_sanitized.py): there a single byte out of bounds ends the run.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from smolforge.engine import _native
from smolforge.formats.blocks import BLOCK_TYPES
from tests.native.reference import I32, Tiny, i32, tiny

KINDS: tuple[Literal["f16", "bf16", "q8", "q4"], ...] = ("f16", "bf16", "q8", "q4")
PAGES = 40
SEEDS = range(8)
Arguments = dict[str, I32]


def random_model(random: np.random.Generator) -> Tiny:
    """A decoder of any shape: heads that do and do not fill blocks of 32, rows that do not fill a panel."""
    kv_heads, group = int(random.integers(1, 4)), int(random.integers(1, 6))
    smallest = 32 // np.gcd(32, kv_heads * group)  # all query heads together are whole blocks
    return tiny(
        (kv_heads * group, kv_heads),
        layers=tuple(int(table) for table in random.integers(-1, 1, random.integers(1, 4))),
        head_dim=int(max(2, smallest) * random.integers(1, 4)),
        tied=bool(random.integers(2)),
        gguf_type=str(random.choice(["F32", "Q8_0"])),
        sizes=(32 * int(random.integers(1, 5)), 32 * int(random.integers(1, 7)), int(random.integers(1, 90))),
    )


def random_passes(random: np.random.Generator, vocab: int) -> list[Arguments]:
    """Two passes over the same sequences, the second behind the first; no page belongs to two of them."""
    sequences = int(random.integers(1, 4))
    lengths = np.stack([random.integers(1, 110, sequences), random.integers(1, 40, sequences)]).astype(np.int32)
    lengths[0, 0] += 500 * (random.integers(3) == 0)  # sometimes more keys than one partition holds
    width = int(-(-lengths.sum(axis=0).max() // 64)) + int(random.integers(2))
    pages = random.permutation(PAGES)[: sequences * width].astype(np.int32).reshape(sequences, width)
    starts = (np.zeros(sequences, np.int32), lengths[0])
    return [
        {
            "tokens": random.integers(0, vocab, counts.sum(), dtype=np.int32),
            "starts": start,
            "counts": counts,
            "pages": pages,
            "outputs": random.integers(0, counts.sum(), random.integers(0, 9), dtype=np.int32),
        }
        for start, counts in zip(starts, lengths, strict=True)
    ]


def alone(arguments: Arguments, sequence: int) -> Arguments:
    """The part of a pass that belongs to one sequence, with a row of logits for each of its tokens."""
    begin, count = int(arguments["counts"][:sequence].sum()), int(arguments["counts"][sequence])
    own = {name: arguments[name][sequence : sequence + 1] for name in ("starts", "counts", "pages")}
    return {**own, "tokens": arguments["tokens"][begin : begin + count], "outputs": np.arange(count, dtype=np.int32)}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_batch_gives_the_bits_of_each_sequence_alone(seed: int) -> None:
    random = np.random.default_rng(seed)
    made, kind = random_model(random), KINDS[seed % 4]
    shared, single = made.model(int(random.integers(2, 4))), made.model(1)
    together, apart = _native.Pages(shared, PAGES, kind), _native.Pages(single, PAGES, kind)
    for arguments in random_passes(random, made.shape["vocab_size"]):
        found = shared.forward(together, **arguments)
        rows = [single.forward(apart, **alone(arguments, i)) for i in range(len(arguments["starts"]))]
        assert np.array_equal(found, np.concatenate(rows)[arguments["outputs"]])


def broken(random: np.random.Generator, arguments: Arguments) -> Arguments:
    """Change one thing: a number, or how many there are."""
    name = str(random.choice(list(arguments)))
    array = arguments[name].copy()
    if array.size and random.integers(3):
        array.flat[random.integers(array.size)] = random.choice([-(2**31), -1, 0, 1, 63, 64, 65, 128, 1000, 2**31 - 1])
    else:
        array = np.resize(array, (max(0, len(array) + int(random.integers(-2, 3))), *array.shape[1:]))
    return {**arguments, name: array}


@pytest.mark.parametrize("seed", SEEDS)
def test_arguments_with_one_thing_wrong_are_refused_or_harmless(seed: int) -> None:
    random = np.random.default_rng(seed)
    made = random_model(random)
    model = made.model(2)
    memory = _native.Pages(model, PAGES, KINDS[seed % 4])
    refused = 0
    for _ in range(20):
        arguments = broken(random, random_passes(random, made.shape["vocab_size"])[0])
        try:
            logits = model.forward(memory, **arguments)
        except ValueError:
            refused += 1
            continue
        assert logits.shape == (len(arguments["outputs"]), made.shape["vocab_size"])
    assert refused


@pytest.mark.parametrize("name", sorted(BLOCK_TYPES))
def test_any_bytes_as_weights_of_any_type_are_only_numbers(name: str) -> None:
    """Infinite scales, numbers that are none, every code: in every matrix of a model, one row at a time and many."""
    random, kind = np.random.default_rng(BLOCK_TYPES[name].id), BLOCK_TYPES[name]
    made = tiny((4, 2), layers=(0, -1), head_dim=64, sizes=(256, 256, 50))
    for tensor, value in made.weights.items():
        if value.ndim == 2:
            noise = random.integers(0, 256, len(value) * kind.row_size(value.shape[1]), dtype=np.uint8)
            made.tensors[tensor] = _native.pack(noise, name, *value.shape)
    model = made.model(2)
    for pages in KINDS:
        memory = _native.Pages(model, 2, pages)
        for rows in (1, 3, 33):
            arguments = {"starts": i32(0), "counts": i32(rows), "pages": np.array([[0, 1]], np.int32)}
            tokens = np.arange(rows, dtype=np.int32)
            assert model.forward(memory, tokens=tokens, outputs=tokens, **arguments).shape == (rows, 50)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_matrix_is_packed_and_seen_alike_or_refused(seed: int) -> None:
    random = np.random.default_rng(seed)
    packed = 0
    for _ in range(40):
        kind = BLOCK_TYPES[str(random.choice(sorted(BLOCK_TYPES)))]
        rows, cols = int(random.integers(-1, 40)), int(random.choice([0, 32, 64, 96, 100, 256, 512]))
        exact = max(0, rows) * (cols // kind.values) * kind.size
        noise = random.integers(0, 256, max(0, exact + int(random.choice([0, 0, 0, -1, 1]))), dtype=np.uint8)
        order = random.permutation(max(1, rows)).astype(np.int32) if random.integers(2) else None
        try:
            matrix = _native.pack(noise, kind.name, rows, cols, order)
        except ValueError:
            continue
        packed += 1
        view = _native.view(matrix.kind, rows, cols, matrix.buffer())
        for row in range(rows):
            assert np.array_equal(view.row(row).view(np.uint32), matrix.row(row).view(np.uint32))
    assert packed


@pytest.mark.parametrize("kind", KINDS)
def test_pages_hold_what_was_last_done_to_them(kind: Any) -> None:
    random = np.random.default_rng(len(kind))
    made = random_model(random)
    memory = _native.Pages(made.model(), 5, kind)
    expected = [bytes(memory.page_bytes)] * 5
    for _ in range(60):
        page, other = (int(i) for i in random.integers(0, 5, 2))
        match int(random.integers(3)):
            case 0:
                expected[page] = random.bytes(memory.page_bytes)
                memory.write(page, expected[page])
            case 1:
                expected[other] = expected[page]
                memory.copy(page, other)
            case _:
                expected[page] = bytes(memory.page_bytes)
                memory.release(page)
        assert [memory.read(i) for i in range(5)] == expected
