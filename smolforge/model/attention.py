"""Grouped-query attention: what all layers of one pass share, and the two ways to compute it, SDPA and flex.

Input: queries, keys and values of one layer. Output: mixed values. The mask is built once a pass, not once a layer.

Shapes: B rows, N query heads, K key-value heads, T queries, S keys, H head_dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from smolforge.errors import ConfigError
from smolforge.model.cache import KVCache

BackendName = Literal["sdpa", "flex"]


@dataclass(frozen=True)
class Backend:
    """Which attention was chosen, and why, in one sentence for the log."""

    name: BackendName
    reason: str


@dataclass
class PassState:
    """What every layer of one forward pass shares.

    ``rotary``: (…, T, 1, 2, H/2) cos and sin rows that broadcast over heads. ``mask``: None for plain causal attention,
    bool (B, 1, T, S) with True = may look, or a flex BlockMask. ``positions_BT`` is set when a cache is.
    """

    rotary: Tensor
    mask: Any
    backend: BackendName
    cache: KVCache | None = None
    positions_BT: Tensor | None = None


def document_mask(document_BT: Tensor) -> Tensor:
    """Return bool (B, 1, T, T): query t sees key s iff s ≤ t and both lie in the same document."""
    length = document_BT.shape[1]
    same_BTT = document_BT[:, :, None] == document_BT[:, None, :]
    return same_BTT.logical_and_(torch.ones(length, length, dtype=torch.bool, device=same_BTT.device).tril_())[:, None]


def flex_document_mask(document_BT: Tensor) -> Any:
    """Return the same mask as a flex BlockMask, which lets the kernel skip blocks that no query may see."""
    from torch.nn.attention.flex_attention import create_block_mask

    batch, length = document_BT.shape

    def visible(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (q >= k) & (document_BT[b, q] == document_BT[b, k])

    return create_block_mask(visible, batch, None, length, length, device=str(document_BT.device))


def cache_mask(positions_BT: Tensor, keys: int, device: torch.device) -> Tensor:
    """Return bool (B, 1, T, keys): each query sees its own position and what lies before."""
    return (torch.arange(keys, device=device) <= positions_BT.to(device)[:, :, None])[:, None]


def attend(queries_BNTH: Tensor, keys_BKSH: Tensor, values_BKSH: Tensor, state: PassState) -> Tensor:
    """Return (B, N, T, H): softmax(q·k / √H) over what the mask shows, times the values."""
    grouped = queries_BNTH.shape[1] != keys_BKSH.shape[1]
    if state.backend == "flex" and not (state.mask is None or isinstance(state.mask, Tensor)):
        attention = _flex(queries_BNTH.device.type == "cuda")
        mixed: Tensor = attention(queries_BNTH, keys_BKSH, values_BKSH, block_mask=state.mask, enable_gqa=grouped)
        return mixed
    if grouped and queries_BNTH.shape[2] == 1:
        return _attend_one(queries_BNTH, keys_BKSH, values_BKSH, state.mask)
    return F.scaled_dot_product_attention(
        queries_BNTH, keys_BKSH, values_BKSH, attn_mask=state.mask, is_causal=state.mask is None, enable_gqa=grouped
    )


def _attend_one(queries_BN1H: Tensor, keys_BKSH: Tensor, values_BKSH: Tensor, mask: Tensor | None) -> Tensor:
    """Attend from one position: the query heads of a group become queries of one head, so keys are read once."""
    batch, heads, _, width = queries_BN1H.shape
    folded_BKGH = queries_BN1H.reshape(batch, keys_BKSH.shape[1], -1, width)
    mixed_BKGH = F.scaled_dot_product_attention(folded_BKGH, keys_BKSH, values_BKSH, attn_mask=mask)
    return mixed_BKGH.reshape(batch, heads, 1, width)


@cache
def _flex(compiled: bool) -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    attention: Any = flex_attention
    return torch.compile(attention, dynamic=False) if compiled else attention


def choose_backend(device: torch.device | str, requested: str = "auto") -> Backend:
    """Return the attention for ``device``: flex where a tiny compiled kernel runs forward and backward, else SDPA.

    ``requested``: "auto", "sdpa" or "flex"; ConfigError for anything else, or for "flex" where no kernel runs at all.
    """
    device = torch.device(device)
    if requested == "sdpa":
        return Backend("sdpa", "asked for")
    if requested not in ("auto", "flex"):
        raise ConfigError(f"attention: {requested!r} is not 'auto', 'sdpa' or 'flex'")
    if device.type != "cuda":
        if requested == "flex":
            return Backend("flex", f"asked for; on {device.type} it runs uncompiled and forward only")
        return Backend("sdpa", f"torch's flex attention has no backward on {device.type}")
    failure = _probe_flex(device)
    if failure is None:
        return Backend("flex", "a compiled flex kernel ran forward and backward on this GPU")
    if requested == "flex":
        raise ConfigError(f"attention: 'flex' does not run here ({failure}); use 'sdpa'")
    return Backend("sdpa", f"the flex probe failed: {failure}")


def _probe_flex(device: torch.device) -> str | None:
    """Run a tiny flex kernel forward and backward; return the first line of what went wrong, or None."""
    try:
        document_BT = torch.zeros(1, 128, dtype=torch.int32, device=device)
        queries = torch.randn(1, 2, 128, 64, device=device, dtype=torch.bfloat16, requires_grad=True)
        state = PassState(torch.empty(0), flex_document_mask(document_BT), "flex")
        torch.autograd.grad(attend(queries, queries[:, :1], queries[:, :1], state).sum(), queries)
    except Exception as error:  # any failure of the compiler means the same: use the other path
        return (str(error).splitlines() or [type(error).__name__])[0][:200]
    return None
