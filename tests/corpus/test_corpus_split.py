"""The division in pieces does what one document after another would do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.split import Budgets, Drawn, HeldOut, draw

CODES = ("en", "fr", "code")


def pool(seed: int, count: int = 400) -> Drawn:
    """Return documents, a tenth of them in groups of two or three, some across languages."""
    values = np.random.default_rng(seed)
    languages = values.choice(3, count, p=[0.7, 0.25, 0.05])
    places = values.permutation(10 * count)[:count].astype(np.uint64)
    draws = np.array([draw(seed, str(place), "held_out") for place in places.tolist()])
    groups = places.copy()
    members = values.choice(count, count // 10, replace=False)
    for at, member in enumerate(members.tolist()):
        groups[member] = 10**6 + at // 3
        draws[member] = draw(seed, f"group {at // 3}", "held_out")
    return Drawn(places, languages, values.integers(100, 9000, count), draws, groups)


def pieces(documents: Drawn, count: int) -> Iterator[tuple[np.ndarray, Drawn]]:
    """Yield the documents in pieces by their draws, with their numbers."""
    for piece in range(count):
        numbers = np.flatnonzero((documents.draws * count).astype(int) == piece)
        columns = (documents.places, documents.languages, documents.sizes, documents.draws, documents.groups)
        yield numbers, Drawn(*(column[numbers] for column in columns))


def totals(documents: Drawn) -> np.ndarray:
    return np.bincount(documents.languages, documents.sizes, len(CODES))


def held_out_one_by_one(documents: Drawn, config: CorpusConfig) -> set[int]:
    found: dict[int, list[int]] = defaultdict(list)
    order: dict[int, float] = {}
    for number, (group, at) in enumerate(zip(documents.groups.tolist(), documents.draws.tolist(), strict=True)):
        found[group].append(number)
        order[group] = at
    total = totals(documents).tolist()
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
@pytest.mark.parametrize("count", [1, 7])
def test_held_out_documents_are_those_of_the_plain_rule(seed: int, count: int) -> None:
    documents = pool(seed)
    config = CorpusConfig(held_out=0.07, held_out_min_bytes=20_000)
    held_out = HeldOut(totals(documents), config)
    chosen = np.zeros(len(documents.places), bool)
    for numbers, piece in pieces(documents, count):
        done = held_out.done
        chosen[numbers] = held_out.take(piece)
        assert not (done and chosen[numbers].any())
    assert set(np.flatnonzero(chosen).tolist()) == held_out_one_by_one(documents, config)
    for group in np.unique(documents.groups):
        inside = chosen[documents.groups == group]
        assert inside.all() or not inside.any(), "a group was torn apart"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("count", [1, 7])
def test_budgets_are_filled_as_one_document_after_another_would(seed: int, count: int) -> None:
    documents = pool(seed)
    limits = np.array([150_000, 20_000, 20_000])
    budgets = Budgets(limits)
    over = np.zeros(len(documents.places), bool)
    for numbers, piece in pieces(documents, count):
        over[numbers] = budgets.take(piece)
    used: dict[int, int] = defaultdict(int)
    for number in np.lexsort((documents.places, documents.draws)).tolist():
        language, size = int(documents.languages[number]), int(documents.sizes[number])
        fits = used[language] + size <= limits[language]
        assert bool(over[number]) == (not fits)
        used[language] += size if fits else 0


def test_nothing_is_held_out_where_the_setting_is_off() -> None:
    documents = pool(0)
    held_out = HeldOut(totals(documents), CorpusConfig(held_out=0))
    assert held_out.done and not held_out.take(documents).any()
