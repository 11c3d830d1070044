"""Tokenizers side by side: what the same text costs in each, language by language.

Input is tokenizers of any origin (a ``tokenizer.json``, a GGUF file, a tiktoken encoding), texts by language and
aligned sentences; output is fertility, parity, and how well each vocabulary is used, as a JSON value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from smolforge.errors import DataError, FormatError, MissingDependencyError
from smolforge.formats.gguf_read import GGUFFile
from smolforge.formats.gguf_tokenizer import read_tokenizer, to_tokenizer_json
from smolforge.tokens.fertility import EncodesText, fertility, parity

TIKTOKEN = "tiktoken:"
RENYI_ALPHA = 2.5  # as in Zouhar et al., arXiv:2306.16842, where it predicts best how well a vocabulary serves


class Encodes(EncodesText, Protocol):
    """What a comparison needs of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """All ids."""


@dataclass(frozen=True)
class Encoder:
    """A tokenizer of the ``tokenizers`` library that encodes everything as plain text."""

    tokenizer: Any
    vocab_size: int

    def encode_text(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode texts as plain text."""
        return [row.ids for row in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


@dataclass(frozen=True)
class TiktokenEncoder:
    """An encoding of tiktoken."""

    encoding: Any
    vocab_size: int

    def encode_text(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode texts as plain text."""
        found: list[list[int]] = self.encoding.encode_ordinary_batch(list(texts), num_threads=1)
        return found


def open_encoder(name: str) -> Encodes:
    """Open a folder with ``tokenizer.json``, that file, a GGUF file, or ``tiktoken:o200k_base``.

    DataError or FormatError for what is not a byte-level tokenizer; MissingDependencyError without tiktoken (which
    fetches an encoding that is not in its cache).
    """
    if name.startswith(TIKTOKEN):
        try:
            import tiktoken
        except ImportError:
            raise MissingDependencyError("tiktoken", "dev", f"the encoding {name.removeprefix(TIKTOKEN)}") from None
        encoding = tiktoken.get_encoding(name.removeprefix(TIKTOKEN))
        return TiktokenEncoder(encoding, encoding.n_vocab)
    from tokenizers import Tokenizer

    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        text = json.dumps(to_tokenizer_json(read_tokenizer(GGUFFile(path))))
    else:
        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            raise DataError(f"{file}: no such file; expected tokenizer.json, a folder with it, or a GGUF file")
        text = file.read_text(encoding="utf-8")
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the Rust side raises bare Exception
        raise FormatError(f"{name}: not a tokenizer ({error})") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return Encoder(tokenizer, tokenizer.get_vocab_size(with_added_tokens=True))


def vocabulary_use(encoder: Encodes, texts: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return ``unused``: the share of ids that no text takes, and ``renyi_efficiency``: the Rényi entropy (α = 2.5) of
    the ids' frequencies over log(vocabulary), 1 where all are used alike. Both depend on how much text there is."""
    counts = np.zeros(encoder.vocab_size, np.int64)
    for rows in texts.values():
        for ids in encoder.encode_text(rows):
            np.add.at(counts, ids, 1)
    if not counts.sum():
        return {}
    share = counts[counts > 0] / counts.sum()
    entropy = float(np.log((share**RENYI_ALPHA).sum()) / (1 - RENYI_ALPHA))
    return {
        "unused": round(float((counts == 0).mean()), 4),
        "renyi_efficiency": round(entropy / float(np.log(encoder.vocab_size)), 4),
    }


def compare(
    encoders: Mapping[str, Encodes], texts: Mapping[str, Sequence[str]], aligned: Sequence[Mapping[str, str]]
) -> dict[str, dict[str, Any]]:
    """Return per tokenizer: ``vocab_size``, ``languages`` (as in ``fertility``, with ``parity``), ``worst_parity``
    and what ``vocabulary_use`` tells."""
    result = {}
    for name, encoder in encoders.items():
        languages = fertility(encoder, texts)
        ratios = parity(encoder, aligned)
        for language, ratio in ratios.items():
            languages.setdefault(language, {})["parity"] = ratio
        result[name] = {
            "vocab_size": encoder.vocab_size,
            "worst_parity": max(ratios.values(), default=None),
            **vocabulary_use(encoder, texts),
            "languages": languages,
        }
    return result
