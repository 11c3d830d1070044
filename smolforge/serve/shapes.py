"""Parts that several OpenAI-shaped answers share: ids, token counts, llama.cpp's timings, log-probabilities.

Input: what the engine says about an answer. Output: JSON values.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from smolforge.engine.answer import Answer
from smolforge.engine.text_stream import TokenTable
from smolforge.generator import Finish, TokenLogprob, Usage


def new_id(kind: str) -> str:
    """Return an id nobody can guess, such as ``chatcmpl-…``."""
    return kind + secrets.token_hex(12)


def usage_of(usages: Sequence[Usage], n: int) -> dict[str, Any]:
    """Return the token counts of answers together, ``n`` to each prompt, which counts once."""
    prompt = sum(usage.prompt_tokens for usage in usages[::n])
    cached = sum(usage.cached_tokens for usage in usages[::n])
    written = sum(usage.completion_tokens for usage in usages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {
            "reasoning_tokens": sum(usage.reasoning_tokens for usage in usages),
            "accepted_prediction_tokens": sum(usage.accepted_tokens for usage in usages),
            "rejected_prediction_tokens": sum(usage.drafted_tokens - usage.accepted_tokens for usage in usages),
        },
    }


def timings_of(answer: Answer) -> dict[str, Any]:
    """Return llama.cpp's ``timings`` (milliseconds), with ``waited_ms`` in the queue."""
    usage, took = answer.usage, answer.timings
    read = usage.prompt_tokens - usage.cached_tokens
    return {
        "cache_n": usage.cached_tokens,
        **_pace("prompt", read, took.prompt),
        **_pace("predicted", usage.completion_tokens, took.generation),
        "draft_n": usage.drafted_tokens,
        "draft_n_accepted": usage.accepted_tokens,
        "waited_ms": round(1000 * took.waited, 3),
    }


def _pace(name: str, tokens: int, seconds: float) -> dict[str, Any]:
    return {
        f"{name}_n": tokens,
        f"{name}_ms": round(1000 * seconds, 3),
        f"{name}_per_token_ms": round(1000 * seconds / tokens, 3) if tokens else 0.0,
        f"{name}_per_second": round(tokens / seconds, 3) if seconds > 0 else 0.0,
    }


def ending(finish: Finish, calls: bool = False) -> dict[str, Any]:
    """Return why an answer ended in OpenAI's words: what was cut off, by its length or by the clock, is "length".

    ``timed_out`` tells the clock apart.
    """
    if finish in ("timeout", "cancelled"):
        return {"finish_reason": "length", "timed_out": True}
    return {"finish_reason": "tool_calls" if calls and finish == "stop" else finish}


def chat_logprobs(table: TokenTable, tokens: Iterable[TokenLogprob]) -> list[dict[str, Any]]:
    """Return log-probabilities as chat completions list them, with the bytes of each token."""
    return [
        {**_logprob(table, found.token, found.logprob), "top_logprobs": [_logprob(table, *pair) for pair in found.top]}
        for found in tokens
    ]


def _logprob(table: TokenTable, token: int, logprob: float) -> dict[str, Any]:
    piece = table.piece(token)
    return {"token": piece.decode(errors="replace"), "logprob": logprob, "bytes": list(piece)}
