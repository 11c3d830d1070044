"""Files are whole or absent, whoever else writes them, and what fails leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from smolforge.errors import DataError, FormatError
from smolforge.formats.blocks import block_type
from smolforge.formats.gguf_write import TensorSpec, write_gguf
from smolforge.store.atomic import replacing, write_atomic, writing
from smolforge.tokens.shards import Shard, ShardWriter


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def together(*works: Callable[[], object]) -> None:
    """Run all at the same time, each in a thread of its own."""
    workers = [threading.Thread(target=work) for work in works]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def test_writers_of_one_file_at_the_same_time_leave_the_bytes_of_one(tmp_path: Path) -> None:
    texts = [bytes([i]) * 100_000 for i in range(8)]
    started = threading.Barrier(len(texts))  # all have their part open before any has finished

    def write(text: bytes) -> None:
        with writing(tmp_path / "file") as stream:
            started.wait(600)
            stream.write(text)

    together(*(lambda text=text: write(text) for text in texts))
    assert (tmp_path / "file").read_bytes() in texts
    assert names(tmp_path) == ["file"]


def test_models_written_at_the_same_time_are_whole(tmp_path: Path) -> None:
    spec = TensorSpec("tensor", (64,), block_type("F32"))
    started = threading.Barrier(2)

    def write(value: int) -> None:
        def data() -> object:
            started.wait(600)
            yield np.full(256, value, np.uint8)

        write_gguf(tmp_path / "model.gguf", {"general.name": "x"}, [spec], data())  # type: ignore[arg-type]

    together(lambda: write(1), lambda: write(2))
    assert set((tmp_path / "model.gguf").read_bytes()[-256:]) in ({1}, {2})
    assert names(tmp_path) == ["model.gguf"]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"old")
    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "file") as stream:
        stream.write(b"new")
        raise KeyboardInterrupt
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file"):
        pass  # nothing was written to the part
    with pytest.raises(FormatError, match="was not given"):
        write_gguf(tmp_path / "file", {}, [TensorSpec("tensor", (64,), block_type("F32"))], [])
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_shard_that_fails_leaves_nothing_and_two_of_one_name_do_not_meet(tmp_path: Path) -> None:
    with pytest.raises(DataError), ShardWriter(tmp_path / "shard", vocab_size=9, tokenizer="t") as writer:
        writer.add([1, 2])
        writer.add([])
    assert names(tmp_path) == []
    first, second = (ShardWriter(tmp_path / "shard", vocab_size=9, tokenizer="t") for _ in range(2))
    with first:
        first.add([1, 2, 3])
        with second:
            second.add([4, 5])
    assert Shard.open(tmp_path / "shard").document(0).tolist() == [1, 2, 3]
    assert names(tmp_path) == ["shard"]
