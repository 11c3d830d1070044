"""What ids mean, for every codec: how many there are, how many bytes each stands for, and the text of a sequence.

Input: a tokenizer of the ``tokenizers`` library, byte-level. Output: numbers and text.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TokenText:
    """The part of a codec that knows its tokenizer and nothing of chats."""

    tokenizer: Tokenizer

    @property
    def vocab_size(self) -> int:
        """All ids, special and added ones included."""
        return int(self.tokenizer.get_vocab_size(with_added_tokens=True))

    @cached_property
    def token_bytes(self) -> NDArray[np.int64]:
        """UTF-8 bytes that each id stands for, int64 (vocab_size,); a control token counts as its text."""
        table = np.zeros(self.vocab_size, np.int64)
        added = self.tokenizer.get_added_tokens_decoder()
        for token, i in self.tokenizer.get_vocab(with_added_tokens=True).items():
            table[i] = len(token.encode()) if i in added else len(token)  # byte-level: one character a byte
        return table

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens included; bytes that are not UTF-8 become U+FFFD."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))

    def _take(self, tokenizer: Tokenizer) -> None:
        """Make ``tokenizer`` encode all text as plain text, whole and without padding."""
        self.tokenizer = tokenizer
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True
