"""From token ids to text while they come: whole characters only, special tokens unseen, stop strings never shown.

Input: a ``tokenizers.Tokenizer`` (byte-level BPE) and one sequence's tokens. Output: pieces of text that join to what
the whole sequence says.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from smolforge.errors import FormatError
from smolforge.formats.pre_tokenizers import byte_alphabet

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MOST_CUTS, _LONGEST_CUT = 4096, 256  # texts whose tokens are remembered, and how many bytes they may have


class _Alphabet(dict[int, int | str]):
    """Code point of a byte's character → the byte; any other character → one that Latin-1 does not have."""

    def __missing__(self, character: int) -> str:
        return "\uffff"


_TO_LATIN = _Alphabet({ord(character): byte for byte, character in enumerate(byte_alphabet())})


class TokenTable:
    """The tokens of a byte-level tokenizer as bytes, each made when it is first asked for.

    ``size`` is the number of the model's logits, which may exceed the tokenizer's. ``special`` are the control tokens,
    which no grammar takes for text; ``hidden`` those of them that no text shows, all but ``shown``. FormatError for
    another kind of tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer, size: int | None = None, shown: Iterable[int] = ()) -> None:
        if "ByteLevel(" not in repr(tokenizer.decoder):
            raise FormatError("the tokenizer is not byte-level BPE (its decoder is another), which is not supported")
        added = tokenizer.get_added_tokens_decoder()
        self.tokenizer = tokenizer
        self.size = tokenizer.get_vocab_size(with_added_tokens=True) if size is None else size
        self.added = {token: entry.content for token, entry in added.items()}
        self.special = frozenset(token for token, entry in added.items() if entry.special)
        self.hidden = self.special - frozenset(shown)
        self._pieces: dict[int, bytes] = {token: content.encode() for token, content in self.added.items()}
        self._cuts: dict[bytes, list[int]] = {}

    def piece(self, token: int) -> bytes:
        """Return a token's bytes; none for an id beyond the tokenizer's vocabulary."""
        piece = self._pieces.get(token)
        if piece is None:
            spelled = self.tokenizer.id_to_token(token) or ""
            try:
                piece = spelled.translate(_TO_LATIN).encode("latin-1")
            except UnicodeEncodeError:  # as the library's decoder has it, a token of other characters is its own text
                piece = spelled.encode()
            self._pieces[token] = piece
        return piece

    def cut(self, text: bytes) -> list[int]:
        """Return the tokens of a text as it would be encoded by itself; those of short ones are remembered."""
        tokens = self._cuts.get(text)
        if tokens is None:
            words = text.decode("utf-8", errors="ignore")
            tokens = list(self.tokenizer.encode(words, add_special_tokens=False).ids)
            if len(self._cuts) >= _MOST_CUTS:
                self._cuts.clear()
            if len(text) <= _LONGEST_CUT:
                self._cuts[text] = tokens
        return tokens

    def text(self, tokens: Iterable[int]) -> str:
        """Return the text of a whole sequence without hidden tokens; bytes that are not UTF-8 become U+FFFD."""
        return self.bytes(tokens).decode("utf-8", errors="replace")

    def bytes(self, tokens: Iterable[int]) -> bytes:
        """Return the bytes of a sequence, hidden tokens left out."""
        return b"".join(self.piece(token) for token in tokens if token not in self.hidden)

    def containing(self, texts: Sequence[str]) -> frozenset[int]:
        """Return every token whose bytes contain one of ``texts``."""
        wanted = [text.encode() for text in texts]
        return frozenset(t for t in range(self.size) if any(text in self.piece(t) for text in wanted))


class TextStream:
    """The text of one sequence as far as it is certain.

    A piece holds whole characters. Text that may yet become a stop string is held back; from a stop string on there is
    no text. ``stopped`` is the stop string that was found (the first to stand in the text; the longest among equals).
    """

    def __init__(self, table: TokenTable, stop_strings: Sequence[str] = ()) -> None:
        self._table, self._stops = table, tuple(sorted(stop_strings, key=len, reverse=True))
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped: str | None = None

    def push(self, token: int) -> str:
        """Take one token; return the text that has become certain."""
        if self.stopped is not None or token in self._table.hidden:
            return ""
        return self._release(self._decoder.decode(self._table.piece(token)))

    def finish(self) -> str:
        """Return what was held back; an unfinished character becomes U+FFFD."""
        rest = self._release(self._decoder.decode(b"", True)) + self._held
        self._held = ""
        return rest if self.stopped is None else ""

    def _release(self, text: str) -> str:
        if not self._stops:
            return text
        text = self._held + text
        found = min(((at, i) for i, stop in enumerate(self._stops) if (at := text.find(stop)) >= 0), default=None)
        if found is not None:
            self.stopped, self._held = self._stops[found[1]], ""
            return text[: found[0]]
        kept = len(text) - self._unsure(text)
        self._held = text[kept:]
        return text[:kept]

    def _unsure(self, text: str) -> int:
        """Return the length of the longest end of ``text`` that begins a stop string."""
        for length in range(min(len(text), len(self._stops[0]) - 1), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0
