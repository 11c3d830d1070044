"""Randomness that is a function of (seed, item, purpose): every generator of this room takes its numbers from here."""

from __future__ import annotations

import random

from smolforge.store.digest import digest_bytes


def keyed_random(seed: int, *key: object) -> random.Random:
    """Return a generator that depends on the seed and on every part of the key, never on what was drawn before."""
    return random.Random(int(digest_bytes("\x1f".join(map(str, (seed, *key))).encode()), 16))


def fraction(*key: object) -> float:
    """Return a number in [0, 1) that depends on the key alone: the stable hash behind every held-out split."""
    return int(digest_bytes("\x1f".join(map(str, key)).encode())[:13], 16) / 16.0**13
