"""Components and shuffles: the same sets as joining one pair after the other, and rows that all come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from smolforge.corpus.dedup import shuffle
from smolforge.corpus.dedup.components import bundles, components
from smolforge.corpus.dedup.shuffle import (
    Partitioned,
    gathered,
    partition_of,
    partitions_for,
    read_partition,
    write_partitions,
)
from smolforge.errors import DataError
from tests.corpus.dedup_pool import runner


def plain(pairs: list[tuple[int, int]]) -> set[frozenset[int]]:
    sets: list[set[int]] = []
    for pair in pairs:
        touched = [each for each in sets if each & set(pair)]
        sets = [each for each in sets if each not in touched] + [set(pair).union(*touched)]
    return {frozenset(each) for each in sets}


@pytest.mark.parametrize("seed", range(8))
def test_components_are_those_of_joining_pair_after_pair(seed: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(seed)
    pairs = draw.integers(0, 120, (draw.integers(1, 100), 2), dtype=np.uint64) << np.uint64(30)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    files = [tmp_path / f"{n}.npy" for n in range(3)]
    for n, file in enumerate(files):
        np.save(file, pairs[n::3])
    joined = components(files)
    found: dict[int, set[int]] = {}
    for place, label in zip(joined.places.tolist(), joined.labels.tolist(), strict=True):
        found.setdefault(label, set()).add(place)
    assert {frozenset(each) for each in found.values()} == plain([(int(a), int(b)) for a, b in pairs])
    assert all(joined.places[label] == min(members) for label, members in found.items())


def test_a_long_chain_is_one_component(tmp_path: Path) -> None:
    chain = np.arange(5000, dtype=np.uint64)[np.random.default_rng(1).permutation(5000)]
    np.save(tmp_path / "chain.npy", np.stack([chain[:-1], chain[1:]], axis=1))
    assert not components([tmp_path / "chain.npy"]).labels.any()


def test_bundles_keep_components_whole_and_near_the_limit() -> None:
    draw = np.random.default_rng(2)
    labels = np.sort(draw.integers(0, 200, 1000))
    _, first, labels = np.unique(labels, return_index=True, return_inverse=True)
    labels = first[labels]  # a component is named by its first document
    sizes = draw.integers(1, 50, 1000)
    found = bundles(labels, sizes, 400)
    assert all(len(set(found[labels == label].tolist())) == 1 for label in set(labels.tolist()))
    assert found.min() == 0 and len(np.unique(found)) == found.max() + 1
    largest = max(int(sizes[labels == label].sum()) for label in set(labels.tolist()))
    assert np.bincount(found, weights=sizes).max() <= 400 + largest


def test_every_row_comes_back_from_its_partition(tmp_path: Path) -> None:
    keys = np.random.default_rng(3).integers(0, 2**64, 1000, dtype=np.uint64)
    count = partitions_for(1000 * 16, 2000)
    files = [tmp_path / f"{n}.arrow" for n in range(2)]
    for file, part in zip(files, (keys[:300], keys[300:]), strict=True):
        write_partitions(file, pa.table({"key": part}), partition_of(part, count), batch_rows=7)
    read = [read_partition(files, number)["key"].to_pylist() for number in range(count)]
    assert sorted(key for part in read for key in part) == sorted(keys.tolist())
    assert all((partition_of(np.array(part, np.uint64), count) == n).all() for n, part in enumerate(read))


def shards_of_rows(folder: Path, count: int, partitions: int) -> list[Path]:
    """Write tables with a key, a text and a list of numbers; each partition has its rows by key, descending."""
    folder.mkdir()
    draw = np.random.default_rng(4)
    files = []
    for number in range(count):
        keys = np.sort(draw.integers(0, 50, draw.integers(0, 40)))[::-1]
        texts = [f"{number}-{at}" for at in range(len(keys))]
        lists = pa.array([list(range(key)) for key in keys.tolist()], pa.list_(pa.uint32()))
        files.append(folder / f"{number}.arrow")
        table = pa.table({"key": keys, "text": pa.array(texts, pa.string()), "list": lists})
        write_partitions(files[-1], table, draw.integers(0, partitions, len(keys)), batch_rows=5)
    return files


@pytest.mark.parametrize("fan", [2, 3, 11])
def test_a_reader_opens_few_files_and_finds_the_same_rows(
    fan: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shuffle, "FAN", fan)
    monkeypatch.setattr(shuffle, "BATCH_BYTES", 300)
    files = shards_of_rows(tmp_path / "in", 11, 6)
    merged = gathered(runner(tmp_path / "work"), "merge", files)
    assert len(merged) <= fan
    for partition in range(7):
        assert read_partition(merged, partition).equals(read_partition(files, partition))


@pytest.mark.parametrize("fan", [2, 3])
def test_sorted_partitions_are_sorted_after_a_merge(fan: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "FAN", fan)
    monkeypatch.setattr(shuffle, "BATCH_BYTES", 300)
    files = shards_of_rows(tmp_path / "in", 11, 6)
    for file in gathered(runner(tmp_path / "work"), "merge", files, ("-key",)):
        for partition in range(6):
            keys = read_partition([file], partition)["key"].to_pylist()
            assert keys == sorted(keys, reverse=True)
    merged = gathered(runner(tmp_path / "work"), "merge", files, ("-key",))
    for partition in range(6):  # and of equal keys the earlier file's comes first, as in one stable sort of all
        expected = read_partition(files, partition).sort_by([("key", "descending")])
        assert read_partition(merged, partition).sort_by([("key", "descending")]).equals(expected)


def test_merging_files_without_rows_gives_one_without_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "FAN", 2)
    files = [tmp_path / f"{n}.arrow" for n in range(5)]
    for file in files:
        write_partitions(file, pa.table({"key": pa.array([], pa.uint64())}), np.empty(0, np.int64))
    (first, *_) = gathered(runner(tmp_path / "work"), "merge", files)
    assert read_partition([first], 0).num_rows == 0


@pytest.mark.parametrize("size", [0, 10, -1])
def test_a_torn_table_is_named(size: int, tmp_path: Path) -> None:
    file = tmp_path / "torn.arrow"
    write_partitions(file, pa.table({"key": [1, 2, 3]}), np.array([0, 1, 1]))
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(DataError, match=r"torn\.arrow: not a partitioned table"):
        Partitioned(file)
