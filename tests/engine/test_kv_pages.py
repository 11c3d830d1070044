"""Pages are held by counting: shared ones outlive their first holder, free ones give their memory back."""

from __future__ import annotations

import pytest

from smolforge.engine.kv_pages import OutOfPages, PagePool
from tests.engine.small_model import SmallPages


def test_a_shared_page_is_free_only_after_its_last_holder() -> None:
    pool = PagePool(SmallPages(2))
    page = pool.take()
    pool.share(page)
    pool.drop(page)
    assert pool.used == 1
    pool.drop(page)
    assert pool.used == 0


def test_taking_from_an_empty_pool_reclaims_or_says_so() -> None:
    pool = PagePool(SmallPages(1))
    held = [pool.take()]
    with pytest.raises(OutOfPages, match="all 1 pages"):
        pool.take()

    def give_back() -> bool:
        pool.drop(held.pop())
        return True

    pool.reclaim = give_back
    assert pool.take() == 0 and not held


def test_a_copy_is_independent_and_survives_reclaiming() -> None:
    memory = SmallPages(2)
    pool = PagePool(memory)
    page = pool.take()
    memory.data[page] = 5
    other = pool.copy(page)
    memory.data[page] = 6
    assert memory.data[other].tolist() == [5] * 8
    with pytest.raises(OutOfPages):
        pool.copy(page)
    assert pool.references(page) == 1, "a copy that failed leaves no hold behind"


def test_free_pages_beyond_the_warm_reserve_go_back_to_the_system() -> None:
    memory = SmallPages(4)
    pool = PagePool(memory, warm_bytes=memory.page_bytes)
    pages = [pool.take() for _ in range(3)]
    memory.data[pages] = 1
    for page in pages:
        pool.drop(page)
    assert (memory.data == 1).any(axis=1).sum() == 1
    pool.trim()
    assert not (memory.data == 1).any()
    assert pool.free == 4
