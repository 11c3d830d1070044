"""Texts and token ids as requests give them. Input: a text, or ids. Output: ids that the model knows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from smolforge.engine.engine import Engine
from smolforge.serve.problems import Problem

LONG_TOKEN = 64  # characters; words are four to five, runs of spaces may be long


def ids_of(engine: Engine, text: str | Sequence[int], field: str) -> list[int]:
    """Return token ids; ``Problem`` 400 where one is beyond the vocabulary, or there are more than the context holds.

    A text that would be too long with ``LONG_TOKEN`` characters a token is not even tokenized.
    """
    if isinstance(text, str):
        if len(text) > LONG_TOKEN * engine.context:
            raise _too_long(engine, field, f"{len(text):,} characters")
        ids = engine.model.encode(text)
    else:
        ids = known(engine, text, field)
    if len(ids) > engine.context:
        raise _too_long(engine, field, f"{len(ids):,} tokens")
    if not ids:
        raise Problem(400, f"{field}: empty, expected at least one token", param=field, code="invalid_value")
    return ids


def with_controls(engine: Engine, text: str) -> list[int]:
    """Return the ids of a text in which the names of control tokens stand for those tokens."""
    special = engine.codec.special
    names = "|".join(re.escape(name) for name in sorted(special, key=len, reverse=True))
    pieces = re.split(f"({names})", text) if names else [text]
    plain = iter(engine.codec.encode_text([piece for piece in pieces if piece not in special]))
    return [i for piece in pieces for i in ([special[piece]] if piece in special else next(plain))]


def known(engine: Engine, ids: Sequence[int], field: str) -> list[int]:
    """Return ids; ``Problem`` 400 where one is beyond the vocabulary."""
    wrong = next((i for i in ids if not 0 <= i < engine.vocab_size), None)
    if wrong is not None:
        message = f"{field}: there is no token {wrong}, expected 0 to {engine.vocab_size - 1}"
        raise Problem(400, message, param=field, code="invalid_value")
    return list(ids)


def _too_long(engine: Engine, field: str, size: str) -> Problem:
    message = f"{field}: {size}, the context holds {engine.context:,} tokens"
    return Problem(400, message, param=field, code="context_length_exceeded")
