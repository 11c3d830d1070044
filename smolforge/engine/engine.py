"""The engine as Python users hold it: open a model, chat, stream, score, embed, batch; and the ``Generator`` protocol.

Input: a model on this machine. Output: answers. All calls may come from any thread at any time; they share one model.
"""

from __future__ import annotations

import copy
import os
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from smolforge.engine import _native, prefix_file
from smolforge.engine.admission import Limits
from smolforge.engine.answer import Answer, AnswerStream
from smolforge.engine.asking import Asking, Options
from smolforge.engine.codec import Codec
from smolforge.engine.files import Weights
from smolforge.engine.generation import Generation
from smolforge.engine.job import Job
from smolforge.engine.lease import Lease
from smolforge.engine.loaded import LoadedModel, Progress, open_model
from smolforge.engine.memory_budget import kv_pages
from smolforge.engine.scheduler import Scheduler
from smolforge.engine.sequence import DRAFT_ROOM
from smolforge.engine.text_stream import TokenTable
from smolforge.engine.work import Embedding, Scoring, Warming, Work
from smolforge.errors import ConfigError, DataError
from smolforge.generator import Completion, Request
from smolforge.hub.local import local_model
from smolforge.tokens.messages import Message
from smolforge.tokens.special import END_TOOL_CALL, TOOL_CALL

KVKind = Literal["f16", "bf16", "q8", "q4"]
Text = str | Sequence[int]  # a text, or its token ids
Result = TypeVar("Result")
Pending = TypeVar("Pending", Job[Any], AnswerStream)


@dataclass(frozen=True)
class Status:
    """What the engine is doing: requests, pages of key-value memory, steps of the model since it was opened."""

    running: int
    waiting: int
    pages_used: int
    pages: int
    prefix_pages: int
    page_bytes: int
    steps: int


class Engine:
    """One opened model. Use it as a context manager, or ``close`` it.

    Greedy answers do not depend on company, threads, cached prefixes or drafts.
    """

    def __init__(
        self, model: LoadedModel, *, kv: KVKind = "f16", kv_bytes: int | None = None, limits: Limits | None = None
    ) -> None:
        """Serve a loaded model; see ``open``."""
        self.model, self.kv = model, kv
        page = _native.Pages(model.native, 1, kv)
        pages = kv_pages(page.page_bytes, -(-(model.context + DRAFT_ROOM) // page.page_tokens), kv_bytes)
        self._memory = _native.Pages(model.native, pages, kv)
        tags = (model.codec.special.get(tag) for tag in (TOOL_CALL, END_TOOL_CALL))  # a reader finds calls by them
        self._table = TokenTable(model.tokenizer, model.vocab_size, shown=[tag for tag in tags if tag is not None])
        scheduler = Scheduler(model.native, self._memory, model.context, limits)
        self._scheduler: Scheduler | Lease = scheduler
        self._asking = Asking(model, self._table, self.context)
        self._close = weakref.finalize(self, scheduler.close)
        self._close.atexit = True

    @classmethod
    def open(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        weights: Weights = "auto",
        threads: int | None = None,
        context: int | None = None,
        kv: KVKind = "f16",
        kv_bytes: int | None = None,
        limits: Limits | None = None,
        cache: bool = True,
        prefixes: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> Engine:
        """Open a GGUF file, a Hugging Face folder, or ``owner/repo[:quant]`` of the Hugging Face cache.

        ``model`` None: ``$SMOLFORGE_MODEL``, else SmolLM3-3B if it is cached, else the bundled SmolLM2-135M.
        ``weights``, ``threads``, ``context``, ``cache``: see ``loaded.open_model``. ``kv``: how keys and values are
        kept; ``kv_bytes``: for all of them (None: 1 GB, or one full context, at most half of the free memory; more than
        is free is refused), which may shorten ``context``. ``prefixes``: a file of ``save_prefixes``. ConfigError and
        FormatError say what is wrong.
        """
        path = local_model(model)
        loaded = open_model(path, weights=weights, threads=threads, context=context, cache=cache, progress=progress)
        engine = cls(loaded, kv=kv, kv_bytes=kv_bytes, limits=limits)
        if prefixes is not None:
            engine.load_prefixes(prefixes)
        return engine

    @property
    def codec(self) -> Codec:
        """Chats and text to token ids and back."""
        return self.model.codec

    @property
    def asking(self) -> Asking:
        """What makes requests of chats and texts, to be looked at before they are submitted."""
        return self._asking

    @property
    def context(self) -> int:
        """Most tokens of one prompt and its answer together."""
        return self._scheduler.context

    @property
    def limits(self) -> Limits:
        """What is let in, and how steps are cut."""
        return self._scheduler.runner.limits

    @property
    def vocab_size(self) -> int:
        """Number of logits."""
        return self.model.vocab_size

    @property
    def table(self) -> TokenTable:
        """The tokens as bytes; what constraints are made with."""
        return self._table

    def chat(self, messages: str | Sequence[Message], **options: Unpack[Options]) -> Answer:
        """Answer the conversation (a string is one user message). See ``Options``; errors as ``submit``."""
        return self.stream(messages, **options).answer()

    def stream(self, messages: str | Sequence[Message], **options: Unpack[Options]) -> AnswerStream:
        """Begin to answer the conversation; the stream gives events or text as they come."""
        return self.submit(self._asking.chat(messages, **options))

    def batch(self, chats: Iterable[str | Sequence[Message]], **options: Unpack[Options]) -> list[Answer]:
        """Answer many conversations together; results in their order."""
        requests = (self._asking.chat(messages, **options) for messages in chats)
        return [stream.answer() for stream in self._ahead(requests, self._submit_when_room)]

    def request(self, messages: str | Sequence[Message], **options: Unpack[Options]) -> Request:
        """Return what ``chat`` would submit."""
        return self._asking.chat(messages, **options)

    def streams(self, requests: Iterable[Request]) -> Iterator[AnswerStream]:
        """Submit requests, a queue's length ahead; yield their streams in order. Leaving early cancels the rest."""
        return self._ahead(requests, self._submit_when_room)

    @overload
    def generate(self, requests: str, **options: Unpack[Options]) -> Answer: ...
    @overload
    def generate(self, requests: Sequence[Request]) -> list[Completion]: ...
    def generate(self, requests: str | Sequence[Request], **options: Unpack[Options]) -> Answer | list[Completion]:
        """Continue a text; or, as the ``Generator`` protocol has it, every request, results in their order."""
        if isinstance(requests, str):
            return self.submit(self._asking.text(requests, **options)).answer()
        if options:
            raise ConfigError("options belong to a text; a Request carries its own")
        return [job.result() for job in self._ahead(requests, lambda request: self._put(self._work(request)))]

    def submit(self, request: Request) -> AnswerStream:
        """Queue a request. DataError if it can never fit; ``Overloaded`` (has ``retry_after``) if the queue is full."""
        return AnswerStream(self._scheduler.submit(self._work(request)))

    def run(self, work: Work[Result]) -> Job[Result]:
        """Queue a piece of work of one's own; errors as ``submit``."""
        return self._scheduler.submit(work)

    def score(self, prompts: Text | Sequence[Text], continuations: Sequence[Text]) -> list[float]:
        """Return the summed log-probability (nats) of each continuation after its prompt (or after the one prompt)."""
        return [float(row.sum()) for row in self.score_tokens(prompts, continuations)]

    def score_tokens(self, prompts: Text | Sequence[Text], continuations: Sequence[Text]) -> list[NDArray[np.float64]]:
        """Return the log-probability (nats) of each token of each continuation, float64 (tokens,).

        A prompt that several continuations share is read once.
        """
        each = _each(prompts, continuations)
        if len(each) != len(continuations):
            raise DataError(
                f"{len(each)} prompts for {len(continuations)} continuations; give one prompt, or one for each"
            )
        pairs = [self._pair(prompt, text) for prompt, text in zip(each, continuations, strict=True)]
        shared = Counter(prompt for prompt, _ in pairs)
        repeated = [prompt for prompt, count in shared.items() if count > 1]
        for job in self._ahead(repeated, lambda prompt: self._put(Warming(prompt))):
            job.result()
        scored = self._ahead((pair for pair in pairs if pair[1]), lambda pair: self._put(Scoring(*pair)))
        return [next(scored).result() if pair[1] else np.empty(0) for pair in pairs]

    def run_all(self, works: Iterable[Work[Result]]) -> Iterator[Job[Result]]:
        """Run pieces of work as there is room for them; yield their jobs in order. Leaving early cancels the rest."""
        return self._ahead(works, self._put)

    def embed(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Return float32 (n, d_model): the mean of each text's final hidden states, scaled to length 1."""
        works = (Embedding(self._ids(text)) for text in texts)
        rows = [job.result() for job in self._ahead(works, self._put)]
        vectors = np.stack(rows) if rows else np.empty((0, self.model.config["hidden_size"]), np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)

    def warm(self, prompt: Text) -> int:
        """Read a prompt into the prefix store; return how many of its tokens were there already."""
        return self._put(Warming(self._ids(prompt))).result()

    def save_prefixes(self, path: str | os.PathLike[str]) -> int:
        """Write the prefix store to a file; return its pages. Requests wait meanwhile."""
        runner, belongs_to = self._scheduler.runner, self._identity()
        return self._scheduler.between_steps(lambda: prefix_file.save(runner.store, Path(path), belongs_to))

    def load_prefixes(self, path: str | os.PathLike[str]) -> int:
        """Fill the prefix store from a file; return the pages taken. FormatError if it is not this model's, or torn."""
        store, belongs_to = self._scheduler.runner.store, self._identity()
        return self._scheduler.between_steps(lambda: prefix_file.load(store, Path(path), belongs_to, self.vocab_size))

    def status(self) -> Status:
        """Return what the engine is doing now."""
        runner, pool = self._scheduler.runner, self._scheduler.runner.pool
        return Status(
            len(runner.running), self._scheduler.waiting, pool.used, self._memory.pages, len(runner.store),
            self._memory.page_bytes, runner.steps,
        )  # fmt: skip

    def lend(self, seconds: float) -> tuple[Engine, Lease]:
        """Return this engine for one asker, for at most ``seconds``, and what ends all that is asked through it."""
        assert isinstance(self._scheduler, Scheduler), "what is lent is not lent on"
        view, lease = copy.copy(self), Lease(self._scheduler, seconds)
        view._scheduler = lease
        return view, lease

    def close(self) -> None:
        """Stop; requests that have not ended raise ``Closed``."""
        self._close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _identity(self) -> dict[str, str]:
        model = self.model
        return prefix_file.identity(self._scheduler.runner.store, model.digest, model.tokenizer_digest, self.kv)

    def _work(self, request: Request) -> Generation:
        self._known(request.prompt)
        return Generation(request, self._table, self._scheduler.runner.draft_budget)

    def _put(self, work: Work[Result]) -> Job[Result]:
        return self._scheduler.submit(work, block=True)

    def _submit_when_room(self, request: Request) -> AnswerStream:
        return AnswerStream(self._put(self._work(request)))

    def _ahead(self, items: Iterable[Any], submit: Callable[[Any], Pending]) -> Iterator[Pending]:
        """Submit items and yield what comes back, in order, a queue's length ahead of who consumes it.

        Whoever stops consuming, as for an error, cancels the rest.
        """
        limits = self._scheduler.runner.limits
        pending: deque[Pending] = deque()
        try:
            for item in items:
                pending.append(submit(item))
                if len(pending) >= limits.running + limits.waiting // 2:
                    yield pending.popleft()
            while pending:
                yield pending.popleft()
        finally:
            for left in pending:
                left.cancel()

    def _ids(self, text: Text) -> list[int]:
        return self.model.encode(text) if isinstance(text, str) else self._known(text)

    def _known(self, ids: Sequence[int]) -> list[int]:
        """Return token ids as plain numbers; DataError for what is no id of this model."""
        try:
            known = [index(token) for token in ids]
        except TypeError as error:
            raise DataError(f"a prompt is a text or a list of token ids: {error}") from None
        for token in (min(known, default=0), max(known, default=0)):
            if not 0 <= token < self.vocab_size:
                raise DataError(f"token {token}: the model has ids 0 … {self.vocab_size - 1}")
        return known

    def _pair(self, prompt: Text, continuation: Text) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return a prompt and its continuation as ids, tokenized together where that keeps the prompt's tokens."""
        ids = self._ids(prompt)
        if not isinstance(continuation, str):
            return tuple(ids), tuple(self._known(continuation))
        whole = self.model.encode(prompt + continuation) if isinstance(prompt, str) else []
        if whole[: len(ids)] == ids:
            return tuple(ids), tuple(whole[len(ids) :])
        return tuple(ids), tuple(self.codec.encode_text([continuation])[0])


def _each(prompts: Text | Sequence[Text], continuations: Sequence[Text]) -> Sequence[Text]:
    """Return a prompt for every continuation: the one given, or each its own."""
    if isinstance(prompts, str) or (len(prompts) > 0 and isinstance(prompts[0], int | np.integer)):
        return [prompts] * len(continuations)  # type: ignore[list-item]
    return prompts  # type: ignore[return-value]
