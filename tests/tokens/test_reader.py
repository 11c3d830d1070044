"""The reader: one integer of state, every window once an epoch, nothing learned across documents."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from smolforge.errors import ConfigError, DataError, FormatError
from smolforge.tokens.mixture import Interleave, MixtureSource
from smolforge.tokens.packing import document_order, pack_stream, pack_whole
from smolforge.tokens.pairs import PairReader
from smolforge.tokens.permutation import permutation_key, permute
from smolforge.tokens.reader import IGNORE, MixtureReader
from smolforge.tokens.shards import Shard, ShardWriter


def write_shard(folder: Path, lengths: list[int], *, masked: bool = False, first_id: int = 1) -> Shard:
    """Every token has its own id, so a token says which document and place it came from."""
    next_id = first_id
    with ShardWriter(folder, vocab_size=1 << 20, tokenizer="t") as writer:
        for n in lengths:
            mask = [0] * (n // 2) + [1] * (n - n // 2) if masked else None
            writer.add(list(range(next_id, next_id + n)), mask, text_bytes=n)
            next_id += n
    return Shard.open(folder)


def random_lengths(count: int, high: int, seed: int = 0) -> list[int]:
    return [int(n) for n in np.random.default_rng(seed).integers(2, high, count)]


@pytest.fixture
def two_sources(tmp_path: Path) -> list[MixtureSource]:
    a = [
        write_shard(tmp_path / "a0", random_lengths(40, 60)),
        write_shard(tmp_path / "a1", random_lengths(9, 90), first_id=50_000),
    ]
    b = [write_shard(tmp_path / "b", random_lengths(70, 30), masked=True, first_id=100_000)]
    return [MixtureSource("a", a, 2.0), MixtureSource("b", b, 1.0)]


def test_shard_gives_back_what_was_written(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "s", [3, 1, 4], masked=True)
    assert shard.document(1).tolist() == [4]
    assert shard.document(2).tolist() == [5, 6, 7, 8]
    assert shard.document_mask(2).tolist() == [0, 0, 1, 1]
    assert (shard.header.tokens, shard.header.documents, shard.header.supervised_tokens, shard.header.bytes) == (
        8,
        3,
        5,
        8,
    )
    assert not list(tmp_path.glob(".*"))


def test_torn_or_foreign_shards_are_refused(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "s", [3, 1, 4])
    with pytest.raises(DataError, match="tokenize again"):
        Shard.open(shard.path, tokenizer="another")
    (shard.path / "tokens.bin").write_bytes((shard.path / "tokens.bin").read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"tokens\.bin: 31 bytes, expected 32"):
        Shard.open(shard.path)
    (shard.path / "shard.json").write_text('{"name": "s"')
    with pytest.raises(FormatError, match="not a shard header"):
        Shard.open(shard.path)


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="outside"), ShardWriter(tmp_path / "s", vocab_size=10, tokenizer="t") as writer:
        writer.add([1, 2])
        writer.add([10])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000, 12_345])
def test_permutation_hits_every_index_once_and_follows_the_key(n: int) -> None:
    one = permute(np.arange(n), n, permutation_key("x", 1))
    assert np.array_equal(np.sort(one), np.arange(n))
    if n > 60:
        other = permute(np.arange(n), n, permutation_key("x", 2))
        assert (one == other).mean() < 0.1
        assert abs(np.corrcoef(np.arange(n), one)[0, 1]) < 0.35


def test_permutation_takes_a_size_and_a_key_for_each_element() -> None:
    keys = np.stack([permutation_key(1), permutation_key(2)])
    mixed = permute(np.array([3, 5]), np.array([10, 500]), keys)
    assert mixed[0] == permute(np.arange(10), 10, keys[0])[3]
    assert mixed[1] == permute(np.arange(500), 500, keys[1])[5]


@pytest.mark.parametrize(
    "weights", [[1], [1, 1], [5, 1, 1, 1], [0.5] + [0.005] * 100, [0.7, 0.2, 0.0999, 0.0001], [1 / 3] * 3]
)
def test_interleave_stays_within_one_sample_of_the_weights(weights: list[float]) -> None:
    interleave = Interleave([str(i) for i in range(len(weights))], weights)
    source, ordinal = interleave.locate(np.arange(70_000))
    assert np.abs(np.array(interleave.counts) / 65_536 - np.array(weights) / sum(weights)).max() <= 1 / 65_536
    for s, count in enumerate(interleave.counts):
        taken = np.cumsum(source == s)
        assert np.abs(taken - np.arange(1, 70_001) * count / 65_536).max() < 1
        assert np.array_equal(ordinal[source == s], np.arange(taken[-1]))
        assert interleave.taken(66_000)[s] == taken[65_999]


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_weights_that_are_not_above_zero_are_refused(tmp_path: Path, weight: float) -> None:
    with pytest.raises(ConfigError, match="source 'a': weight"):
        MixtureReader([MixtureSource("a", [write_shard(tmp_path / "s", [5])], weight)], 4, 0, "stream")


@pytest.mark.parametrize("packing", ["stream", "whole"])
def test_the_state_is_one_integer(two_sources: list[MixtureSource], packing: str) -> None:
    reader = MixtureReader(two_sources, 32, 7, packing)
    again = MixtureReader(two_sources, 32, 7, packing)
    together = reader.batch(11, 10)
    parts = [again.batch(16, 5), again.batch(11, 5)][::-1]
    for field in ("tokens", "labels", "document"):
        assert np.array_equal(getattr(together, field), np.concatenate([getattr(p, field) for p in parts]))
    ranks = [[reader.batch(11 + step * 5 + rank, 1) for step in range(2)] for rank in range(5)]
    assert np.array_equal(together.tokens[7], ranks[2][1].tokens[0])
    other_seed = MixtureReader(two_sources, 32, 8, packing).batch(11, 10)
    assert not np.array_equal(together.tokens, other_seed.tokens)


@pytest.mark.parametrize("packing", ["stream", "whole"])
def test_each_epoch_visits_every_window_once_in_a_new_order(two_sources: list[MixtureSource], packing: str) -> None:
    reader = MixtureReader([two_sources[0]], 32, 7, packing)
    n = reader.total_windows
    epochs = [[window for _, _, window in reader.locate(e * n, n)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(n))
    assert epochs[0] != epochs[1]
    seen = reader.batch(0, n).tokens[reader.batch(0, n).document >= 0]
    every = np.concatenate([s.tokens for s in two_sources[0].shards])
    lost = set(every.tolist()) - set(seen.tolist())
    if packing == "stream":
        assert Counter(seen.tolist()) == Counter(every.tolist())
    else:  # long documents are cut, and the last token of each document predicts nothing
        ends = {int(s.tokens[e - 1]) for s in two_sources[0].shards for e in s.ends}
        assert len(seen) == len(set(seen.tolist()))
        assert all(t in ends or reader.truncated["a"] for t in lost)


@pytest.mark.parametrize("packing", ["stream", "whole"])
def test_labels_stay_in_their_document_and_are_targets(two_sources: list[MixtureSource], packing: str) -> None:
    reader = MixtureReader(two_sources, 32, 7, packing)
    batch = reader.batch(0, 60)
    document_of, target = {}, {}
    for source in two_sources:
        for k, shard in enumerate(source.shards):
            for d in range(len(shard)):
                for t, m in zip(shard.document(d).tolist(), shard.document_mask(d).tolist(), strict=True):
                    document_of[t], target[t] = (source.name, k, d), m
    last_of_document = {int(s.document(d)[-1]) for source in two_sources for s in source.shards for d in range(len(s))}
    for row in range(60):
        seen: dict[int, tuple[str, int, int]] = {}
        for t in range(32):
            token, label, number = (int(x[row, t]) for x in (batch.tokens, batch.labels, batch.document))
            if number < 0:
                assert label == IGNORE
                continue
            assert seen.setdefault(number, document_of[token]) == document_of[token]
            if label == IGNORE:
                assert token in last_of_document or not target[token + 1]
            else:
                assert label == token + 1 and document_of[label] == document_of[token] and target[label]
        assert len(set(seen.values())) == len(seen)
    assert batch.targets > 500


def test_whole_packing_never_splits_a_document_and_wastes_little() -> None:
    lengths = np.array(random_lengths(20_000, 120), dtype=np.int64)
    windows = pack_whole(lengths, document_order(len(lengths), 3), 256)
    assert sorted(windows.document.tolist()) == list(range(20_000))
    row = np.add.reduceat(windows.length, windows.first[:-1])
    assert row.max() <= 256
    assert row.mean() / 256 > 0.995


def test_whole_packing_counts_what_it_cuts_and_drops(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "s", [10, 41, 12, 90], masked=True)  # targets start half way: 20 of 41, 45 of 90
    reader = MixtureReader([MixtureSource("s", [shard], 1)], 32, 0, "whole")
    assert (reader.truncated, reader.dropped) == ({"s": 1}, {"s": 1})
    assert (reader.batch(0, reader.total_windows).labels != IGNORE).sum() == 5 + 13 + 6


def test_stream_windows_cover_the_documents_in_order() -> None:
    lengths = np.array([5, 2, 9, 1], dtype=np.int64)
    windows = pack_stream(lengths, np.array([2, 0, 3, 1]), 4)
    assert len(windows) == 5
    assert list(zip(windows.document.tolist(), windows.offset.tolist(), windows.length.tolist(), strict=True)) == [
        (2, 0, 4), (2, 4, 4), (2, 8, 1), (0, 0, 3), (0, 3, 2), (3, 0, 1), (1, 0, 1), (1, 1, 1),
    ]  # fmt: skip


def test_an_epoch_cap_says_what_was_wanted_and_what_there_is(two_sources: list[MixtureSource]) -> None:
    capped = MixtureSource("b", two_sources[1].shards, 1.0, max_epochs=2)
    reader = MixtureReader([two_sources[0], capped], 32, 0, "stream")
    most = 3 * 2 * reader.windows["b"]
    reader.require(most - 3)
    with pytest.raises(ConfigError, match=rf"source 'b': {most + 9} samples want .* allows {2 * reader.windows['b']};"):
        reader.require(most + 9)
    with pytest.raises(ConfigError, match="epochs"):
        reader.batch(most + 8, 1)


def test_pairs_stay_aligned_and_are_padded_to_the_longest(tmp_path: Path) -> None:
    lengths = random_lengths(30, 40)
    chosen = write_shard(tmp_path / "chosen", lengths, masked=True)
    rejected = write_shard(tmp_path / "rejected", lengths[::-1], masked=True, first_id=10_000)
    reader = PairReader(chosen, rejected, 64, 1)
    first, second = reader.batch(0, 30)
    assert first.tokens.shape == second.tokens.shape
    assert (first.document >= 0).sum(1).max() == first.tokens.shape[1] or (second.document >= 0).sum(
        1
    ).max() == first.tokens.shape[1]
    starts = {int(chosen.document(d)[0]): int(rejected.document(d)[0]) for d in range(30)}
    assert {int(a): int(b) for a, b in zip(first.tokens[:, 0], second.tokens[:, 0], strict=True)} == starts
    halves = [reader.batch(0, 15)[0], reader.batch(15, 15)[0]]
    assert [r[0] for h in halves for r in h.tokens.tolist()] == first.tokens[:, 0].tolist()
    with pytest.raises(DataError, match="expected the same number"):
        PairReader(chosen, write_shard(tmp_path / "x", [4]), 64, 1)
