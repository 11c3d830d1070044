"""How far an export is from the float32 model it was made of, measured with the very weights the file stores.

In: the reference decoder, a decoder loaded from the export, prompts. Out: the figures of ``parity.json``. Both run in
our own decoder in float32, so the difference is that of the stored weights and of nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from smolforge.errors import DataError
from smolforge.export.prompts import Item
from smolforge.generator import Completion, Request
from smolforge.model.decoder import Decoder
from smolforge.model.generator import TorchGenerator
from smolforge.store import digest_file
from smolforge.tokens.template import ChatCodec


@dataclass(frozen=True)
class LogitParity:
    """Logits at every position of ``sequences`` token sequences (prompt and the reference's answer).

    ``max_logit_difference``: largest absolute difference; ``top1_agreement``: share of positions with the same first
    choice; ``mean_kl``: mean KL(reference ‖ export) in nats.
    """

    sequences: int
    positions: int
    max_logit_difference: float
    top1_agreement: float
    mean_kl: float


def compare_logits(reference: Decoder, export: Decoder, sequences: Sequence[Sequence[int]]) -> LogitParity:
    """Compare two decoders on the same tokens, one sequence at a time. DataError without any."""
    if not sequences:
        raise DataError("parity needs at least one sequence")
    positions, largest, same, kl = 0, 0.0, 0, 0.0
    with torch.inference_mode():
        for sequence in sequences:
            tokens_BT = torch.tensor([list(sequence)])
            ours_TV, theirs_TV = (d.logits(d(tokens_BT))[0].double() for d in (reference, export))
            positions += len(sequence)
            largest = max(largest, float((ours_TV - theirs_TV).abs().max()))
            same += int((ours_TV.argmax(-1) == theirs_TV.argmax(-1)).sum())
            p_TV, q_TV = ours_TV.log_softmax(-1), theirs_TV.log_softmax(-1)
            kl += float((p_TV.exp() * (p_TV - q_TV)).sum())
    return LogitParity(len(sequences), positions, largest, same / positions, kl / positions)


def answer(decoder: Decoder, items: Sequence[Item], codec: ChatCodec, max_new_tokens: int) -> list[Completion]:
    """Answer every item greedily, without constraints; an answer ends where the model's positions do."""
    limit = decoder.config.max_position_embeddings
    requests = [
        Request(item.prompt, max(1, min(max_new_tokens, limit - len(item.prompt))), stop=codec.stop) for item in items
    ]
    return TorchGenerator(decoder).generate(requests)


def share_exact(items: Sequence[Item], answers: Sequence[Completion], codec: ChatCodec) -> float | None:
    """Return the share of items whose answer makes exactly the wanted calls; None if no item wants any."""
    pairs = [(item, codec.decode(given.tokens)) for item, given in zip(items, answers, strict=True) if item.calls]
    return sum(item.answered_by(text) for item, text in pairs) / len(pairs) if pairs else None


def file_figures(path: Path) -> dict[str, Any]:
    """Return the size in bytes and the digest of every file of an export (a file, or a folder's files)."""
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    return {
        "bytes": sum(file.stat().st_size for file in files),
        "files": {file.name: {"bytes": file.stat().st_size, "blake2b_128": digest_file(file)} for file in files},
    }


def first_differences(
    decoder: Decoder, prompts: Sequence[Sequence[int]], ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]
) -> list[dict[str, Any]]:
    """Where another runtime's greedy tokens leave ours, and by how much ours was the better choice there.

    One entry per differing prompt: its index, the position in the answer, both tokens (None: the answer ended) and the
    margin in logits between our choice and theirs, None where one of the answers had ended.
    """
    found = []
    for index, (prompt, a, b) in enumerate(zip(prompts, ours, theirs, strict=True)):
        if list(a) == list(b):
            continue
        at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        mine, other = (given[at] if at < len(given) else None for given in (a, b))
        margin = None
        if mine is not None and other is not None:
            with torch.inference_mode():
                logits_V = decoder.logits(decoder(torch.tensor([[*prompt, *a[:at]]]))[0, -1])
            margin = float(logits_V[mine] - logits_V[other])
        found.append({"prompt": index, "position": at, "ours": mine, "theirs": other, "logit_margin": margin})
    return found


def _equal_weights(reference: Decoder, export: Decoder) -> bool:
    ours, theirs = dict(reference.named_parameters()), dict(export.named_parameters())
    same_shape = reference.config == export.config and ours.keys() == theirs.keys()
    return same_shape and all(torch.equal(ours[name], theirs[name]) for name in ours)


def parity_figures(
    reference: Decoder,
    export: Decoder,
    items: Sequence[Item],
    wanted: Sequence[Completion],
    codec: ChatCodec,
    *,
    prompts: int,
    max_new_tokens: int,
) -> tuple[dict[str, Any], list[Completion]]:
    """Return the comparison's figures and the export's own answers.

    ``wanted`` are the reference's answers; ``greedy_agreement`` is the share of items answered with the same tokens.
    """
    equal = _equal_weights(reference, export)  # the same weights in the same code answer alike: no need to ask again
    answers = list(wanted) if equal else answer(export, items, codec, max_new_tokens)
    same = sum(given == want for given, want in zip(answers, wanted, strict=True))
    chosen = list(zip(items, wanted, strict=True))[:prompts]
    logits = compare_logits(reference, export, [[*item.prompt, *want.tokens] for item, want in chosen])
    figures = {
        "reference": "float32 weights of the model stage, run in the same decoder",
        "equal_weights": equal,
        "logits": asdict(logits),
        "greedy_items": len(items),
        "greedy_agreement": same / len(items),
        "calls_exact": share_exact(items, answers, codec),
        "calls_exact_reference": share_exact(items, wanted, codec),
    }
    return figures, answers
