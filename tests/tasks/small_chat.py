"""A small byte-level tokenizer with the template's tokens, and a generator that plays back given answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from smolforge.generator import Completion, Request
from smolforge.tokens.special import SPECIAL_TOKENS
from smolforge.tokens.template import ChatCodec

TEXT = [
    '<tool_call>\n{"name": "TurnOn", "arguments": {"name": "kitchen light"}}\n</tool_call>',
    "turn on the kitchen light in the hall please",
    "## Metadata\n\nReasoning Mode: /think /no_think user assistant system",
]


@cache
def small_tokenizer() -> Tokenizer:
    """Return a byte-level BPE of a few hundred tokens that knows every special token."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXT * 4,
        trainers.BpeTrainer(
            vocab_size=420, initial_alphabet=alphabet, special_tokens=list(SPECIAL_TOKENS), show_progress=False
        ),
    )
    return made


class PlaybackGenerator:
    """Continues each prompt with the text a function gives for it, token by token, and counts what it was asked.

    Under a constraint it takes the wanted token where that is allowed, otherwise the lowest allowed one, and from then
    on always the lowest allowed: what a model does that was pushed off its own answer.
    """

    def __init__(self, codec: ChatCodec, answer: Callable[[str], str]) -> None:
        self.codec, self.answer, self.asked = codec, answer, 0

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.asked += len(requests)
        return [self._one(request) for request in requests]

    def score(self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]) -> list[float]:
        return [-float(len(continuation)) * np.log(2.0) for continuation in continuations]

    def _one(self, request: Request) -> Completion:
        wanted = self._tokens(self.answer(self.codec.decode(request.prompt)))
        constrained = request.constraint is not None and request.constrain_after is None
        tokens: list[int] = []
        on_track = True
        while len(tokens) < request.max_tokens:
            mask = request.constraint.mask() if constrained and request.constraint is not None else None
            end = self.codec.special["<|im_end|>"]
            token = wanted[len(tokens)] if on_track and len(tokens) < len(wanted) else end
            if mask is not None and not mask[token]:
                token, on_track = int(np.flatnonzero(mask)[0]), False
            if token in request.stop:
                return Completion(tokens, "stop")
            tokens.append(token)
            if constrained and request.constraint is not None:
                request.constraint.advance(token)
            constrained = constrained or (request.constraint is not None and token == request.constrain_after)
        return Completion(tokens, "length")

    def _tokens(self, text: str) -> list[int]:
        tokenizer = Tokenizer.from_str(self.codec.tokenizer.to_str())
        tokenizer.encode_special_tokens = False
        return list(tokenizer.encode(text, add_special_tokens=False).ids)
