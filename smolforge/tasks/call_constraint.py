"""Which tokens may come next in a tool call about one command: the token tries walked in step with the call grammar.

Input: a tool list, a ``Vocabulary`` and a command. Output: a ``smolforge.generator.Constraint``. The work that does not
depend on the command is remembered at the grammar's states, so a command costs about a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import DataError
from smolforge.tasks.call_grammar import CallGrammar
from smolforge.tasks.call_state import SlotKind, State
from smolforge.tasks.copy_source import BREAK, CopySource, numbers_of, spans_of
from smolforge.tasks.vocabulary import TrieNode, Vocabulary


@dataclass(frozen=True)
class _Copying:
    """Inside a copied value: the byte positions it may have reached, the state that follows the value, and the place
    within a listed value that begins alike (a slot may take either)."""

    source: CopySource
    positions: tuple[int, ...]
    after: State
    listed: State | None = None

    @property
    def may_end(self) -> bool:
        return any(position in self.source.ends for position in self.positions)

    def step(self, byte: int) -> _Copying | State | None:
        """Return where ``byte`` leads, or None; a byte never both continues and ends a value (see ``CopySource``)."""
        units = self.source.units
        moved = tuple(p + 1 for p in self.positions if p < len(units) and units[p] == byte)
        listed = self.listed.edges.get(byte) if self.listed is not None else None
        if moved:
            return _Copying(self.source, moved, self.after, listed)
        if listed is not None:  # where a copied value ends here too, both lead on alike
            return listed
        return self.after.edges.get(byte) if self.may_end else None

    def bytes_next(self) -> set[int]:
        units = self.source.units
        following = {units[p] for p in self.positions if p < len(units)} - {BREAK}
        following |= set(self.listed.edges) if self.listed is not None else set()
        return following | set(self.after.edges) if self.may_end else following


class CallConstrainer:
    """Makes one ``CallConstraint`` per command for a fixed tool list, vocabulary and set of end tokens."""

    def __init__(
        self,
        tools: Sequence[Mapping[str, Any]],
        vocabulary: Vocabulary,
        end_tokens: Iterable[int],
        *,
        prefix: str = "",
    ) -> None:
        """``prefix`` is text the template puts between the start of the answer and the call (after a think block)."""
        self.grammar = CallGrammar(tools, prefix)
        self.vocabulary = vocabulary
        self.end_tokens = np.array(sorted(end_tokens), dtype=np.int64)

    def constraint(self, command: str) -> CallConstraint:
        """Return the constraint for the answer to ``command``; ConfigError where it allows no call at all."""
        sources = {kind: _source(kind, command) for kind in self.grammar.slot_kinds}
        empty = frozenset(kind for kind, source in sources.items() if not source)
        return CallConstraint(self, self.grammar.graph(empty), sources)


def _source(kind: SlotKind, command: str) -> CopySource:
    if kind.type == "string":
        return spans_of(command)
    return numbers_of(command, whole=kind.type == "integer", minimum=kind.minimum, maximum=kind.maximum)


class CallConstraint:
    """Follows one answer token by token; after the call only the end tokens are allowed."""

    def __init__(self, owner: CallConstrainer, start: State, sources: Mapping[SlotKind, CopySource]) -> None:
        self._owner, self._sources = owner, sources
        self._place: State | _Copying | None = self._entered(start)

    def mask(self) -> NDArray[np.bool_]:
        """Return the allowed tokens, bool (vocab_size,)."""
        allowed = np.zeros(self._owner.vocabulary.size, dtype=np.bool_)
        place = self._place
        if place is None or (isinstance(place, State) and place.accepting):
            allowed[self._owner.end_tokens] = True
            return allowed
        vocabulary = self._owner.vocabulary
        forced = _forced(vocabulary.added, place) if isinstance(place, State) else -1
        if forced >= 0:
            allowed[forced] = True
            return allowed
        allowed[self._walk(vocabulary.words, place)] = True
        for state in _outside(place):
            allowed[self._walk(vocabulary.added, state)] = True
        return allowed

    def advance(self, token: int) -> None:
        """Take an allowed token; DataError for one that cannot stand here. After the end nothing changes any more."""
        if self._place is None:
            return
        if isinstance(self._place, State) and self._place.accepting:
            self._place = None
            return
        place: State | _Copying | None = self._place
        for byte in self._owner.vocabulary.pieces[token]:
            place = self._step(place, byte) if place is not None else None
        if place is None:
            raise DataError(f"token {token} was not allowed here by the call constraint")
        self._place = place

    def accepts(self, text: str) -> bool:
        """Say whether ``text`` is one complete legal answer, starting from the present place."""
        place: State | _Copying | None = self._place
        for byte in text.encode():
            place = self._step(place, byte) if place is not None else None
        return isinstance(place, State) and place.accepting

    def _entered(self, state: State) -> State | _Copying:
        """Return ``state``, or the copied value that begins there."""
        if state.slot is None or state.after_slot is None:
            return state
        source = self._sources[state.slot]
        return _Copying(source, source.starts, state.after_slot, state if state.edges else None)

    def _step(self, place: State | _Copying, byte: int) -> State | _Copying | None:
        following = place.edges.get(byte) if isinstance(place, State) else place.step(byte)
        return self._entered(following) if isinstance(following, State) else following

    def _walk(self, node: TrieNode, place: State | _Copying) -> list[int]:
        """Return the tokens below ``node`` (the node's own left out) that can be spelled from ``place`` on."""
        if isinstance(place, State):
            tokens, crossings = _within(node, place)
            if not crossings:
                return tokens
            return tokens + [t for below, state in crossings for t in self._walk(below, self._entered(state))]
        found: list[int] = []
        for byte in place.bytes_next():
            below = node.children.get(byte)
            following = self._step(place, byte) if below is not None else None
            if below is None or following is None:
                continue
            if below.token >= 0:
                found.append(below.token)
            if below.children:
                found += self._walk(below, following)
        return found


def _outside(place: State | _Copying) -> list[State]:
    """Return the states an added token may begin at: it may close a copied value, never stand for a part of it."""
    if isinstance(place, State):
        return [place]
    ends = [place.after] if place.may_end else []
    return ends + ([place.listed] if place.listed is not None else [])


def _forced(node: TrieNode, state: State) -> int:
    """Return the longest added token that spells the only possible continuation, or −1, also where longer ones go on.

    A tokenizer never writes that text in ordinary tokens, so these are left out there.
    """
    token = -1
    while state.slot is None and len(state.edges) == 1:
        byte, state = next(iter(state.edges.items()))
        below = node.children.get(byte)
        if below is None:
            break
        node, token = below, below.token if below.token >= 0 else token
    if any(byte in node.children for byte in state.edges):
        return -1
    return token


def _within(node: TrieNode, state: State) -> tuple[list[int], list[tuple[TrieNode, State]]]:
    """Return the tokens that can be spelled without a copied value, and where the walk enters one.

    The answer does not depend on the command and is kept in ``state.memo``.
    """
    known: tuple[list[int], list[tuple[TrieNode, State]]] | None = state.memo.get(node)
    if known is not None:
        return known
    tokens: list[int] = []
    crossings: list[tuple[TrieNode, State]] = []
    for byte, following in state.edges.items():
        below = node.children.get(byte)
        if below is None:
            continue
        if below.token >= 0:
            tokens.append(below.token)
        if following.slot is not None:
            crossings.append((below, following))
        elif below.children:
            more, deeper = _within(below, following)
            tokens += more
            crossings += deeper
    state.memo[node] = tokens, crossings
    return tokens, crossings
