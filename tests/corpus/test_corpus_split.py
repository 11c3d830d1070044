"""The division over arrays does what one document after another would do."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.split import Related, Survivors, choose_held_out, draw, over_budget

CODES = ("en", "fr", "code")


def pool(seed: int, count: int = 400) -> tuple[Survivors, np.ndarray, Related]:
    """Return survivors with their draws, a tenth of them in groups of two or three, some across languages."""
    values = np.random.default_rng(seed)
    languages = values.choice(3, count, p=[0.7, 0.25, 0.05]).astype(np.int16)
    documents = Survivors(CODES, languages, values.integers(100, 9000, count))
    draws = np.array([draw(seed, str(number), "held_out") for number in range(count)])
    members = np.sort(values.choice(count, count // 10, replace=False))
    groups = values.permutation(np.arange(len(members)) // 3).astype(np.uint64)
    of_group = np.array([draw(seed, f"group {group}", "held_out") for group in groups.tolist()])
    return documents, draws, Related(members, groups, of_group)


def held_out_one_by_one(documents: Survivors, draws: np.ndarray, related: Related, config: CorpusConfig) -> set[int]:
    columns = (related.members.tolist(), related.groups.tolist(), related.draws.tolist())
    grouped = {number: (group, at) for number, group, at in zip(*columns, strict=True)}
    found: dict[object, list[int]] = defaultdict(list)
    order: dict[object, float] = {}
    for number in range(len(draws)):
        group, at = grouped.get(number, (f"alone {number}", float(draws[number])))
        found[group].append(number)
        order[group] = at
    total = [int(documents.sizes[documents.languages == code].sum()) for code in range(3)]
    wanted = [max(config.held_out * t, min(config.held_out_min_bytes, 0.2 * t)) for t in total]
    held, chosen = [0.0] * 3, set()
    for group in sorted(found, key=lambda name: order[name]):
        sizes: dict[int, int] = defaultdict(int)
        for number in found[group]:
            sizes[int(documents.languages[number])] += int(documents.sizes[number])
        small = all(size <= 0.2 * total[code] for code, size in sizes.items())
        if small and any(held[code] < wanted[code] for code in sizes):
            chosen.update(found[group])
            for code, size in sizes.items():
                held[code] += size
    return chosen


@pytest.mark.parametrize("seed", range(6))
def test_held_out_documents_are_those_of_the_plain_rule(seed: int) -> None:
    documents, draws, related = pool(seed)
    config = CorpusConfig(held_out=0.07, held_out_min_bytes=20_000)
    expected = held_out_one_by_one(documents, draws, related, config)
    chosen = choose_held_out(documents, draws.copy(), related, config)
    assert set(np.flatnonzero(chosen).tolist()) == expected
    for group in np.unique(related.groups):
        inside = chosen[related.members[related.groups == group]]
        assert inside.all() or not inside.any(), "a group was torn apart"


@pytest.mark.parametrize("seed", range(6))
def test_budgets_are_filled_as_one_document_after_another_would(seed: int) -> None:
    documents, draws, _ = pool(seed)
    config = CorpusConfig(max_bytes_per_language={"en": 150_000, "default": 20_000})
    candidates = draws > 0.1
    over = over_budget(documents, draws, candidates, config)
    used: dict[str, int] = defaultdict(int)
    for number in np.argsort(draws, kind="stable").tolist():
        code, size = CODES[documents.languages[number]], int(documents.sizes[number])
        budget = config.byte_budget(code)
        assert budget is not None
        fits = bool(candidates[number]) and used[code] + size <= budget
        assert bool(over[number]) == (bool(candidates[number]) and not fits)
        used[code] += size if fits else 0


def test_nothing_is_held_out_or_over_where_the_settings_are_off() -> None:
    documents, draws, related = pool(0)
    assert not choose_held_out(documents, draws.copy(), related, CorpusConfig(held_out=0)).any()
    assert not over_budget(documents, draws, draws >= 0, CorpusConfig()).any()
