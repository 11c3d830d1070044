"""Tokens that are likely to come next, to be verified in one pass: forced, found in the prompt, or said before.

Input: prompt and answer so far, and the constraint in force. Output: a draft, cut to what pays. A draft never changes
an answer: each of its tokens counts only where the model chooses it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from smolforge.engine.constraints import DraftingConstraint
from smolforge.engine.draft_budget import Acceptance, DraftBudget, Source
from smolforge.engine.history import History
from smolforge.engine.ngrams import NGrams
from smolforge.engine.spans import PromptSpans, StringField
from smolforge.engine.text_stream import TokenTable

# By the tokens in common with what was said before, the most first, and whether a value of JSON begins: values differ,
# what is around them does not.
_REPEATED = {
    (8, False): Source.LONG, (8, True): Source.LONG_VALUE, (4, False): Source.MIDDLE, (4, True): Source.MIDDLE_VALUE,
    (2, False): Source.SHORT, (2, True): Source.SHORT, (1, False): Source.LAST, (1, True): Source.LAST,
}  # fmt: skip
_ORDERS = (8, 4, 2, 1)
_COPIED = (Source.SPAN, Source.FIND, Source.TAIL, Source.CLOSE)
_GOES_ON = 4  # tokens in common by which a value that has begun goes on
_ROUNDS = 6  # guesses that are put one behind the other
_ENOUGH = 8  # tokens that are left of earlier guesses and need no more behind them yet
_UNLIKELY = 0.05  # what follows a place that is reached less often is not looked for
_MESSAGE = 8  # tokens between two control tokens from which they are taken for a message
_CONTEXT = 3  # tokens of a string that are encoded again with what may follow, so that words are cut as in one piece

Guess = tuple[list[int], list[Source]]


class Drafter:
    """Proposes drafts for one sequence and learns which of its sources are right."""

    def __init__(self, history: History, table: TokenTable, budget: DraftBudget) -> None:
        self._history, self._table, self._budget = history, table, budget
        self._acceptance = Acceptance(budget.typical)
        self._said = NGrams(_ORDERS)
        self._plan: Guess = ([], [])  # legal guesses of what follows, the draft first
        self._sources: list[Source] = []
        self._field, self._followed = StringField(), 0
        self._spans: PromptSpans | None = None
        self.drafted = self.accepted = 0

    def propose(self, constraint: DraftingConstraint | None, room: int, beside: int) -> list[int]:
        """Return at most ``room`` tokens, legal under ``constraint``, that pay beside ``beside`` other rows."""
        self._catch_up()
        if constraint is None:
            self._plan, (tokens, sources) = ([], []), self._repeated([], room)
        else:
            tokens, sources = self._plan = self._guesses(constraint, room)
        rates = [self._acceptance[source] for source in sources[:room]]
        kept = self._budget.keep(rates, beside)
        self._sources = sources[:kept]
        return tokens[:kept]

    def settle(self, right: int, draft: Sequence[int]) -> None:
        """Learn that the first ``right`` tokens of the draft were accepted (and the next one, if any, was not)."""
        self.drafted += len(draft)
        self.accepted += right
        for i, source in enumerate(self._sources[: right + 1]):
            self._acceptance.learn(source, i < right)
            self._budget.typical.learn(source, i < right, 0.02)
        self._sources = []

    def _catch_up(self) -> None:
        """Take note of the tokens that were added since the last draft."""
        begin, start = self._followed, self._history.start
        seen = max(0, begin - max(_ORDERS))
        tokens = self._history.view(seen).tolist()
        new = tokens[max(begin, start) - seen :]
        self._said.learn(tokens, begin - seen)
        for token in new:
            self._field.push(self._table.piece(token))
        guessed, why = self._plan
        self._plan = (guessed[len(new) :], why[len(new) :]) if guessed[: len(new)] == new else ([], [])
        self._followed = self._history.length

    def _guesses(self, constraint: DraftingConstraint, room: int) -> Guess:
        """Put guesses one behind the other, each legal after those before it, behind what is left of earlier ones."""
        tokens, sources = self._plan
        if len(tokens) >= min(_ENOUGH, room):
            return tokens, sources
        field, reached = StringField(self._field), 1.0
        legal = constraint.try_advance(tokens)
        tokens, sources = tokens[:legal], sources[:legal]
        for token, source in zip(tokens, sources, strict=True):
            field.push(self._table.piece(token))
            reached *= self._acceptance[source]
        for _ in range(_ROUNDS):
            if len(tokens) >= room or reached < _UNLIKELY:
                break
            guess, why = self._guess(constraint, field, tokens, room - len(tokens))
            legal = constraint.try_advance(guess) if guess else 0
            if legal <= 0:
                break
            for token, source in zip(guess[:legal], why, strict=False):
                field.push(self._table.piece(token))
                reached *= self._acceptance[source]
            tokens, sources = tokens + guess[:legal], sources + why[:legal]
        constraint.back(len(tokens))
        return tokens, sources

    def _guess(self, constraint: DraftingConstraint, field: StringField, after: list[int], room: int) -> Guess:
        forced = constraint.forced()
        if forced:  # the grammar writes all but the last token of it, which may merge with what follows
            return _forced(self._table.cut(forced), Source.FORCED)
        said = self._repeated(after, room, field)
        rate = self._acceptance[said[1][0]] if said[0] else 0.0
        if rate > max(self._acceptance[source] for source in _COPIED):
            return said
        copied = self._from_prompt(constraint, field, after)
        return copied if copied[0] and self._acceptance[copied[1][0]] >= rate else said

    def _repeated(self, after: list[int], room: int, field: StringField | None = None) -> Guess:
        """Return what followed the same tokens before, token by token; a ``field`` says where in JSON that stands."""
        ahead, reached = StringField(field), 1.0
        end = (*self._newest(after, max(_ORDERS)),)
        tokens, sources = list[int](), list[Source]()
        while len(tokens) < room and reached >= _UNLIKELY:
            token, order = self._said.following(end)
            if not order or token in self._table.special:
                break
            going_on = not tokens and ahead.value and order >= _GOES_ON
            source = Source.WITHIN if going_on else _REPEATED[order, ahead.begins]
            tokens.append(token)
            sources.append(source)
            reached *= self._acceptance[source]
            end = (*end[1:], token)
            if field is not None:
                ahead.push(self._table.piece(token))
        return tokens, sources

    def _newest(self, after: list[int], count: int) -> list[int]:
        """Return the ``count`` tokens before the place behind ``after``."""
        if len(after) >= count:
            return after[-count:]
        known = self._history.length - (count - len(after))
        return [*self._history.view(max(0, known)).tolist(), *after]

    def _from_prompt(self, constraint: DraftingConstraint, field: StringField, after: list[int]) -> Guess:
        """Continue a string as the prompt does; where the prompt's passage ends, end the string."""
        if not field.value or b"\\" in field.value:
            return [], []
        if self._spans is None:
            self._spans = self._prompt_spans()
        newest = self._newest(after, _CONTEXT)
        ends = [self._table.bytes(newest[i:]) for i in range(len(newest))]
        inside = tuple(end for end in ends if len(end) < len(field.value) and field.value.endswith(end))
        found = self._spans.following(field.value, inside)
        if found is None:
            return [], []
        if found.words:
            span = self._encode_behind(field.value, newest, found.words)
            first = Source.TAIL if found.by_end else Source.SPAN
            if len(self._table.piece(newest[-1])) >= len(field.value):
                first = Source.FIND
            return span, [first, *[Source.ON] * len(span)][: len(span)]
        return _forced(self._closing(constraint), Source.CLOSE) if found.ends else ([], [])

    def _prompt_spans(self) -> PromptSpans:
        """Return the prompt's passages, those first that stand in its last message: there the text is mostly found."""
        prompt = self._history.view()[: self._history.start].tolist()
        marks = [i for i, token in enumerate(prompt) if token in self._table.special]
        begins = [begin for begin, end in pairwise([*marks, len(prompt)]) if end - begin > _MESSAGE]
        start = len(self._table.bytes(prompt[: begins[-1]])) if begins else 0
        return PromptSpans(self._table.bytes(prompt), start)

    def _closing(self, constraint: DraftingConstraint) -> list[int]:
        """Return the closing quote together with what is forced behind it, as one would encode it."""
        quote = self._table.tokenizer.token_to_id('"')
        if quote is None or not constraint.try_advance([quote]):
            return []
        forced = constraint.forced()
        constraint.back(1)
        return self._table.cut(b'"' + forced)

    def _encode_behind(self, value: bytes, newest: list[int], words: bytes) -> list[int]:
        """Encode ``words`` as they would be cut behind the string's newest tokens."""
        for count in range(len(newest), 0, -1):
            known = newest[-count:]
            context = self._table.bytes(known)
            if value.endswith(context):
                encoded = self._table.cut(context + words)
                if encoded[:count] == known:
                    return encoded[count:]
        return self._table.cut(words)


def _forced(tokens: list[int], first: Source) -> Guess:
    """Name the sources of forced text: beginning, sure middle, and end, which may merge with what follows."""
    sources = [first, *[Source.FORCED] * (len(tokens) - 2), Source.BORDER]
    return tokens, sources if len(tokens) > 1 else [Source.BORDER if first is Source.FORCED else first]
