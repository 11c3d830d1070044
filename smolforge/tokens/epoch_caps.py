"""Epoch caps and language budgets: how much of each source a plan may take.

Input is shares, what there is, and how often it may be read; output is shares that keep within. Units are the caller's:
tokens in a plan, windows in the reader.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from smolforge.errors import ConfigError

EVERY_SOURCE = "default"  # in ``max_epochs``: the cap of the sources that have none of their own


def cap_of(max_epochs: Mapping[str, float], source: str) -> float | None:
    """Return how often a source may be read in a phase; None is no limit."""
    return max_epochs.get(source, max_epochs.get(EVERY_SOURCE))


def within_limits(weights: Sequence[float], limits: Sequence[float | None], total: float) -> list[float]:
    """Return how much of ``total`` each source gives: its share, or its limit, and then the others share the rest.

    What a limit cuts off goes to the sources below theirs, in proportion to their weights, until all of ``total`` is
    placed. ConfigError where the limits together are less than ``total``.
    """
    ceilings = [math.inf if limit is None else limit for limit in limits]
    if math.fsum(ceilings) < total:
        raise ConfigError(
            f"{total:,.0f} are wanted, and all sources up to their caps give {math.fsum(ceilings):,.0f}; "
            "shorten the phase, raise max_epochs or add data"
        )
    given = [0.0] * len(weights)
    free, left = set(range(len(weights))), float(total)
    while True:
        weight = math.fsum(weights[i] for i in free)
        full = {i for i in free if left * weights[i] > ceilings[i] * weight}
        if not full:
            break
        for i in full:
            given[i] = ceilings[i]
        free -= full
        left = total - math.fsum(given)
        if not free:  # the ceilings are the total to the last place
            return given
    for i in free:
        given[i] = left * weights[i] / weight
    return given


def unimax(sizes: Mapping[str, float], budget: float, max_epochs: float) -> dict[str, float]:
    """Return how much to read of each language so that all get the same, but none more than ``max_epochs`` times.

    UniMax (Chung et al., arXiv:2304.09151, algorithm 1): languages from the smallest up; each gets an equal part of
    what is left of ``budget``, or ``max_epochs`` times its size where that is less. ConfigError for a bad number.
    """
    if not (budget > 0 and max_epochs > 0):
        raise ConfigError(f"unimax: a budget of {budget:g} and {max_epochs:g} epochs, expected numbers above 0")
    left, parts = float(budget), {}
    by_size = sorted(sizes.items(), key=lambda item: (item[1], item[0]))
    for position, (name, size) in enumerate(by_size):
        parts[name] = min(left / (len(by_size) - position), size * max_epochs)
        left -= parts[name]
    return {name: parts[name] for name in sizes}
