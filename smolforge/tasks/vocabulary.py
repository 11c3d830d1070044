"""A tokenizer's vocabulary as bytes, arranged as tries, so that a byte grammar can say which tokens may come next.

Input: a ``tokenizers.Tokenizer`` (byte-level BPE). Output: the bytes of every token, and two tries (ordinary and added
tokens) that ``call_constraint`` walks in step with its grammar.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Tokenizer

from smolforge.formats.pre_tokenizers import byte_alphabet


class TrieNode:
    """One prefix of token bytes; ``token`` is the id of the token that ends here, or −1."""

    __slots__ = ("children", "token")

    def __init__(self) -> None:
        self.children: dict[int, TrieNode] = {}
        self.token = -1

    def insert(self, piece: bytes, token: int) -> None:
        """Add a token; of two tokens with the same bytes the lower id is kept."""
        node = self
        for byte in piece:
            node = node.children.setdefault(byte, TrieNode())
        if node.token < 0 or token < node.token:
            node.token = token


@dataclass(frozen=True)
class Vocabulary:
    """``pieces[id]`` are a token's bytes; ``words`` holds ordinary tokens, ``added`` the added (special) ones.

    Added tokens are kept apart because a tokenizer always prefers them, and because they never stand for a piece of a
    person's text: a command that contains the characters of a special token is copied in ordinary tokens.
    """

    size: int
    pieces: list[bytes]
    words: TrieNode
    added: TrieNode

    @classmethod
    def from_tokenizer(cls, tokenizer: Tokenizer, size: int | None = None) -> Vocabulary:
        """Read a byte-level tokenizer; ``size`` is the number of the model's logits where it is padded beyond it."""
        table = {character: byte for byte, character in enumerate(byte_alphabet())}
        added_tokens = tokenizer.get_added_tokens_decoder()
        ids = tokenizer.get_vocab(with_added_tokens=True)
        needed = max(ids.values(), default=-1) + 1
        size = needed if size is None else size
        pieces = [b""] * max(size, needed)
        words, added = TrieNode(), TrieNode()
        for text, token in ids.items():
            if token in added_tokens:
                pieces[token] = added_tokens[token].content.encode()
                added.insert(pieces[token], token)
            else:
                pieces[token] = bytes(table[character] for character in text)
                words.insert(pieces[token], token)
        return cls(max(size, needed), pieces, words, added)

    def text(self, tokens: list[int]) -> str:
        """Join tokens as text, added tokens included; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(self.pieces[token] for token in tokens).decode("utf-8", errors="replace")
