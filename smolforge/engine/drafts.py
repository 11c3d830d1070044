"""Tokens that are likely to come next, to be verified in one pass: forced, found in the prompt, or said before.

Input: prompt and answer so far, and the constraint in force. Output: a draft, cut to what pays. A draft never changes
an answer: each of its tokens counts only where the model chooses it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from smolforge.engine.constraints import DraftingConstraint
from smolforge.engine.draft_budget import Acceptance, DraftBudget, Source
from smolforge.engine.history import History, repeats
from smolforge.engine.spans import PromptSpans, StringField
from smolforge.engine.text_stream import TokenTable

_LONG = 4  # tokens in common from which a repetition is called long
_ROUNDS = 4  # guesses that are put one behind the other
_MESSAGE = 8  # tokens between two control tokens from which they are taken for a message
_CONTEXT = 3  # tokens of a string that are encoded again with what may follow, so that words are cut as in one piece

Guess = tuple[list[int], list[Source]]


class Drafter:
    """Proposes drafts for one sequence and learns which of its sources are right."""

    def __init__(self, history: History, table: TokenTable, budget: DraftBudget) -> None:
        self._history, self._table, self._budget = history, table, budget
        self._acceptance = Acceptance(budget.typical)
        self._sources: list[Source] = []
        self._field, self._followed = StringField(), history.length
        self._spans: PromptSpans | None = None
        self.drafted = self.accepted = 0

    def propose(self, constraint: DraftingConstraint | None, room: int, beside: int) -> list[int]:
        """Return at most ``room`` tokens, legal under ``constraint``, that pay beside ``beside`` other rows."""
        tokens, sources = self._repeated([], room) if constraint is None else self._constrained(constraint, room)
        rates = [self._acceptance[source] for source in sources[:room]]
        tokens = tokens[: self._budget.keep(rates, beside)]
        self._sources = sources[: len(tokens)]
        return tokens

    def settle(self, right: int, draft: Sequence[int]) -> None:
        """Learn that the first ``right`` tokens of the draft were accepted (and the next one, if any, was not)."""
        self.drafted += len(draft)
        self.accepted += right
        for i, source in enumerate(self._sources[: right + 1]):
            self._acceptance.update(source, i < right)
            self._budget.typical.update(source, i < right, 0.02)
        self._sources = []

    def _constrained(self, constraint: DraftingConstraint, room: int) -> Guess:
        """Put guesses one behind the other, each legal after those before it."""
        field = self._present_field()
        tokens, sources = list[int](), list[Source]()
        for _ in range(_ROUNDS):
            if len(tokens) >= room:
                break
            guess, why = self._guess(constraint, field, tokens, room - len(tokens))
            legal = constraint.accepted([*tokens, *guess]) - len(tokens) if guess else 0
            if legal <= 0:
                break
            tokens += guess[:legal]
            sources += why[:legal]
            for token in guess[:legal]:
                field.push(self._table.piece(token))
        return tokens, sources

    def _guess(self, constraint: DraftingConstraint, field: StringField, after: list[int], room: int) -> Guess:
        forced = constraint.forced(after)
        if forced:  # the grammar writes all but the last token of it, which may merge with what follows
            return _forced(self._encode(forced), Source.FORCED)
        copied = self._from_prompt(constraint, field, after)
        said = self._placed(self._repeated(after, room), field)
        return max(copied, said, key=lambda guess: self._acceptance[guess[1][0]] if guess[0] else 0.0)

    def _placed(self, guess: Guess, field: StringField) -> Guess:
        """Tell apart where repeated tokens stand: values differ between answers, what is around them does not."""
        tokens, sources = guess
        if not tokens or sources[0] is not Source.LONG:
            return guess
        ahead = StringField(field)
        if ahead.value:
            sources[0] = Source.WITHIN
        for i, token in enumerate(tokens):
            if ahead.begins:
                sources[i] = Source.VALUE
            ahead.push(self._table.piece(token))
        return guess

    def _from_prompt(self, constraint: DraftingConstraint, field: StringField, after: list[int]) -> Guess:
        """Continue a string as the prompt does; where the prompt's passage ends, end the string."""
        if not field.value or b"\\" in field.value:
            return [], []
        if self._spans is None:
            self._spans = self._prompt_spans()
        newest = [*self._history.view()[-_CONTEXT:].tolist(), *after][-_CONTEXT:]
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
        return _forced(self._closing(constraint, after), Source.CLOSE) if found.ends else ([], [])

    def _prompt_spans(self) -> PromptSpans:
        """Return the prompt's passages, those first that stand in its last message: there the text is mostly found."""
        prompt = self._history.view()[: self._history.start].tolist()
        marks = [i for i, token in enumerate(prompt) if token in self._table.special]
        begins = [begin for begin, end in pairwise([*marks, len(prompt)]) if end - begin > _MESSAGE]
        start = len(self._table.bytes(prompt[: begins[-1]])) if begins else 0
        return PromptSpans(self._table.bytes(prompt), start)

    def _closing(self, constraint: DraftingConstraint, after: list[int]) -> list[int]:
        """Return the closing quote together with what is forced behind it, as one would encode it."""
        quote = self._table.tokenizer.token_to_id('"')
        if quote is None or constraint.accepted([*after, quote]) != len(after) + 1:
            return []
        return self._encode(b'"' + constraint.forced([*after, quote]))

    def _repeated(self, after: list[int], room: int) -> Guess:
        """Return what followed the newest earlier copy of the longest end, two tokens at least."""
        tokens, at, common = self._history.ending(after), -1, 0
        for length, places in repeats(tokens, _LONG):
            common, at = length, int(places[-1])
        following = tokens[at + 1 : at + 1 + room].tolist() if common >= 2 else []
        return following, [Source.LONG if common == _LONG else Source.SHORT] * len(following)

    def _encode(self, text: bytes) -> list[int]:
        words = text.decode("utf-8", errors="ignore")
        return list(self._table.tokenizer.encode(words, add_special_tokens=False).ids)

    def _encode_behind(self, value: bytes, newest: list[int], words: bytes) -> list[int]:
        """Encode ``words`` as they would be cut behind the string's newest tokens."""
        for count in range(len(newest), 0, -1):
            known = newest[-count:]
            context = self._table.bytes(known)
            if value.endswith(context):
                encoded = self._encode(context + words)
                if encoded[:count] == known:
                    return encoded[count:]
        return self._encode(words)

    def _present_field(self) -> StringField:
        """Return a copy of where the answer stands, after catching up with it."""
        for token in self._history.view(self._followed).tolist():
            self._field.push(self._table.piece(token))
        self._followed = self._history.length
        return StringField(self._field)


def _forced(tokens: list[int], first: Source) -> Guess:
    """Name the sources of forced text: beginning, sure middle, and end, which may merge with what follows."""
    sources = [first, *[Source.FORCED] * (len(tokens) - 2), Source.BORDER]
    return tokens, sources if len(tokens) > 1 else [Source.BORDER if first is Source.FORCED else first]
