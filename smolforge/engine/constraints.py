"""Answers that can only have a given form: a JSON schema, a regular expression, a list of choices, a Lark grammar.

Input: the form as text or JSON, and the model's ``TokenTable``. Output: a ``smolforge.generator.Constraint`` that can
also say what must come next. The grammars are ``llguidance``'s, within limits: a hostile one is an error, not a hang.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.constraint_forms import Whitespace, checked_choices, checked_lark, checked_regex, checked_schema
from smolforge.engine.text_stream import TokenTable
from smolforge.errors import ConfigError, DataError
from smolforge.generator import Constraint

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer

Kind = Literal["schema", "regex", "choices", "lark"]

_TOKENIZERS: WeakKeyDictionary[TokenTable, dict[frozenset[int], LLTokenizer]] = WeakKeyDictionary()
_GRAMMARS: WeakKeyDictionary[TokenTable, dict[tuple[frozenset[int], str, int], LLMatcher]] = WeakKeyDictionary()
# Grammars that are kept as they are before the first token, and how long they may be: reading one takes milliseconds.
_MOST_GRAMMARS, _LONGEST_GRAMMAR = 32, 32 << 10


@runtime_checkable
class DraftingConstraint(Constraint, Protocol):
    """A constraint that knows more than its mask, so that masks are rare and drafts are legal."""

    @property
    def finished(self) -> bool:
        """Whether the answer is complete and nothing may follow but its end."""

    def allows(self, token: int) -> bool:
        """Say whether ``token`` may come next, without computing a mask."""

    def accepted(self, tokens: Sequence[int]) -> int:
        """Return how many of ``tokens``, in order, may come next."""

    def forced_tokens(self) -> list[int]:
        """Return the tokens that are the only ones allowed, one after the other, from here on."""

    def forced(self) -> bytes:
        """Return the bytes that must follow the present place.

        It may be longer than ``forced_tokens``: text can be forced where its cutting into tokens is not.
        """

    def try_advance(self, tokens: Sequence[int]) -> int:
        """Take as many of ``tokens`` as may come next, in order, and return how many these are."""

    def back(self, count: int) -> None:
        """Take the newest ``count`` tokens back."""


def build(
    table: TokenTable, stop: Iterable[int], kind: Kind, form: Any, *, whitespace: Whitespace = "compact"
) -> GrammarConstraint:
    """Return a fresh constraint for one answer; ConfigError where the form is wrong, unsupported or too large.

    ``stop`` are the tokens that may end the answer. ``whitespace`` is for a ``schema``: "compact" allows none outside
    strings, "spaced" is one space behind each ',' and ':', "flexible" any. A schema's keys come in the order it names
    them. A ``regex`` must match the whole answer; ``choices`` are strings, of which it is one.
    """
    from llguidance import LLMatcher

    if kind == "schema":
        schema, options = checked_schema(form, whitespace)
        try:
            grammar = LLMatcher.grammar_from_json_schema(schema, overrides=options)
        except ValueError as error:
            raise ConfigError(f"schema: {error}") from None
    elif kind == "regex":
        grammar = LLMatcher.grammar_from_regex(checked_regex(form))
    else:
        grammar = LLMatcher.grammar_from_lark(checked_choices(form) if kind == "choices" else checked_lark(form))
    return of_grammar(table, stop, grammar, kind)


def of_grammar(
    table: TokenTable, stop: Iterable[int], grammar: str, name: str, *, patience: int = 1
) -> GrammarConstraint:
    """Return a fresh constraint for a grammar of our own making, whose parts from outside have been checked.

    The work a step may cost is bounded as for any other, times ``patience``. ConfigError, which begins with ``name``,
    says what is wrong.
    """
    from llguidance import LLMatcher

    read, key = _GRAMMARS.setdefault(table, {}), (frozenset(stop), grammar, patience)
    matcher = read.get(key)
    if matcher is None:
        matcher = LLMatcher(_tokenizer(table, key[0]), grammar, log_level=0, limits=_limits(patience))
        if matcher.is_error():
            raise ConfigError(f"{name}: {_one_line(matcher.get_error())}")
        if len(read) >= _MOST_GRAMMARS:
            read.clear()
        if len(grammar) <= _LONGEST_GRAMMAR:
            read[key] = matcher
    return GrammarConstraint(matcher.deep_copy(), table.size)


def _limits(patience: int) -> LLParserLimits:
    """What one grammar may cost: about 20 ms to read and 5 ms a step, a fraction of the library's own limits."""
    from llguidance import LLParserLimits

    return LLParserLimits(
        initial_lexer_fuel=300_000 * patience, step_lexer_fuel=50_000 * patience, step_max_items=20_000,
        max_lexer_states=50_000, max_grammar_size=100_000, verbose_errors=False,
    )  # fmt: skip


def warm(table: TokenTable, stop: Iterable[int]) -> None:
    """Read the vocabulary for grammars (a tenth of a second for 49k tokens), which otherwise the first request pays."""
    _tokenizer(table, frozenset(stop))


class GrammarConstraint:
    """Follows one answer through a grammar. DataError where its limits are reached on the way."""

    def __init__(self, matcher: LLMatcher, vocab_size: int) -> None:
        self._matcher = matcher
        self._bits = np.zeros((vocab_size + 31) // 32, dtype=np.int32)
        self._size = vocab_size

    def copy(self) -> GrammarConstraint:
        """Return one of its own for another answer, at the same place; much cheaper than building the grammar again."""
        return GrammarConstraint(self._matcher.deep_copy(), self._size)

    def mask(self) -> NDArray[np.bool_]:
        """Return the tokens allowed next, bool (vocab_size,)."""
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._check()
        return np.unpackbits(self._bits.view(np.uint8), count=self._size, bitorder="little").view(np.bool_)

    def advance(self, token: int) -> None:
        """Take the token that was chosen; DataError for one that is not allowed."""
        if not self._matcher.consume_token(token):
            raise DataError(f"constraint: token {token} was not allowed here, or {self._problem()}")

    @property
    def finished(self) -> bool:
        """Whether the answer is complete and nothing may follow but its end."""
        return self._matcher.is_stopped() and self._matcher.is_accepting()

    def allows(self, token: int) -> bool:
        """Say whether ``token`` may come next; microseconds, where a mask takes up to milliseconds."""
        forced = self._matcher.compute_ff_tokens()
        return token == forced[0] if forced else self._matcher.validate_tokens([token]) == 1

    def accepted(self, tokens: Sequence[int]) -> int:
        """Return how many of ``tokens``, in order, may come next."""
        return self._matcher.validate_tokens(list(tokens))

    def forced_tokens(self) -> list[int]:
        """Return the tokens that are the only ones allowed from here on: the mask holds the first, then the second …"""
        return self._matcher.compute_ff_tokens()

    def forced(self) -> bytes:
        """Return the bytes that must follow here."""
        return self._matcher.compute_ff_bytes()

    def try_advance(self, tokens: Sequence[int]) -> int:
        """Take as many of ``tokens`` as may come next, in order, and return how many these are."""
        return self._matcher.try_consume_tokens(list(tokens))

    def back(self, count: int) -> None:
        """Take the newest ``count`` tokens back; DataError where a limit was reached on the way there."""
        self._matcher.rollback(count)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise DataError(f"constraint: {self._problem()}")

    def _problem(self) -> str:
        return _one_line(self._matcher.get_error()) or self._matcher.stop_reason()


class _Words:
    """What ``llguidance`` asks of a tokenizer: the bytes of every token, which are special, and how text is cut."""

    def __init__(self, table: TokenTable, end: int) -> None:
        self.eos_token_id, self.bos_token_id = end, None
        self.tokens = [table.piece(token) for token in range(table.size)]
        self.special_token_ids = sorted(table.special)
        self._table = table

    def __call__(self, text: str) -> list[int]:
        if isinstance(text, bytes):
            raise TypeError("text, not bytes")  # how the library finds out what to give
        return self._table.cut(text.encode())


def _tokenizer(table: TokenTable, stop: frozenset[int]) -> LLTokenizer:
    from llguidance import LLTokenizer
    from llguidance._tokenizer import TokenizerWrapper

    made = _TOKENIZERS.setdefault(table, {})
    if stop not in made:
        ends = sorted(stop)
        if not ends:
            raise ConfigError("constraint: no stop token is known that could end the answer")
        made[stop] = LLTokenizer(TokenizerWrapper(_Words(table, ends[0])), n_vocab=table.size, eos_token=ends)
    return made[stop]


def _one_line(message: str) -> str:
    """Return the library's message without the grammar it quotes."""
    pattern = re.findall(r"^\s*error: (.*)$", message, re.MULTILINE)
    line = f"regular expression: {pattern[-1]}" if pattern else " ".join(message.split("<non-verbose/>")[0].split())
    return line if len(line) <= 300 else line[:300] + "…"
