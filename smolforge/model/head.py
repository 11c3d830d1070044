"""Next-token loss without the logits of the whole batch in memory: the output head and cross entropy, chunk by chunk.

Input: hidden states, the head's weight and labels. Output: the summed negative log-likelihood, whose gradients are
already computed in the forward pass, so that each chunk of logits lives in cache and is used once.

Shapes: N supervised tokens, D hidden_size, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Logits at a time, 32 MiB in float32: with smaller chunks, adding each to the weight gradient costs more than it saves.
_CHUNK_VALUES = {"cpu": 1 << 23}
_CHUNK_VALUES_ACCELERATOR = 1 << 28


def summed_nll(hidden_ND: Tensor, weight_VD: Tensor, labels_N: Tensor) -> Tensor:
    """Return the scalar float32 Σ −log softmax(hidden · weightᵀ)[label] in nats.

    Equal to ``cross_entropy(logits.float(), labels, reduction="sum")`` up to rounding, with first derivatives for both
    inputs. Under autocast the matmuls run in its dtype; softmax and sums are float32. Labels are int64 in 0 … V − 1.
    """
    device = hidden_ND.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden_ND, weight_VD = hidden_ND.to(dtype), weight_VD.to(dtype)
    result: Tensor = _apply_summed_nll(hidden_ND, weight_VD, labels_N)
    return result


class _SummedNll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, labels_N: Tensor) -> Tensor:
        count, vocabulary = hidden_ND.shape[0], weight_VD.shape[0]
        values = _CHUNK_VALUES.get(hidden_ND.device.type, _CHUNK_VALUES_ACCELERATOR)
        chunk = max(1, min(count, values // vocabulary))
        grad_hidden = torch.empty_like(hidden_ND)
        grad_weight = torch.zeros(weight_VD.shape, dtype=torch.float32, device=weight_VD.device)
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        logits = hidden_ND.new_empty(chunk, vocabulary)
        probabilities = torch.empty(chunk, vocabulary, dtype=torch.float32, device=hidden_ND.device)
        for start in range(0, count, chunk):
            part = slice(start, min(start + chunk, count))
            rows = part.stop - start
            scores = torch.mm(hidden_ND[part], weight_VD.t(), out=logits[:rows]).float()
            total += _nll_and_slope(scores, labels_N[part, None], probabilities[:rows])
            slope = probabilities[:rows].to(hidden_ND.dtype)
            torch.mm(slope, weight_VD, out=grad_hidden[part])
            if slope.dtype == torch.float32:
                grad_weight.addmm_(slope.t(), hidden_ND[part])
            else:
                grad_weight += torch.mm(slope.t(), hidden_ND[part])
        ctx.save_for_backward(grad_hidden, grad_weight.to(weight_VD.dtype))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad.to(grad_hidden.dtype), grad_weight * grad.to(grad_weight.dtype), None


def _nll_and_slope(scores: Tensor, labels_N1: Tensor, out: Tensor) -> Tensor:
    """Return the summed loss of float32 ``scores``; write its slope, softmax − one-hot, into ``out``.

    One exponential per score: the largest probability is 1 / Σ exp(score − max), which gives the normaliser.
    """
    wanted, largest = scores.gather(1, labels_N1), scores.amax(dim=1, keepdim=True)
    torch.softmax(scores, dim=1, out=out)
    loss = (largest - out.amax(dim=1, keepdim=True).log() - wanted).sum()
    out.scatter_add_(1, labels_N1, out.new_full((1, 1), -1.0).expand_as(labels_N1))
    return loss


_apply_summed_nll: Any = _SummedNll.apply  # torch types ``Function.apply`` as untyped
