"""Mixtures: shares are of tokens, caps hold or the rest is shared out, a curriculum goes from easy to hard."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smolforge.errors import ConfigError, DataError
from smolforge.recipe.load import load_recipe
from smolforge.tokens.epoch_caps import unimax, within_limits
from smolforge.tokens.mixture import MixtureSource, named_shards
from smolforge.tokens.published import published, published_weights
from smolforge.tokens.reader import MixtureReader, Packing, Reading
from smolforge.tokens.shards import Shard, ShardWriter
from smolforge.train.config import PhaseConfig, TrainConfig

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "3b.yaml"


def shard(folder: Path, lengths: list[int], difficulty: list[float] | None = None) -> Shard:
    """Every token of document d has the id d, so that tokens tell their document."""
    with ShardWriter(folder, vocab_size=1 << 20, tokenizer="t") as writer:
        for d, n in enumerate(lengths):
            writer.add([d] * n, difficulty=difficulty[d] if difficulty else None)
    return Shard.open(folder)


def source(folder: Path, documents: int = 200, **options: float) -> MixtureSource:
    lengths = [int(n) for n in np.random.default_rng(documents).integers(5, 60, documents)]
    grades = [float(g) for g in np.random.default_rng(1).random(documents)]
    return MixtureSource(folder.name, [shard(folder, lengths, grades)], **{"weight": 1.0, **options})


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 10), st.none() | st.floats(0, 50)), min_size=1, max_size=8), st.floats(1, 500)
)
def test_what_a_cap_cuts_off_goes_to_the_others_by_weight(
    sources: list[tuple[float, float | None]], total: float
) -> None:
    weights, limits = [w for w, _ in sources], [limit for _, limit in sources]
    try:
        given_ = within_limits(weights, limits, total)
    except ConfigError:
        assert sum(limit if limit is not None else np.inf for limit in limits) < total
        return
    assert sum(given_) == pytest.approx(total)
    below = [
        amount / weight
        for amount, (weight, limit) in zip(given_, sources, strict=True)
        if limit is None or amount < limit * (1 - 1e-9)
    ]
    assert not below or max(below) == pytest.approx(min(below))
    for amount, (weight, limit) in zip(given_, sources, strict=True):
        assert limit is None or amount <= limit * (1 + 1e-9)
        # a source at its cap has no more than the others would have for its weight
        assert not below or amount / weight <= max(below) * (1 + 1e-9)


def test_a_capped_source_is_refused_or_its_rest_is_shared_out(tmp_path: Path) -> None:
    small, large = source(tmp_path / "small", 20, max_epochs=2.0), source(tmp_path / "large", 400, weight=1.0)
    samples = 2000
    with pytest.raises(ConfigError, match=r"'small': .* allows \d+; .* at_cap: redistribute"):
        MixtureReader([small, large], 16, 1).require(samples)
    reader = MixtureReader([small, large], 16, 1, reading=Reading(samples, at_cap="redistribute"))
    reader.require(samples)
    seen = reader.epochs(samples)
    assert 1.9 < seen["small"] <= 2.0
    assert sum(reader.taken(samples).values()) == samples


def test_caps_that_leave_too_little_are_refused(tmp_path: Path) -> None:
    one = source(tmp_path / "one", 20, max_epochs=1.0)
    with pytest.raises(ConfigError, match="all sources up to their caps"):
        MixtureReader([one], 16, 1, reading=Reading(10_000, at_cap="redistribute"))


def test_shares_are_of_tokens_also_where_windows_stay_part_empty(tmp_path: Path) -> None:
    full = MixtureSource("full", [shard(tmp_path / "full", [33] * 300)], 1.0)
    half = MixtureSource("half", [shard(tmp_path / "half", [18] * 300)], 1.0)  # 17 of 32 places are used

    def share(reading: Reading) -> float:
        reader = MixtureReader([full, half], 32, 1, "whole", reading)
        counts = reader.taken(300)
        return counts["half"] * 17 / (counts["half"] * 17 + counts["full"] * 32)

    assert share(Reading()) == pytest.approx(0.5, abs=0.01)
    assert share(Reading(weights="windows")) == pytest.approx(17 / 49, abs=0.01)


@pytest.mark.parametrize("packing", ["stream", "whole"])
@pytest.mark.parametrize("epochs", [0.4, 1.0, 2.5])
def test_a_curriculum_goes_from_easy_to_hard_over_the_phase(tmp_path: Path, packing: Packing, epochs: float) -> None:
    graded = source(tmp_path / "graded")
    size = len(MixtureReader([graded], 32, 3, packing, Reading(1, "easy_first"))._first) - 1
    samples = int(size * epochs)
    for order, sign in (("easy_first", 1), ("hard_first", -1)):
        reader = MixtureReader([graded], 32, 3, packing, Reading(samples, order))
        batch = reader.batch(0, samples)
        grades = graded.difficulty()
        mean = np.array([grades[row[mask]].mean() for row, mask in zip(batch.tokens, batch.document >= 0, strict=True)])
        tenths = np.array([part.mean() for part in np.array_split(mean, 8)])
        assert (np.diff(sign * tenths) > 0).all()
        seen = Counter(window for _, _, window in reader.locate(0, samples))
        # every part of the source is read alike often, not only what is easy
        assert max(seen.values()) <= int(np.ceil(epochs)) + 1
        assert len(seen) > 0.9 * min(size, samples)


def test_a_curriculum_depends_on_the_sample_number_alone(tmp_path: Path) -> None:
    sources = [source(tmp_path / "a", 100), source(tmp_path / "b", 60, weight=0.5)]
    reader = MixtureReader(sources, 16, 3, reading=Reading(300, "easy_first"))
    whole = reader.batch(0, 300).tokens
    again = MixtureReader(sources, 16, 3, reading=Reading(300, "easy_first"))
    parts = [again.batch(start, 50).tokens for start in (250, 100, 0, 50, 200, 150)]
    order = [2, 3, 1, 5, 4, 0]
    assert np.array_equal(whole, np.concatenate([parts[i] for i in order]))
    with pytest.raises(ConfigError, match="made for 300 samples"):
        reader.batch(299, 2)


def test_an_order_needs_a_difficulty(tmp_path: Path) -> None:
    plain = MixtureSource("plain", [shard(tmp_path / "plain", [9] * 9)], 1.0)
    with pytest.raises(DataError, match=r"'plain': .* set tokenize\.difficulty"):
        MixtureReader([plain], 8, 1, reading=Reading(5, "easy_first"))
    with pytest.raises(DataError, match="others have"), ShardWriter(tmp_path / "x", vocab_size=9, tokenizer="t") as w:
        w.add([1], difficulty=0.5)
        w.add([1])


def test_going_onward_shows_every_window_once_before_any_twice(tmp_path: Path) -> None:
    plain = source(tmp_path / "plain")
    size = MixtureReader([plain], 32, 7).total_windows
    first = MixtureReader([plain], 32, 7).locate(0, size // 2)
    rest = MixtureReader([plain], 32, 7, reading=Reading(begin={"plain": size // 2})).locate(0, size - size // 2)
    assert len({window for _, _, window in first + rest}) == size
    capped = MixtureSource("plain", plain.shards, 1.0, 1.0)
    with pytest.raises(ConfigError, match="allows"):
        MixtureReader([capped], 32, 7, reading=Reading(begin={"plain": size // 2})).require(size - size // 2 + 1)


def test_going_onward_needs_one_window_and_no_other_order() -> None:
    phases = [{"name": n, "steps": 1, "mixture": {"a": 1}} for n in ("x", "y")]
    assert TrainConfig(phases=phases, reading="onward").reading == "onward"
    with pytest.raises(ValueError, match="one sequence_length"):
        TrainConfig(phases=[phases[0], {**phases[1], "sequence_length": 8}], reading="onward")
    with pytest.raises(ValueError, match="an order of its own"):
        TrainConfig(phases=[phases[0], {**phases[1], "order": "easy_first"}], reading="onward")


def test_a_pattern_names_shards_by_source_or_language_and_never_what_is_held_out() -> None:
    known = ["books.en", "books.fr", "web.fr", "held_out-fr", "preferences/chosen", "text-fr"]
    assert named_shards("*.fr", known) == ["books.fr", "web.fr"]
    assert named_shards("books.*", known) == ["books.en", "books.fr"]
    assert named_shards("*fr", known) == ["books.fr", "web.fr", "text-fr"]
    assert named_shards("held_out-*", known) == ["held_out-fr"]
    assert named_shards("web.de", known) == []


def test_the_3b_recipe_uses_the_shipped_tables() -> None:
    recipe = load_recipe(RECIPE)
    used = {}
    for stage in ("pretrain", "long_context", "midtrain", "sft"):
        section = recipe.sections[stage]
        assert isinstance(section, TrainConfig)
        used |= {f"smollm3/{phase.name}": (stage, phase.mixture) for phase in section.phases}
    assert used == {name: (table["stage"], table["weights"]) for name, table in published().items()}


def test_shipped_tables_have_the_published_sums() -> None:
    """The shares of languages, maths and code that follow from the published configurations."""
    multilingual, maths, code = [], [], []
    for name in ("stable", "stable-2", "decay"):
        weights = published_weights(f"smollm3/{name}")

        def part(*names: str, weights: dict[str, float] = weights) -> float:
            return sum(weight for source, weight in weights.items() if source.startswith(names))

        multilingual.append(part("fineweb2", "wiki_multilingual"))
        maths.append(part("infiwebmath", "finemath", "megamath", "openmath", "tinygsm", "dolmino"))
        code.append(part("stack_v2", "stack_edu", "pull_requests", "kaggle", "jupyter", "github", "opencode"))
    assert [round(sum(published_weights(f"smollm3/{n}").values()), 5) for n in ("stable", "stable-2", "decay")] == [
        1.0, 1.00005, 1.00565
    ]  # fmt: skip
    assert multilingual == pytest.approx([0.120, 0.117, 0.131], abs=2e-3)
    assert maths == pytest.approx([0.027, 0.091, 0.131], abs=2e-3)
    assert code == pytest.approx([0.125, 0.143, 0.232], abs=3e-3)


def test_a_phase_may_name_a_shipped_table() -> None:
    phase = PhaseConfig(name="x", steps=1, mixture="smollm3/decay")
    assert phase.mixture == published_weights("smollm3/decay")
    with pytest.raises(ValueError, match="did you mean 'smollm3/decay'"):
        PhaseConfig(name="x", steps=1, mixture="smollm3/decoy")


def test_a_cap_on_a_source_that_is_not_in_the_mixture_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"max_epochs names 'wbe', which its mixture does not \(did you mean 'web'"):
        PhaseConfig(name="x", steps=1, mixture={"web": 1}, max_epochs={"wbe": 2})
    assert PhaseConfig(name="x", steps=1, mixture={"web": 1}, max_epochs={"default": 4}).max_epochs == {"default": 4}


def test_unimax_gives_all_the_same_but_none_too_often() -> None:
    parts = unimax({"en": 1000, "fr": 300, "br": 10}, budget=600, max_epochs=4)
    assert parts == {"en": 280.0, "fr": 280.0, "br": 40.0}
    assert sum(unimax({"en": 5, "fr": 5}, budget=600, max_epochs=4).values()) == 40
    with pytest.raises(ConfigError, match="budget of 0"):
        unimax({"en": 5}, budget=0, max_epochs=4)
