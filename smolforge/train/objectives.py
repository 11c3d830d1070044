"""What is minimised: cross entropy on supervised tokens, and preference losses on pairs.

Input: hidden states and labels. Output: sums, never means, so that accumulation and data parallelism divide once by the
exact number of valid tokens (or pairs) of the whole step. The head runs on supervised positions only.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smolforge.model.decoder import Decoder
from smolforge.model.head import summed_nll

IGNORED = -100


def token_loss_sum(decoder: Decoder, tokens_BT: Tensor, labels_BT: Tensor, document_BT: Tensor | None) -> Tensor:
    """Return the summed cross entropy (nats) over labels that are not −100; only these pass through the head."""
    labels = labels_BT.flatten()
    rows_N = (labels != IGNORED).nonzero()[:, 0]
    hidden_ND = decoder(tokens_BT, document=document_BT, rows=None if len(rows_N) == len(labels) else rows_N)
    return summed_nll(hidden_ND.reshape(-1, hidden_ND.shape[-1]), decoder.head_weight, labels[rows_N])


def sequence_log_probabilities(decoder: Decoder, tokens_BT: Tensor, labels_BT: Tensor, document_BT: Tensor) -> Tensor:
    """Return (B,) summed log-probabilities (nats) of the supervised tokens of each row."""
    labels, length = labels_BT.flatten(), labels_BT.shape[1]
    rows_N = (labels != IGNORED).nonzero()[:, 0]
    logits_NV = decoder.logits(decoder(tokens_BT, document=document_BT, rows=rows_N))
    chosen_N = -F.cross_entropy(logits_NV.float(), labels[rows_N], reduction="none")
    totals_B = torch.zeros(len(tokens_BT), dtype=chosen_N.dtype, device=chosen_N.device)
    return totals_B.index_add(0, rows_N // length, chosen_N)


def apo_zero(chosen_B: Tensor, rejected_B: Tensor, beta: float) -> Tensor:
    """Return the summed APO-zero loss of log-ratios policy − reference: raise the chosen, lower the rejected.

    (1 − σ(β·chosen)) + σ(β·rejected); D'Oosterlinck et al., arXiv 2408.06266, equation for APO-zero.
    """
    return ((1 - torch.sigmoid(beta * chosen_B)) + torch.sigmoid(beta * rejected_B)).sum()


def dpo(chosen_B: Tensor, rejected_B: Tensor, beta: float) -> Tensor:
    """Return the summed DPO loss −log σ(β·(chosen − rejected)) of log-ratios policy − reference (arXiv 2305.18290,
    eq. 7).
    """
    return -F.logsigmoid(beta * (chosen_B - rejected_B)).sum()


PREFERENCE_LOSSES = {"apo_zero": apo_zero, "dpo": dpo}
