"""One sequence on its way: which tokens are known, how far the cache reaches, and which pages hold it.

Input: a job, the page pool and the prefix store. Output: the slices a step feeds to the model, and pages given back.
``cached`` never counts a token that might still be taken back, so a page once full stays as it is and can be shared.
"""

from __future__ import annotations

from collections.abc import Sequence as Tokens
from contextlib import suppress
from typing import Any

import numpy as np

from smolforge.engine.job import Job
from smolforge.engine.kv_pages import OutOfPages, PagePool
from smolforge.engine.prefix_store import Node, PrefixStore
from smolforge.engine.work import Branch

DRAFT_ROOM = 64  # places behind the longest answer where drafted tokens may stand


class Sequence:
    """Tokens and pages of one job. ``buffer[:known]`` are its tokens, ``buffer[:cached]`` those in the pages."""

    def __init__(self, job: Job[Any], pool: PagePool, store: PrefixStore) -> None:
        self.job, self.work, self.order = job, job.work, job.number
        self._pool, self._store = pool, store
        self.page_tokens = self._size = pool.page_tokens
        prompt = self.work.prompt
        self.buffer = np.zeros(max(self.work.most, len(prompt)) + DRAFT_ROOM, np.int32)
        self.buffer[: len(prompt)] = prompt
        self.known, self.cached = len(prompt), 0
        self.pages: list[int] = []
        self.branch_pages: list[list[int]] = []  # of each branch that is being read, those it does not share
        self._node: Node | None = store.root  # the store's node for the last whole page, None off the tree
        self._whole = 0  # pages up to that node

    @property
    def missing(self) -> int:
        """Known tokens that are not in the cache."""
        return self.known - self.cached

    @property
    def _sharable(self) -> int:
        """Tokens whose state may come from the store: behind them an output row is wanted."""
        return min(self.work.looks_from, self.known)

    def adopt(self) -> None:
        """Take over what the store holds of the known tokens: whole pages shared, a last part copied."""
        match = self._store.match(self.buffer[: self._sharable])
        for node in match.nodes:
            self._share(node)
        if match.source is not None:
            with suppress(OutOfPages):  # then these few tokens are computed
                self.pages.append(self._pool.copy(match.source.page))
                self.cached += match.tail

    def adopt_next(self) -> None:
        """Between two pages: take over further whole pages that others have computed meanwhile."""
        while self._node is not None and self.cached == self._whole * self._size:
            block = self.buffer[self.cached : self.cached + self._size]
            if self.cached + self._size > self._sharable or (node := self._store.child(self._node, block)) is None:
                return
            for page in self.pages[self._whole :]:
                self._pool.drop(page)
            del self.pages[self._whole :]
            self._share(node)

    def _share(self, node: Node) -> None:
        self.pages.append(self._pool.share(node.page))
        self._node, self._whole = node, self._whole + 1
        self.cached = self._whole * self._size

    def block(self) -> tuple[int, bytes] | None:
        """Return a name for the page being computed, the same for all sequences that would compute the same."""
        start = self._whole * self._size
        if self._node is None or start + self._size > self._sharable:
            return None
        return id(self._node), self.buffer[start : start + self._size].tobytes()

    @property
    def between_pages(self) -> bool:
        """Whether the next token begins a page."""
        return self.cached == self._whole * self._size

    def grow(self, rows: int) -> None:
        """Hold pages for ``rows`` more tokens; OutOfPages where there are none (those already taken are kept)."""
        while len(self.pages) * self._size < self.cached + rows:
            self.pages.append(self._pool.take())

    def grow_branches(self, branches: Tokens[Branch]) -> None:
        """Hold pages for branches behind all known tokens, for as many as there is room; OutOfPages without any room.

        The last page, where it is partly filled, is copied for each but the first, which goes on in it.
        """
        self.drop_branches()
        shared, filled = divmod(self.known, self._size)
        for branch in branches:
            own: list[int] = []
            self.branch_pages.append(own)
            try:
                if filled:
                    own.append(
                        (self._pool.copy if len(self.branch_pages) > 1 else self._pool.share)(self.pages[shared])
                    )
                while (shared + len(own)) * self._size < self.known + len(branch.tokens):
                    own.append(self._pool.take())
            except OutOfPages:
                self._drop(self.branch_pages.pop())
                if not self.branch_pages:
                    raise
                return

    def pages_of_branch(self, index: int) -> list[int]:
        """Return the pages of a branch: the shared ones, then its own."""
        return [*self.pages[: self.known // self._size], *self.branch_pages[index]]

    def drop_branches(self) -> None:
        """Give the branches' own pages back."""
        for own in self.branch_pages:
            self._drop(own)
        self.branch_pages.clear()

    def _drop(self, pages: list[int]) -> None:
        for page in pages:
            self._pool.drop(page)

    def accept(self, new: Tokens[int], fed: int, draft: Tokens[int]) -> None:
        """Count ``fed`` known tokens as cached, add ``new`` ones, and count those that were rightly drafted."""
        self.cached += fed
        if len(new):
            end = self.known + len(new)
            for guess, token in zip(draft, new, strict=False):
                if guess != token:
                    break
                self.cached += 1
            self.buffer[self.known : end] = new
            self.known = end
        if (self._whole + 1) * self._size <= self.cached:
            self._record()

    def _record(self) -> None:
        """Put the pages that have become full into the store, and use the store's where it had them already."""
        if not self.work.keep:
            self._node = None
        while self._node is not None and (end := (self._whole + 1) * self._size) <= self.cached:
            block = self.buffer[end - self._size : end]
            self._node = self._store.extend(self._node, block, self.pages[self._whole])
            if self._node is None:
                return
            mine, self.pages[self._whole] = self.pages[self._whole], self._pool.share(self._node.page)
            self._pool.drop(mine)
            self._whole += 1

    def record_tail(self) -> None:
        """Let others copy the last page as far as it is filled."""
        rest = self.buffer[self._whole * self._size : self.cached]
        if self.work.keep and self._node is not None and len(rest):
            self._store.add_tail(self._node, rest, self.pages[self._whole])

    def release(self) -> None:
        """Give all pages back, leaving what is worth keeping in the store; the sequence may start over."""
        self.record_tail()
        self.drop_branches()
        self._drop(self.pages)
        self.pages.clear()
        self.cached = self._whole = 0
        self._node = self._store.root
