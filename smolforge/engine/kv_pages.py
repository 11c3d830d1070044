"""Who holds which page of key-value memory: pages are taken, shared and given back by counting references.

Input: the native memory of one model (``_native.Pages``). Output: page numbers for sequences and for the prefix store.
Everything here runs on the one thread that drives the model, so there are no locks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from smolforge.errors import SmolforgeError

WARM_BYTES = 64 << 20  # free pages that stay resident: touching a page again costs more than copying a token's state


class PageMemory(Protocol):
    """What the native module gives: pages of key-value state for ``page_tokens`` tokens in all layers."""

    @property
    def page_tokens(self) -> int:
        """Tokens of one page."""

    @property
    def page_bytes(self) -> int:
        """Bytes of one page."""

    @property
    def pages(self) -> int:
        """Number of pages; memory is used when one is written."""

    def copy(self, source: int, target: int) -> None:
        """Copy one page."""

    def read(self, page: int) -> bytes:
        """Return a page's bytes."""

    def write(self, page: int, data: bytes) -> None:
        """Set a page's bytes."""

    def release(self, page: int) -> None:
        """Give a page's memory back to the system; it reads as zeros until written again."""


class OutOfPages(SmolforgeError):
    """No page is free and none can be reclaimed."""


class PagePool:
    """Reference-counted pages. ``reclaim`` is asked to free one page when none is left; it says whether it could."""

    def __init__(self, memory: PageMemory, *, warm_bytes: int = WARM_BYTES) -> None:
        self.memory = memory
        self.page_tokens = memory.page_tokens
        self.reclaim: Callable[[], bool] = lambda: False
        self._references = [0] * memory.pages
        self._warm: list[int] = []  # free and still resident, the last one used first
        self._cold = list(range(memory.pages - 1, -1, -1))  # free and not resident
        self._most_warm = warm_bytes // max(memory.page_bytes, 1)

    @property
    def free(self) -> int:
        """Pages that nobody holds."""
        return len(self._warm) + len(self._cold)

    @property
    def used(self) -> int:
        """Pages that somebody holds."""
        return self.memory.pages - self.free

    def references(self, page: int) -> int:
        """Return how many hold ``page``."""
        return self._references[page]

    def take(self) -> int:
        """Return a page that nobody else holds, reclaiming one if need be; OutOfPages where there is none."""
        if not self.free and not self.reclaim():
            raise OutOfPages(f"all {self.memory.pages} pages of key-value memory are in use")
        page = (self._warm or self._cold).pop()
        self._references[page] = 1
        return page

    def share(self, page: int) -> int:
        """Hold ``page`` once more; return it."""
        assert self._references[page] > 0, "only a page in use can be shared"
        self._references[page] += 1
        return page

    def copy(self, source: int) -> int:
        """Return a page of one's own with the bytes of ``source``."""
        self.share(source)  # taking a page may reclaim others, never this one
        try:
            page = self.take()
            self.memory.copy(source, page)
        finally:
            self.drop(source)
        return page

    def drop(self, page: int) -> None:
        """Let go of ``page``; with the last holder it is free, and beyond a small reserve its memory goes back."""
        assert self._references[page] > 0, "a page is dropped once a holder"
        self._references[page] -= 1
        if self._references[page]:
            return
        if len(self._warm) < self._most_warm:
            self._warm.append(page)
        else:
            self.memory.release(page)
            self._cold.append(page)

    def trim(self) -> None:
        """Give the memory of all free pages back to the system."""
        while self._warm:
            page = self._warm.pop()
            self.memory.release(page)
            self._cold.append(page)
