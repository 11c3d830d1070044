"""Elementwise pieces of a layer as single autograd steps that write each gradient once, into one buffer.

Input and output: tensors of the decoder. PyTorch's own backward of a split fused matrix fills zeros, copies and adds
per slice; on a CPU that traffic costs as much as a small matmul. Under ``torch.compile`` the plain formulas are used.

Shapes: B rows, T tokens, N query heads, K key-value heads, M = N + 2K, H head_dim, F intermediate_size, D hidden_size.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_aten = torch.ops.aten


def swiglu(gate_up: Tensor) -> Tensor:
    """Return silu(gate) · up of (…, 2F) with the gate first (Shazeer 2020, arXiv:2002.05202)."""
    if torch.compiler.is_compiling():
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up
    result: Tensor = _apply_swiglu(gate_up)
    return result


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return x / √(mean(x²) + eps) · weight over the last dimension (Zhang and Sennrich 2019, arXiv:1910.07467)."""
    if x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and not torch.compiler.is_compiling():
        result: Tensor = _apply_rms_norm(x, weight, eps)
        return result
    return F.rms_norm(x, (x.shape[-1],), weight.to(x.dtype), eps)


def split_rotate(fused_BTMH: Tensor, n_heads: int, rotary: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries (B, N, T, H), keys and values (B, K, T, H) of a fused projection, as strided views.

    ``rotary`` (…, T, 1, 2, H/2) holds cos and sin: queries and keys turn pairs (i, i + H/2) by their position's angle;
    None leaves them as they are.
    """
    n_kv = (fused_BTMH.shape[2] - n_heads) // 2
    if rotary is None:
        parts: Any = torch.split(fused_BTMH, [n_heads, n_kv, n_kv], dim=2)
    else:
        cos, sin = rotary.to(fused_BTMH.dtype).unbind(-2)
        if torch.compiler.is_compiling():
            queries, keys, values = torch.split(fused_BTMH, [n_heads, n_kv, n_kv], dim=2)
            parts = (_rotated(queries, cos, sin), _rotated(keys, cos, sin), values)
        else:
            parts = _apply_split_rotate(fused_BTMH, cos, sin, n_heads, n_kv)
    queries, keys, values = (part.transpose(1, 2) for part in parts)
    return queries, keys, values


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def _rotate_into(out: Tensor, x: Tensor, cos: Tensor, sin: Tensor, sign: float) -> Tensor:
    """Write x, turned by ``sign`` times its angle, into ``out``."""
    first, second = x.chunk(2, dim=-1)
    out_first, out_second = out.chunk(2, dim=-1)
    torch.mul(first, cos, out=out_first)
    out_first.addcmul_(second, sin, value=-sign)
    torch.mul(second, cos, out=out_second)
    out_second.addcmul_(first, sin, value=sign)
    return out


class _SplitRotate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, fused_BTMH: Tensor, cos: Tensor, sin: Tensor, n_heads: int, n_kv: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(cos, sin)
        ctx.sizes = [n_heads, n_kv, n_kv]
        queries, keys, values = torch.split(fused_BTMH, ctx.sizes, dim=2)
        turned_queries = _rotate_into(torch.empty_like(queries), queries, cos, sin, 1.0)
        turned_keys = _rotate_into(torch.empty_like(keys), keys, cos, sin, 1.0)
        return turned_queries, turned_keys, values.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        grad_queries, grad_keys, grad_values = grads
        batch, length, _, width = grad_queries.shape
        grad_BTMH = grad_queries.new_empty(batch, length, sum(ctx.sizes), width)
        queries, keys, values = torch.split(grad_BTMH, ctx.sizes, dim=2)
        _rotate_into(queries, grad_queries, cos, sin, -1.0)
        _rotate_into(keys, grad_keys, cos, sin, -1.0)
        values.copy_(grad_values)
        return grad_BTMH, None, None, None, None


class _Swiglu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        result = torch.empty_like(gate_up)
        grad_gate, grad_up = result.chunk(2, dim=-1)
        _aten.silu_backward.grad_input(grad * up, gate, grad_input=grad_gate)
        _aten.silu.out(gate, out=grad_up)
        grad_up.mul_(grad)
        return result


class _RmsNorm(torch.autograd.Function):
    """With r = 1/√(mean(x²) + eps): dx = r·(g·w) − x·r³·mean(g·w·x), dw = Σ g·x·r."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        size = x.shape[-1]
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(size).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        return torch.mul(x, inverse).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, inverse = ctx.saved_tensors
        product = torch.mul(grad, x)
        grad_weight = torch.mv(product.view(-1, x.shape[-1]).t(), inverse.view(-1))
        slope = torch.mv(product.view(-1, x.shape[-1]), weight).view_as(inverse)
        slope.mul_(inverse.pow(3)).div_(x.shape[-1])
        return torch.mul(grad, weight).mul_(inverse).addcmul_(x, slope, value=-1.0), grad_weight, None


# torch types ``Function.apply`` as untyped
_apply_swiglu: Any = _Swiglu.apply
_apply_rms_norm: Any = _RmsNorm.apply
_apply_split_rotate: Any = _SplitRotate.apply
