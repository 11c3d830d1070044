"""Prefixes computed once: a tree of pages, each node one page of tokens behind its parent's.

Input: pages that sequences have filled. Output: for new tokens, the pages that already hold their state. Full pages are
shared; a partly filled page is copied by whoever goes on from it. The pages used longest ago are given up first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.kv_pages import PagePool

Tokens = NDArray[np.int32]
LEAST_COPY = 8  # tokens for which copying a page is cheaper than computing them


@dataclass(eq=False, slots=True)
class Node:
    """The state of ``tokens`` (at most a page of them) after those of all parents. The root has no page."""

    parent: Node | None
    tokens: Tokens
    page: int
    full: dict[bytes, Node] = field(default_factory=dict)  # children that fill their page, by their tokens' bytes
    tails: list[Node] = field(default_factory=list)  # children that do not; these have no children

    def children(self) -> Iterator[Node]:
        """All children, full ones first."""
        yield from self.full.values()
        yield from self.tails


@dataclass(frozen=True)
class Match:
    """What the store holds of some tokens: ``nodes`` for whole pages, then ``tail`` tokens of ``source``'s page."""

    nodes: list[Node]
    source: Node | None
    tail: int


class PrefixStore:
    """At most ``limit`` pages of shared prefixes, in ``pool``'s memory. Pages a sequence holds are never evicted."""

    def __init__(self, pool: PagePool, limit: int) -> None:
        self.pool, self.limit = pool, limit
        self.root = Node(None, np.empty(0, np.int32), -1)
        self._recent: OrderedDict[Node, None] = OrderedDict()  # the first was used longest ago
        pool.reclaim = self.evict

    def __len__(self) -> int:
        return len(self._recent)

    def nodes(self) -> Iterator[Node]:
        """Every node, parents before their children."""
        waiting = list(self.root.children())
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.children())

    def idle(self) -> int:
        """Pages that would be free if everything not in use were evicted."""
        return sum(self.pool.references(node.page) == 1 for node in self._recent)

    def child(self, node: Node, tokens: Tokens) -> Node | None:
        """Return the full child of ``node`` for one page of ``tokens``."""
        found = node.full.get(tokens.tobytes())
        if found is not None:
            self.touch(found)
        return found

    def match(self, tokens: Tokens) -> Match:
        """Return the longest stored prefix of ``tokens``; its nodes count as used now."""
        nodes, node, start, size = [], self.root, 0, self.pool.page_tokens
        while (found := node.full.get(tokens[start : start + size].tobytes())) is not None:
            nodes.append(found)
            node, start = found, start + size
        source, tail = self._tail(node, tokens[start : start + size])
        self.touch(source or node)
        return Match(nodes, source, tail)

    def _tail(self, node: Node, rest: Tokens) -> tuple[Node | None, int]:
        """Return the child that shares the most first tokens with ``rest``, if they are worth a copy, and how many."""
        best, longest = None, LEAST_COPY - 1
        if len(rest) > longest:
            for child in node.children():
                if child.tokens[0] == rest[0] and (common := common_prefix(child.tokens, rest)) > longest:
                    best, longest = child, common
        return best, longest if best is not None else 0

    def extend(self, node: Node, tokens: Tokens, page: int) -> Node | None:
        """Add one full page behind ``node``; return the node that now stands for it, which may be an older one.

        None when the store is full of pages in use. The caller keeps its own hold on ``page``.
        """
        key = tokens.tobytes()
        found = node.full.get(key)
        if found is None:
            if not self._make_room():
                return None
            found = node.full[key] = self._add(node, tokens, page)
            self._drop_tails_within(node, tokens)
        self.touch(found)
        return found

    def add_tail(self, node: Node, tokens: Tokens, page: int) -> None:
        """Add a partly filled page behind ``node``. Its owner may go on to fill it: these tokens stay as they are."""
        if len(tokens) < LEAST_COPY or self._tail(node, tokens)[1] == len(tokens) or not self._make_room():
            return
        node.tails.append(self._add(node, tokens, page))
        self._drop_tails_within(node, tokens)

    def _add(self, parent: Node, tokens: Tokens, page: int) -> Node:
        node = Node(parent, tokens.copy(), self.pool.share(page))
        self._recent[node] = None
        return node

    def _drop_tails_within(self, node: Node, tokens: Tokens) -> None:
        for tail in list(node.tails):
            if len(tail.tokens) < len(tokens) and common_prefix(tail.tokens, tokens) == len(tail.tokens):
                self._remove(tail)

    def touch(self, node: Node | None) -> None:
        """Count a node and its parents as used now, parents last: so a parent never looks older than its child."""
        while node is not None and node.parent is not None:
            self._recent.move_to_end(node)
            node = node.parent

    def _make_room(self) -> bool:
        return len(self._recent) < self.limit or self.evict()

    def evict(self) -> bool:
        """Give up the page used longest ago that nobody holds and no child needs; False when there is none."""
        for node in self._recent:
            if self.pool.references(node.page) == 1 and not node.full and not node.tails:
                self._remove(node)
                return True
        return False

    def _remove(self, node: Node) -> None:
        assert node.parent is not None
        if len(node.tokens) == self.pool.page_tokens:
            del node.parent.full[node.tokens.tobytes()]
        else:
            node.parent.tails.remove(node)
        del self._recent[node]
        self.pool.drop(node.page)

    def clear(self) -> None:
        """Forget everything that nobody is using."""
        while self.evict():
            pass


def common_prefix(first: Tokens, second: Tokens) -> int:
    """Return how many leading tokens are equal."""
    length = min(len(first), len(second))
    different = first[:length] != second[:length]
    return int(different.argmax()) if different.any() else length
