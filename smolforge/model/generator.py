"""The torch reference of the ``Generator`` protocol: batched answers with a key-value cache, and scores.

Input: requests (token ids). Output: completions, in the order of the requests. Tasks and benchmarks use it as they use
the native engine. Prompts are sorted by length into batches, and rows that have finished leave the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smolforge.errors import ConfigError, DataError
from smolforge.generator import Completion, Request, Sampling
from smolforge.model.cache import KVCache
from smolforge.model.decoder import Decoder
from smolforge.model.sampling import Referee, greedy, sample


@dataclass
class _Row:
    """One request on its way: what was generated, and whether its constraint is already in force."""

    request: Request
    constrained: bool
    stream: np.random.Generator
    tokens: list[int] = field(default_factory=list)
    finish: Literal["stop", "length"] | None = None

    @classmethod
    def start(cls, request: Request) -> _Row:
        constrained = request.constraint is not None and request.constrain_after is None
        stream = np.random.Generator(np.random.Philox(request.sampling.seed))
        return cls(request, constrained, stream, finish="length" if request.max_tokens <= 0 else None)

    def allowed(self) -> NDArray[np.bool_] | None:
        return self.request.constraint.mask() if self.constrained and self.request.constraint is not None else None

    def take(self, token: int) -> None:
        """Add the chosen token; a stop token ends the row and is not kept."""
        if token in self.request.stop:
            self.finish = "stop"
            return
        self.tokens.append(token)
        if self.constrained and self.request.constraint is not None:
            self.request.constraint.advance(token)
        elif self.request.constraint is not None and token == self.request.constrain_after:
            self.constrained = True
        if len(self.tokens) >= self.request.max_tokens:
            self.finish = "length"


class TorchGenerator:
    """Answers with a decoder, on the device and in the precision of its weights.

    Greedy answers do not depend on how requests are batched: rounding differs with the shape of a batch, so choices
    closer than rounding are decided by ``smolforge.model.sampling.Referee``. Sampled answers use one random stream per
    request (its seed); they are equal across batchings except where a draw falls within rounding of a boundary.
    ``max_rows`` bounds a batch, ``max_batch_tokens`` bounds rows × (prompt + answer).
    """

    def __init__(self, decoder: Decoder, *, max_rows: int = 128, max_batch_tokens: int = 65_536) -> None:
        self.decoder = decoder
        self.max_rows, self.max_batch_tokens = max_rows, max_batch_tokens

    @torch.inference_mode()
    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Continue every prompt; DataError for one that is empty, too long, or holds ids outside the vocabulary.

        ConfigError for a request that asks for what only the native engine does (``_refuse_unsupported``).
        """
        for number, request in enumerate(requests):
            _refuse_unsupported(request, f"request {number}")
            self._check(request.prompt, len(request.prompt) + request.max_tokens, f"request {number}")
        rows = [_Row.start(request) for request in requests]
        sizes = [len(row.request.prompt) + row.request.max_tokens for row in rows]
        order = sorted(range(len(rows)), key=lambda i: (len(rows[i].request.prompt), rows[i].request.max_tokens))
        referee = Referee(self.decoder)
        for batch in self._batches([i for i in order if rows[i].finish is None], sizes):
            self._run([rows[i] for i in batch], referee)
        return [Completion(row.tokens, row.finish or "length") for row in rows]

    @torch.inference_mode()
    def score(self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]) -> list[float]:
        """Return the summed log-probability (nats) of each continuation after its prompt."""
        pairs = list(zip(prompts, continuations, strict=True))
        sequences = [[*prompt, *continuation] for prompt, continuation in pairs]
        for number, ((prompt, _), sequence) in enumerate(zip(pairs, sequences, strict=True)):
            self._check(sequence if prompt else prompt, len(sequence), f"pair {number}")
        sizes = [len(sequence) for sequence in sequences]
        results = [0.0] * len(pairs)
        for batch in self._batches(sorted(range(len(pairs)), key=sizes.__getitem__), sizes):
            hidden_BTD = self.decoder(self._pad([sequences[i] for i in batch]))
            for row, i in enumerate(batch):
                results[i] = self._score_one(hidden_BTD[row], len(prompts[i]), sequences[i])
        return results

    def _score_one(self, hidden_TD: Tensor, start: int, sequence: Sequence[int]) -> float:
        logprobs_NV = self.decoder.logits(hidden_TD[start - 1 : len(sequence) - 1]).float().log_softmax(dim=-1)
        targets_N1 = torch.tensor(sequence[start:], dtype=torch.int64, device=hidden_TD.device)[:, None]
        return float(logprobs_NV.gather(1, targets_N1).double().sum())

    def _run(self, rows: list[_Row], referee: Referee) -> None:
        """Generate one batch to its end, in place."""
        weight = self.decoder.embed.weight
        lengths_B = torch.tensor([len(row.request.prompt) for row in rows])
        capacity = max(len(row.request.prompt) + row.request.max_tokens for row in rows)
        cache = KVCache(self.decoder.config, len(rows), capacity, dtype=weight.dtype, device=weight.device)
        hidden_BTD = self.decoder(self._pad([row.request.prompt for row in rows]), cache=cache)
        cache.truncate(lengths_B)
        last_BD = hidden_BTD[torch.arange(len(rows)), lengths_B - 1]
        while True:
            self._choose(rows, self.decoder.logits(last_BD).float(), referee)
            active = [i for i, row in enumerate(rows) if row.finish is None]
            if not active:
                return
            if 4 * len(active) <= 3 * len(rows):  # moving the cache costs more than a few idle rows
                cache.keep(torch.tensor(active))
                rows = [rows[i] for i in active]
            newest = [[row.tokens[-1] if row.tokens else 0] for row in rows]
            last_BD = self._step(newest, rows, cache)

    def _step(self, newest: list[list[int]], rows: list[_Row], cache: KVCache) -> Tensor:
        """Feed the newest token of every row; a finished row repeats its last position, which nobody reads."""
        before_B = cache.lengths_B.clone()
        tokens_B1 = torch.tensor(newest, dtype=torch.int64, device=self.decoder.embed.weight.device)
        hidden_B1D: Tensor = self.decoder(tokens_B1, cache=cache)
        idle = torch.tensor([row.finish is not None for row in rows])
        cache.truncate(torch.where(idle, before_B, cache.lengths_B))
        return hidden_B1D[:, 0]

    def _choose(self, rows: Sequence[_Row], scores_BV: Tensor, referee: Referee) -> None:
        masks = [row.allowed() if row.finish is None else None for row in rows]
        for i, mask in enumerate(masks):
            if mask is not None:
                if not mask.any():
                    raise DataError(f"constraint: no token is allowed after {len(rows[i].tokens)} generated tokens")
                scores_BV[i].masked_fill_(torch.from_numpy(~mask).to(scores_BV.device), -torch.inf)
        best, near = greedy(scores_BV, referee)
        for i, row in enumerate(rows):
            if row.finish is not None:
                continue
            if row.request.sampling.temperature > 0:
                row.take(sample(scores_BV[i].cpu().numpy(), row.request.sampling, row.stream))
            elif near[i]:
                row.take(referee.choose([*row.request.prompt, *row.tokens], masks[i]))
            else:
                row.take(best[i])

    def _batches(self, order: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
        """Cut ``order`` into runs of at most ``max_rows`` rows whose padded size stays within ``max_batch_tokens``."""
        batch: list[int] = []
        longest = 0
        for i in order:
            longest = max(longest, sizes[i])
            if batch and (len(batch) == self.max_rows or longest * (len(batch) + 1) > self.max_batch_tokens):
                yield batch
                batch, longest = [], sizes[i]
            batch.append(i)
        if batch:
            yield batch

    def _pad(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Return int64 (B, T), padded on the right with token 0: causal attention never looks right."""
        padded = np.zeros((len(sequences), max(map(len, sequences))), dtype=np.int64)
        for row, sequence in zip(padded, sequences, strict=True):
            row[: len(sequence)] = sequence
        return torch.from_numpy(padded).to(self.decoder.embed.weight.device)

    def _check(self, prompt: Sequence[int], total: int, what: str) -> None:
        config = self.decoder.config
        if not len(prompt):
            raise DataError(f"{what}: the prompt is empty; give at least one token")
        if total > config.max_position_embeddings:
            limit = config.max_position_embeddings
            raise DataError(f"{what}: prompt and answer take {total} positions, the model has {limit}")
        if not (min(prompt) >= 0 and max(prompt) < config.vocab_size):
            raise DataError(f"{what}: token ids must lie in 0 … {config.vocab_size - 1}")


def _refuse_unsupported(request: Request, what: str) -> None:
    """ConfigError for a field this reference does not carry out: nothing is ignored in silence."""
    sampling, plain = request.sampling, Sampling()
    names = ("min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "dry_multiplier", "logit_bias")
    asked = [name for name in names if getattr(sampling, name) != getattr(plain, name)]
    asked += ["stop_strings"] if request.stop_strings else []
    asked += [name for name in ("logprobs", "thinking", "timeout") if getattr(request, name) is not None]
    if asked:
        raise ConfigError(f"{what}: the torch reference cannot do {', '.join(asked)}; use the native engine")
