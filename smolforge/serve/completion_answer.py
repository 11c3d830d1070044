"""Answers of the engine as text completions: one JSON value, or chunks as they come.

Input: requests in the engine's hands (``n`` for each prompt, one behind the other), and what is to be shown of the
prompts. Output: what ``POST /v1/completions`` sends.
"""

from __future__ import annotations

import time
from codecs import getincrementaldecoder
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from smolforge.engine.answer import Answer
from smolforge.engine.engine import Engine
from smolforge.engine.text_stream import TokenTable
from smolforge.generator import Finished, LogprobsDelta, TextDelta, TokenLogprob
from smolforge.serve.answers import Asked
from smolforge.serve.shapes import ending, new_id, timings_of, usage_of

Json = dict[str, Any]
Found = tuple[int, TokenLogprob | None]  # a token, and what is known of it


@dataclass(frozen=True)
class Echo:
    """A prompt that stands before its answers. ``found`` is empty where no log-probabilities are wanted."""

    text: str
    found: Sequence[Found] = ()


class TokenLists:
    """OpenAI's parallel lists of the tokens of one choice, made part by part; offsets count characters."""

    def __init__(self, table: TokenTable) -> None:
        self._table = table
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._offset = 0

    def part(self, found: Iterable[Found]) -> Json:
        """Return the lists for the next tokens."""
        lists: Json = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for token, known in found:
            lists["tokens"].append(self._name(token))
            lists["token_logprobs"].append(None if known is None else known.logprob)
            top = None if known is None else {self._name(other): value for other, value in known.top}
            lists["top_logprobs"].append(top)
            lists["text_offset"].append(self._offset)
            if token not in self._table.hidden:
                self._offset += len(self._decoder.decode(self._table.piece(token)))
        return lists

    def _name(self, token: int) -> str:
        """Return a token's text; bytes that are no text are named as such, so that no two tokens look alike."""
        piece = self._table.piece(token)
        try:
            return piece.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


class CompletionAnswer:
    """One response. ``echoes``: one a prompt, or none at all; ``logprobs``: they are shown."""

    def __init__(
        self, engine: Engine, model: str, asked: Asked, echoes: Sequence[Echo], n: int, logprobs: bool
    ) -> None:  # fmt: skip
        self._asked, self._table, self._echoes, self._n, self._logprobs = asked, engine.table, echoes, n, logprobs
        self._head = {
            "id": new_id("cmpl-"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": engine.model.digest[:12],
        }

    async def whole(self) -> Json:
        """Wait for all choices."""
        answers = await self._asked.answers()
        choices = []
        for i, answer in enumerate(answers):
            echo = self._echo(i)
            found = [*echo.found, *_found(answer.logprobs, answer.last_logprob)]
            lists = TokenLists(self._table).part(found) if self._logprobs else None
            choices.append({"index": i, "text": echo.text + answer.text, "logprobs": lists, **ending(answer.finish)})
        return {**self._head, "choices": choices, **self._counts(answers)}

    async def chunks(self, include_usage: bool) -> AsyncIterator[Json]:
        """Yield chunks; the last one has no choices, but timings, and the token counts where they were asked for."""
        lists = [TokenLists(self._table) for _ in self._asked.requests]
        begun: set[int] = set()
        async for i, event in self._asked.events():
            if i not in begun and self._echoes:
                echo = self._echo(i)
                yield self._chunk(i, echo.text, logprobs=lists[i].part(echo.found) if self._logprobs else None)
            begun.add(i)
            if isinstance(event, TextDelta):
                yield self._chunk(i, event.text)
            elif isinstance(event, LogprobsDelta):
                yield self._chunk(i, "", logprobs=lists[i].part(_found(event.tokens)))
            elif isinstance(event, Finished):
                last = lists[i].part(_found((), event.logprob)) if event.logprob else None
                yield self._chunk(i, "", logprobs=last, **ending(event.finish))
        counts = self._counts(await self._asked.answers())
        if not include_usage:
            del counts["usage"]
        yield {**self._head, "choices": [], **counts}

    def _echo(self, choice: int) -> Echo:
        return self._echoes[choice // self._n] if self._echoes else Echo("")

    def _chunk(self, index: int, text: str, **more: Any) -> Json:
        choice = {"index": index, "text": text, "logprobs": None, "finish_reason": None, **more}
        return {**self._head, "choices": [choice]}

    def _counts(self, answers: Sequence[Answer]) -> Json:
        return {"usage": usage_of([answer.usage for answer in answers], self._n), "timings": timings_of(answers[0])}


def _found(tokens: Iterable[TokenLogprob], last: TokenLogprob | None = None) -> list[Found]:
    """Return what is known of an answer's tokens, of the one that ended it too, as the OpenAI API lists them."""
    return [(one.token, one) for one in (*tokens, *([last] if last is not None else []))]
