"""Sources behind addresses are read like folders, and a line that fails is no damage of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from smolforge.errors import ConfigError, DataError, MissingDependencyError, NetworkError
from tests.corpus.sources_read import configured, read, texts


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def test_addresses_are_read_like_folders(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b"".join(json.dumps({"text": f"line {number}"}).encode() + b"\n" for number in range(100))
    memory.pipe("/bucket/sub/a.jsonl", lines)
    memory.pipe("/bucket/b.txt", b"plain text")
    memory.pipe("/bucket/.hidden/c.txt", b"hidden")
    monkeypatch.setattr("smolforge.corpus.ingest.folder.PIECE_BYTES", 500)
    found, record = read("memory://bucket")
    assert sorted(texts(found)) == sorted(["plain text", *(f"line {number}" for number in range(100))])
    assert record.name == "bucket"
    assert texts(read("memory://bucket/b.txt")[0]) == ["plain text"]


class Unsteady(MemoryFileSystem):  # type: ignore[misc]
    """Files in memory over a line that fails ``failures`` times."""

    protocol = "unsteady"
    failures = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("unsteady:/")))

    def _open(self, *args: Any, **options: Any) -> Any:
        if Unsteady.failures > 0:
            Unsteady.failures -= 1
            raise RuntimeError("the line is down")
        return super()._open(*args, **options)


def test_a_line_that_fails_is_no_damage_of_a_file(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("unsteady", Unsteady, clobber=True)
    monkeypatch.setattr("smolforge.corpus.ingest.remote.WAITS", (0.0, 0.0))
    lines = b"".join(json.dumps({"text": f"line {number}"}).encode() + b"\n" for number in range(100))
    memory.pipe("/bucket/a.jsonl", lines)
    Unsteady.failures = 2
    assert len(read("unsteady://bucket/a.jsonl")[0]) == 100
    Unsteady.failures = 3
    with pytest.raises(NetworkError, match=r"the line is down.*run again"):
        read("unsteady://bucket/a.jsonl")


def test_a_change_behind_an_address_changes_the_stages_identity(memory: Any) -> None:
    memory.pipe("/bucket/a.txt", b"one")
    before = configured("memory://bucket").fingerprint()
    memory.pipe("/bucket/a.txt", b"three")
    assert configured("memory://bucket").fingerprint() != before


def test_a_missing_protocol_names_the_package_and_an_unknown_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingDependencyError, match=r"s3:// addresses needs the package 's3fs': pip install s3fs"):
        read("s3://bucket/folder")
    monkeypatch.undo()
    with pytest.raises(DataError, match="nosuch"):
        read("nosuch://bucket")
    with pytest.raises(DataError, match="does not exist or is empty"):
        read("memory://nothing/here")


def test_a_source_without_its_path_or_with_foreign_keys_is_refused() -> None:
    for source in ({"kind": "git"}, {"kind": "dataset"}, {"kind": "folder", "path": "x", "split": "train"}):
        with pytest.raises((ConfigError, ValueError)):
            configured(source)
