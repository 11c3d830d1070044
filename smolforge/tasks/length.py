"""How long an answer in words may be, and a text cut so that it is no longer: at sentence ends, never inside a word.

Input: bounds in words, sentences or tokens; a text. Output: the words that ask for it, the tokens it may take, and the
text. Chinese and Japanese characters count as a word each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smolforge.errors import ConfigError

if TYPE_CHECKING:
    from smolforge.engine.codec import Codec

CUT = "…"
TOKENS_PER_SENTENCE = 64
MOST_TOKENS_PER_WORD = 4.0  # where the language of the answer is not that of the text
_CHARACTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana, Han
_WORD = re.compile(rf"[{_CHARACTER}]|(?:(?![{_CHARACTER}])\w|['’\-](?=\w))+")
_END = re.compile(r"[。！？]+[」』”’）]*|[.!?…؟۔]+[\"'”’»)\]]*(?=\s|$)|\n+")
_ABBREVIATIONS = {
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "sra", "dott", "sig", "m", "mme", "vs", "etc", "e.g", "i.e", "z.b",
    "d.h", "bzw", "ca", "nr", "no", "p.ex", "p.es", "ecc", "cf", "inc", "ltd", "co",
}  # fmt: skip


@dataclass(frozen=True)
class Length:
    """At most so many words, sentences and tokens; at least one of them is given."""

    words: int | None = None
    sentences: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}, expected 1 or more")

    @property
    def asked(self) -> str:
        """What a model is told, e.g. "in at most 50 words"."""
        words, sentences = self.words, self.sentences
        if words is None and sentences is None:
            words = max(1, int((self.tokens or 1) / 2))
        parts = [f"{n} {name}{'' if n == 1 else 's'}" for n, name in ((sentences, "sentence"), (words, "word")) if n]
        return f"in at most {' and '.join(parts)}"

    def most_tokens(self, tokens_per_word: float) -> int:
        """Return how many tokens an answer may take: enough for the bound, and a hard one."""
        bounds = [self.tokens] if self.tokens else []
        bounds += [int(self.words * tokens_per_word * 1.25) + 16] if self.words else []
        bounds += [self.sentences * TOKENS_PER_SENTENCE] if self.sentences else []
        return min(bounds)

    def cut(self, text: str, codec: Codec, *, ended: bool = True) -> str:
        """Return the whole sentences of ``text`` that keep the bounds, none of them twice.

        ``ended`` says that the text is not cut off; otherwise its last sentence goes if it has no end. Where not even
        one sentence fits, it is cut behind a word, and ends with "…".
        """
        whole = list(sentences(text))
        if not whole:
            return ""
        if not ended and not has_end(whole[-1]):
            partial = whole.pop()
            whole = whole or [_without_last_word(partial) + CUT]
        kept: list[str] = []
        said: set[str] = set()
        for sentence in whole:
            if sentence.strip() in said:
                continue
            if not self._holds("".join([*kept, sentence]), len(kept) + 1, codec):
                break
            kept.append(sentence)
            said.add(sentence.strip())
        return "".join(kept).strip() or self._within_one(whole[0], codec)

    def _holds(self, text: str, count: int, codec: Codec) -> bool:
        text = text.strip()
        return (
            (self.sentences is None or count <= self.sentences)
            and (self.words is None or count_words(text) <= self.words)
            and (self.tokens is None or len(codec.encode_text([text])[0]) <= self.tokens)
        )

    def _within_one(self, sentence: str, codec: Codec) -> str:
        sentence = sentence.strip().removesuffix(CUT)
        while sentence and not self._holds(sentence + CUT, 1, codec):
            sentence = _without_last_word(sentence)
        return sentence + CUT if sentence else ""


def count_words(text: str) -> int:
    """Return the number of words; a Chinese or Japanese character is one."""
    return sum(1 for _ in _WORD.finditer(text))


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text, each with the white space behind it; together they are the text."""
    start = 0
    for found in _END.finditer(text):
        if found[0].startswith(".") and _is_abbreviation(text[start : found.start()]):
            continue
        end = found.end()
        end += len(text[end:]) - len(text[end:].lstrip())
        if end > start and text[start:end].strip():
            yield text[start:end]
            start = end
    if text[start:].strip():
        yield text[start:]


def has_end(sentence: str) -> bool:
    """Say whether a sentence is finished."""
    stripped = sentence.rstrip()
    ends = list(_END.finditer(stripped))
    return bool(ends) and ends[-1].end() == len(stripped) and not _is_abbreviation(stripped[: ends[-1].start()])


def _is_abbreviation(before: str) -> bool:
    """Whether the word in front of a full stop is one letter, a short list's number, or a known abbreviation."""
    word = re.split(r"[\s(\"'«“]", before)[-1].lower()
    return word in _ABBREVIATIONS or bool(re.fullmatch(r"[^\W\d_]|\d{1,2}", word))


def _without_last_word(text: str) -> str:
    words = list(_WORD.finditer(text))
    return text[: words[-1].start()].rstrip() if words else ""
