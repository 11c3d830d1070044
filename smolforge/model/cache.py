"""The key-value cache of incremental decoding: rows of different lengths in one batch, each at its own position.

Input: keys and values of new tokens from attention. Output: all keys and values seen so far, for attention.
Rows are left-aligned: token p of a row lies at index p, whatever the other rows hold.

Shapes: B rows, K key-value heads, S capacity, T new tokens, H head_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smolforge.errors import ConfigError
from smolforge.model.config import ModelConfig


class KVCache:
    """Keys and values of ``batch`` rows, up to ``capacity`` tokens each; ``lengths_B`` (int64, CPU): how many count."""

    def __init__(
        self,
        config: ModelConfig,
        batch: int,
        capacity: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (config.n_layers, batch, config.n_kv_heads, capacity, config.head_dim)
        self.keys_LBKSH = torch.zeros(shape, dtype=dtype, device=device)
        self.values_LBKSH = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths_B = torch.zeros(batch, dtype=torch.int64)

    @property
    def capacity(self) -> int:
        """Most tokens a row can hold."""
        return self.keys_LBKSH.shape[3]

    def positions(self, count: int) -> Tensor:
        """Return int64 (B, count): the positions that the next ``count`` tokens of every row take.

        ConfigError when a row would pass the capacity.
        """
        longest = int(self.lengths_B.max()) + count
        if longest > self.capacity:
            raise ConfigError(
                f"KVCache: {longest} tokens do not fit the capacity {self.capacity}; ask for a larger cache"
            )
        return self.lengths_B[:, None] + torch.arange(count)

    def write(self, layer: int, keys_BKTH: Tensor, values_BKTH: Tensor, positions_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new tokens of one layer; return (keys, values), each (B, K, S', H), S' the longest row so far."""
        keys_BKSH, values_BKSH = self.keys_LBKSH[layer], self.values_LBKSH[layer]
        first, last = int(self.lengths_B.min()), int(self.lengths_B.max())
        end = last + positions_BT.shape[1]
        if first == last:
            keys_BKSH[:, :, first:end] = keys_BKTH
            values_BKSH[:, :, first:end] = values_BKTH
        else:
            rows_B1 = torch.arange(positions_BT.shape[0], device=keys_BKSH.device)[:, None]
            keys_BKSH[rows_B1, :, positions_BT] = keys_BKTH.transpose(1, 2).to(keys_BKSH.dtype)
            values_BKSH[rows_B1, :, positions_BT] = values_BKTH.transpose(1, 2).to(values_BKSH.dtype)
        return keys_BKSH[:, :, :end], values_BKSH[:, :, :end]

    def advance(self, count: int) -> None:
        """Count ``count`` more tokens in every row (the decoder does this after its last layer)."""
        self.lengths_B += count

    def truncate(self, lengths_B: Tensor) -> None:
        """Forget what lies past ``lengths_B`` in each row: padding on the right, or a rejected draft."""
        self.lengths_B = torch.minimum(self.lengths_B, lengths_B.to("cpu", torch.int64))

    def keep(self, rows: Tensor) -> None:
        """Keep only the given rows (int64 indices), in that order."""
        on_device = rows.to(self.keys_LBKSH.device)
        self.keys_LBKSH = self.keys_LBKSH[:, on_device]
        self.values_LBKSH = self.values_LBKSH[:, on_device]
        self.lengths_B = self.lengths_B[rows.cpu()]
