"""The decoder: embedding, pre-norm layers of grouped-query attention and SwiGLU, final norm, output head.

Input: token ids, the document number of each token, or a cache. Output: final-normed hidden states; ``logits`` turns
them into scores. QKV and gate-up are fused into one matrix each; ``checkpoint`` splits them for Hugging Face.

Shapes: B rows, T tokens, D hidden_size, M = N + 2K fused heads (queries, keys, values), H head_dim, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smolforge.errors import ConfigError
from smolforge.model.attention import Backend, PassState, attend, cache_mask, choose_backend, document_mask
from smolforge.model.attention import flex_document_mask as flex_mask
from smolforge.model.cache import KVCache
from smolforge.model.config import ModelConfig
from smolforge.model.kernels import rms_norm, split_rotate, swiglu
from smolforge.model.positions import RotaryTable


class Norm(nn.Module):
    """RMSNorm with a learned gain (Zhang and Sennrich 2019)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


class Attention(nn.Module):
    """Causal grouped-query attention with fused QKV; RoPE on queries and keys unless the layer has no positions."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.config = layer, config
        self.use_rope = bool(config.no_rope_layers[layer])
        bias = config.attention_bias
        self.qkv = nn.Linear(config.hidden_size, config.query_size + 2 * config.kv_size, bias=bias)
        self.out = nn.Linear(config.query_size, config.hidden_size, bias=bias)

    def forward(self, x_BTD: Tensor, state: PassState, rows_N: Tensor | None = None) -> Tensor:
        config = self.config
        batch, length, _ = x_BTD.shape
        fused_BTMH = self.qkv(x_BTD).view(batch, length, -1, config.head_dim)
        queries, keys, values = split_rotate(fused_BTMH, config.n_heads, state.rotary if self.use_rope else None)
        if state.cache is not None and state.positions_BT is not None:
            cached = state.cache.write(self.layer, keys, values, state.positions_BT)
            if state.mask is not None:
                keys, values = cached
        mixed_BTD = attend(queries, keys, values, state).transpose(1, 2).reshape(batch, length, -1)
        projected: Tensor = self.out(mixed_BTD if rows_N is None else picked(mixed_BTD, rows_N))
        return projected


class MLP(nn.Module):
    """SwiGLU with gate and up fused, gate first: down(silu(gate) · up)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=config.mlp_bias)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        projected: Tensor = self.down(swiglu(self.gate_up(x_BTD)))
        return projected


class Layer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = Norm(config.hidden_size, config.rms_norm_eps)
        self.attention = Attention(config, layer)
        self.mlp_norm = Norm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(self, x_BTD: Tensor, state: PassState, rows_N: Tensor | None = None) -> Tensor:
        """Return (B, T, D); with ``rows_N`` only these positions, (N, D): nothing is computed for the others that
        they do not look at."""
        attended = self.attention(self.attention_norm(x_BTD), state, rows_N)
        x_D = (x_BTD if rows_N is None else picked(x_BTD, rows_N)) + attended
        mixed: Tensor = x_D + self.mlp(self.mlp_norm(x_D))
        return mixed


def picked(x_BTD: Tensor, rows_N: Tensor) -> Tensor:
    """Return (N, D): the positions ``rows_N`` (int64, b · T + t)."""
    return x_BTD.reshape(-1, x_BTD.shape[-1]).index_select(0, rows_N)


class Decoder(nn.Module):
    """A decoder-only language model of the SmolLM3 or Llama family.

    Weights are uninitialised garbage until ``initialise`` or a checkpoint fills them. ``backend`` says which attention
    is used and why; ``use_backend`` changes it.
    """

    def __init__(self, config: ModelConfig, *, backend: Backend | None = None) -> None:
        super().__init__()
        self.config = config
        self.backend = backend or choose_backend("cpu", "sdpa")
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, layer) for layer in range(config.n_layers))
        self.norm = Norm(config.hidden_size, config.rms_norm_eps)
        self.head = None if config.tie_word_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self._rotary = RotaryTable(config)

    def use_backend(self, requested: str) -> Backend:
        """Choose attention for the weights' device ("auto", "sdpa", "flex"); return the choice with its reason."""
        self.backend = choose_backend(self.embed.weight.device, requested)
        return self.backend

    def use_rope_theta(self, theta: float) -> None:
        """Change the base of the rotary angles; weights stay. Long-context stages raise it."""
        self.config = self.config.with_(rope_theta=theta)
        self._rotary = RotaryTable(self.config)

    def forward(
        self, tokens_BT: Tensor, document: Tensor | None = None, cache: KVCache | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return final-normed hidden states (B, T, D) of int64 ``tokens_BT``.

        ``rows`` int64 (N,): only the positions b · T + t are wanted, and the result is (N, D).
        ``document`` int (B, T): tokens see only earlier tokens with the same number; None: the whole row is one
        document. ``cache``: the tokens continue its rows, each at its own length, and are added to it.
        ConfigError when both are given, or when the cache is full.
        """
        state = self._pass_state(tokens_BT, document, cache)
        x_BTD = self.embed(tokens_BT)
        for number, layer in enumerate(self.layers, start=1):
            x_BTD = layer(x_BTD, state, rows if number == len(self.layers) else None)
        if cache is not None:
            cache.advance(tokens_BT.shape[1])
        normed: Tensor = self.norm(x_BTD)
        return normed

    @property
    def head_weight(self) -> Tensor:
        """The output head (V, D): the embedding where the two are tied."""
        return self.embed.weight if self.head is None else self.head.weight

    def logits(self, hidden: Tensor) -> Tensor:
        """Return scores (…, V) of final-normed hidden states (…, D)."""
        return F.linear(hidden, self.head_weight)

    def _pass_state(self, tokens_BT: Tensor, document: Tensor | None, cache: KVCache | None) -> PassState:
        length, device, name = tokens_BT.shape[1], tokens_BT.device, self.backend.name
        if cache is not None:
            if document is not None:
                raise ConfigError("Decoder: a cache holds one document a row; give either 'document' or 'cache'")
            return self._cached_state(length, device, cache)
        rotary = self._rotary.rows(length, device)[:, None]
        if document is None:
            return PassState(rotary, None, name)
        mask = flex_mask(document) if name == "flex" else document_mask(document)
        return PassState(rotary, mask, name)

    def _cached_state(self, length: int, device: torch.device, cache: KVCache) -> PassState:
        positions_BT = cache.positions(length)
        end = int(positions_BT.max()) + 1
        rotary = self._rotary.rows(end, device)[positions_BT.to(device)][:, :, None]
        fresh = end == length  # an empty cache: the new tokens are all there is, and causal order is the whole mask
        mask = None if fresh else cache_mask(positions_BT, end, device)
        return PassState(rotary, mask, "sdpa", cache, positions_BT.to(device))
