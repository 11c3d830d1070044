"""Arrays that can be made again: made once, mapped by everybody else, and never worse than without a cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smolforge.store.cache import Arrays, cached_arrays

SQUARES, NAMES = np.arange(5, dtype=np.uint32) ** 2, np.array(["en", "srl"])


class Maker:
    """Counts how often it is asked."""

    calls = 0

    def __call__(self) -> Arrays:
        self.calls += 1
        return {"squares": SQUARES, "names": NAMES}


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SMOLFORGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "arrays"


def ask(make: Maker, made_from: object = "these") -> None:
    found = cached_arrays("test", made_from, ("squares", "names"), make)
    assert found["squares"].dtype == SQUARES.dtype and found["squares"].tolist() == SQUARES.tolist()
    assert found["names"].tolist() == ["en", "srl"]


def test_arrays_are_made_once_and_again_when_they_are_made_from_something_else(cache: Path) -> None:
    make = Maker()
    ask(make)
    ask(make)
    assert make.calls == 1
    ask(make, "those")
    assert make.calls == 2 and len(list(cache.iterdir())) == 4


def test_what_is_mapped_cannot_be_changed(cache: Path) -> None:
    squares = cached_arrays("test", 0, ("squares",), Maker())["squares"]
    with pytest.raises(ValueError, match="read-only"):
        squares[0] = 1


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"something else altogether", None])
def test_a_torn_a_foreign_and_a_missing_file_are_made_again(cache: Path, content: bytes | None) -> None:
    make = Maker()
    ask(make)
    (file,) = cache.glob("*-squares.npy")
    whole = file.read_bytes()
    for harm in (content, whole[:-1]):
        file.unlink() if harm is None else file.write_bytes(harm)
        ask(make)
        assert file.read_bytes() == whole
    assert make.calls == 3


def test_a_cache_that_cannot_be_written_to_is_done_without(cache: Path) -> None:
    make = Maker()
    cache.parent.write_text("a file where the folder should be")
    ask(make)
    ask(make)
    assert make.calls == 2


def test_tables_from_the_cache_are_those_made_without_it(tmp_path: Path) -> None:
    program = (
        "import sys; from smolforge.corpus.text import characters as c; from smolforge.store import digest_bytes\n"
        "print([digest_bytes(table().tobytes()) for table in (c.flags, c.lower_table, c.normal_table)])"
    )
    environment = os.environ | {"SMOLFORGE_CACHE": str(tmp_path)}
    made, mapped = (subprocess.check_output([sys.executable, "-c", program], env=environment) for _ in range(2))
    assert made == mapped and len(list((tmp_path / "arrays").iterdir())) == 3
