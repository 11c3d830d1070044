"""Parity-aware merges: as much plain BPE as leaves no language behind, then merges for the language that is worst off.

Input is text by language and the same sentences in each; output is merges, and what was tried. Plain BPE gives most to
the languages that share words; parity merges (Foroutan et al., arXiv:2508.04796) go to the language whose aligned text
takes the most tokens, and cost English some of its own. So only the last part of the merges is spent on parity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from smolforge.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

REFERENCE = "en"
EIGHTHS = 8  # the share of plain merges is found to one eighth


@dataclass(frozen=True)
class Attempt:
    """One training: the share of plain merges, tokens relative to English by language, and the largest of them."""

    plain_share: float
    languages: dict[str, float]
    worst: float

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


def learn_with_parity(
    make: Callable[[], Tokenizer],
    samples: Mapping[str, Sequence[str]],
    aligned: Mapping[str, Sequence[str]],
    *,
    merges: int,
    limit: float,
    plain: Callable[[], Tokenizer],
    max_token_length: int,
) -> tuple[Tokenizer, list[Attempt]]:
    """Train with the largest share of plain merges with which no language takes more than ``limit`` × English.

    ``aligned``: the same sentences by language, English among them. ``plain()`` trains plain BPE. Where no share
    reaches the limit, the one that comes closest is taken; the attempts say so. Deterministic.
    """
    if REFERENCE not in aligned or len(aligned) < 2:
        raise ConfigError(
            f"balance: parity needs aligned sentences of English and another language, and there are {sorted(aligned)}"
        )
    tried: dict[int, tuple[Tokenizer, Attempt]] = {}

    def reaches(eighths: int) -> bool:
        share = eighths / EIGHTHS
        tokenizer = plain() if share == 1 else _parity(make(), samples, aligned, merges, share, max_token_length)
        tried[eighths] = (tokenizer, _measure(tokenizer, aligned, share))
        return tried[eighths][1].worst <= limit

    # The fewer plain merges, the closer the languages: step down in ever longer strides, then bisect the last one.
    high, low, stride = EIGHTHS, EIGHTHS, 1
    while not reaches(low) and low > 0:
        high, low, stride = low, max(0, low - stride), 2 * stride
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reaches(middle) else (low, middle)
    within = [eighths for eighths, (_, attempt) in tried.items() if attempt.worst <= limit]
    chosen = max(within) if within else min(tried, key=lambda eighths: (tried[eighths][1].worst, eighths))
    return tried[chosen][0], [attempt for _, attempt in tried.values()]


def _parity(
    tokenizer: Tokenizer, samples: Mapping[str, Sequence[str]], aligned: Mapping[str, Sequence[str]], merges: int,
    share: float, max_token_length: int,
) -> Tokenizer:  # fmt: skip
    """Train with ``share`` of the merges from all text, the others for the language that is worst off by then."""
    from tokenizers import trainers

    names = [name for name in samples if name in aligned]
    alone = [text for name, rows in samples.items() if name not in aligned for text in rows]
    # text without parallel sentences (code, maths, chats) rides with English: it counts there and in the plain merges
    texts = [[*samples[name], *(alone if name == REFERENCE else [])] for name in names]
    trainer = trainers.ParityBpeTrainer(
        num_merges=merges, global_merges=int(share * merges), max_token_length=max_token_length, min_frequency=2,
        show_progress=False,
    )  # fmt: skip
    trainer.train_from_iterator(tokenizer, texts, dev_iterators=[aligned[name] for name in names])
    return tokenizer


def _measure(tokenizer: Tokenizer, aligned: Mapping[str, Sequence[str]], share: float) -> Attempt:
    counts = {
        name: sum(len(row.ids) for row in tokenizer.encode_batch_fast(list(rows))) for name, rows in aligned.items()
    }
    ratios = {name: round(count / max(1, counts[REFERENCE]), 4) for name, count in sorted(counts.items())}
    return Attempt(share, ratios, max(ratios.values()))
