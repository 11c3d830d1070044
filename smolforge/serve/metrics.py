"""Counters of the server in Prometheus' text format.

Input: what the guard and the routes saw. Output: the text of ``GET /metrics``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from smolforge.engine.engine import Status
from smolforge.engine.job import Timings
from smolforge.generator import Usage

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TOKENS = {
    "prompt": "tokens of prompts", "cached": "tokens of prompts that came from the prefix store",
    "generated": "tokens generated", "reasoning": "generated tokens that were reasoning",
    "drafted": "tokens proposed as drafts", "accepted": "drafted tokens that were right",
}  # fmt: skip


class Histogram:
    """How many values were at most each of ``BUCKETS``, and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[sum(value > bound for bound in BUCKETS)] += 1
        self.sum += value


class Metrics:
    """Counts; used on the event loop's thread alone."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.tokens: Counter[str] = Counter(dict.fromkeys(_TOKENS, 0))
        self.first_token, self.generation = Histogram(), Histogram()

    def request(self, route: str, status: int) -> None:
        """Count one HTTP request."""
        self.requests[route, status] += 1

    def answer(self, usage: Usage, timings: Timings) -> None:
        """Count one answer of the engine."""
        self.tokens.update(
            prompt=usage.prompt_tokens, cached=usage.cached_tokens, generated=usage.completion_tokens,
            reasoning=usage.reasoning_tokens, drafted=usage.drafted_tokens, accepted=usage.accepted_tokens,
        )  # fmt: skip
        self.first_token.add(timings.waited + timings.prompt)
        self.generation.add(timings.generation)

    def text(self, status: Status, open_requests: int) -> str:
        """Return everything as Prometheus reads it."""
        return "\n".join([*self._lines(status, open_requests), ""])

    def _lines(self, status: Status, open_requests: int) -> Iterator[str]:
        yield from _head("http_requests_total", "counter", "HTTP requests by route and status (499: the client left)")
        for (route, code), count in sorted(self.requests.items()):
            yield f'smolforge_http_requests_total{{route="{route}",status="{code}"}} {count}'
        for name, text in _TOKENS.items():
            yield from _value(f"{name}_tokens_total", "counter", text, self.tokens[name])
        gauges = {
            "http_requests_open": ("HTTP requests being answered", open_requests),
            "requests_running": ("requests the engine works on", status.running),
            "requests_waiting": ("requests in the engine's queue", status.waiting),
            "kv_pages": ("pages of keys and values", status.pages),
            "kv_pages_used": ("pages in use, idle prefixes included", status.pages_used),
            "prefix_pages": ("pages of the prefix store", status.prefix_pages),
        }
        for name, (text, value) in gauges.items():
            yield from _value(name, "gauge", text, value)
        yield from _value("steps_total", "counter", "passes of the model", status.steps)
        yield from _histogram("time_to_first_token_seconds", "from submission to the first token", self.first_token)
        yield from _histogram("generation_seconds", "from the first token to the last", self.generation)


def _head(name: str, kind: str, text: str) -> Sequence[str]:
    return f"# HELP smolforge_{name} {text}", f"# TYPE smolforge_{name} {kind}"


def _value(name: str, kind: str, text: str, value: float) -> Iterator[str]:
    yield from _head(name, kind, text)
    yield f"smolforge_{name} {value}"


def _histogram(name: str, text: str, found: Histogram) -> Iterator[str]:
    yield from _head(name, "histogram", text)
    below = 0
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), found.counts, strict=True):
        below += count
        yield f'smolforge_{name}_bucket{{le="{bound}"}} {below}'
    yield f"smolforge_{name}_sum {found.sum:.6f}"
    yield f"smolforge_{name}_count {below}"
