"""The prefix store finds the longest stored prefix, forgets the least recent first, and never what is in use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smolforge.engine.kv_pages import PagePool
from smolforge.engine.prefix_store import PrefixStore
from tests.engine.small_model import PAGE, SmallPages


def tokens(values: Sequence[int]) -> np.ndarray:
    return np.asarray(values, np.int32)


def put(store: PrefixStore, values: Sequence[int]) -> None:
    """Store a sequence as a finished request does: its own pages, given to the store, then dropped."""
    node, pool = store.root, store.pool
    for start in range(0, len(values), PAGE):
        block = tokens(values[start : start + PAGE])
        page = pool.take()
        pool.memory.write(page, np.pad(block, (0, PAGE - len(block)), constant_values=-1).tobytes())
        if len(block) == PAGE:
            found = store.extend(node, block, page)
            pool.drop(page)
            if found is None:
                return
            node = found
        else:
            store.add_tail(node, block, page)
            pool.drop(page)


def found(store: PrefixStore, values: Sequence[int]) -> int:
    match = store.match(tokens(values))
    return len(match.nodes) * PAGE + match.tail


def test_whole_pages_are_found_and_a_started_page_is_copied_when_worth_it() -> None:
    store = PrefixStore(PagePool(SmallPages(8)), 8)
    put(store, range(20))
    assert found(store, range(20)) == 16, "four tokens are not worth a copy"
    big = PrefixStore(PagePool(_Wide(8)), 8)
    node = big.extend(big.root, tokens(range(32)), big.pool.take())
    assert node is not None
    assert big.match(tokens([*range(12), 40])).tail == 12, "a part of a whole page can be copied too"
    big.add_tail(node, tokens(range(32, 52)), big.pool.take())
    assert big.match(tokens(range(60))).tail == 20


class _Wide(SmallPages):
    page_tokens = 32


def test_a_longer_tail_replaces_the_shorter_one() -> None:
    store = PrefixStore(PagePool(_Wide(4)), 4)
    page = store.pool.take()
    store.add_tail(store.root, tokens(range(10)), page)
    store.add_tail(store.root, tokens(range(20)), page)
    assert len(store) == 1 and store.match(tokens(range(32))).tail == 20
    store.extend(store.root, tokens(range(32)), page)
    assert len(store) == 1 and store.pool.references(page) == 2


def test_the_least_recently_used_leaf_goes_first_and_pages_in_use_stay() -> None:
    store = PrefixStore(PagePool(SmallPages(4)), 3)
    put(store, [1] * 8)
    put(store, [2] * 8)
    put(store, [3] * 8)
    assert found(store, [1] * 8) == 8
    put(store, [4] * 8)
    assert [found(store, [i] * 8) for i in (1, 2, 3, 4)] == [8, 0, 8, 8]
    held = store.match(tokens([1] * 8)).nodes[0].page
    store.pool.share(held)
    store.clear()
    assert len(store) == 1 and found(store, [1] * 8) == 8


def test_a_parent_outlives_its_children() -> None:
    store = PrefixStore(PagePool(SmallPages(6)), 3)
    put(store, [*[1] * 8, *[2] * 8])
    put(store, [*[1] * 8, *[3] * 8])
    put(store, [5] * 8)
    assert found(store, [*[1] * 8, *[3] * 8]) == 16 and found(store, [*[1] * 8, *[2] * 8]) == 8


def test_a_store_full_of_pages_in_use_refuses_politely() -> None:
    store = PrefixStore(PagePool(SmallPages(4)), 1)
    page = store.pool.take()
    assert store.extend(store.root, tokens([1] * 8), page) is not None
    other = store.pool.take()
    assert store.extend(store.root, tokens([2] * 8), other) is None
    assert store.pool.references(other) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=40), min_size=1, max_size=12))
def test_what_is_found_is_the_state_of_exactly_these_tokens(sequences: list[list[int]]) -> None:
    store = PrefixStore(PagePool(SmallPages(16)), 6)
    for values in sequences:
        put(store, values)
        assert len(store) <= 6 and store.pool.used == len(store)
        match = store.match(tokens(values))
        state = [np.frombuffer(store.pool.memory.read(node.page), np.int32) for node in match.nodes]
        if match.source is not None:
            state.append(np.frombuffer(store.pool.memory.read(match.source.page), np.int32)[: match.tail])
        flat = np.concatenate(state) if state else np.empty(0, np.int32)
        assert flat.tolist() == values[: len(flat)]
