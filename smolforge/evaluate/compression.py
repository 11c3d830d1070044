"""What a general compressor makes of the same text: ``xz -9e``, with and without the training text as context.

Input: training and held-out documents of one language. Output: bits per byte, the bar a language model has to clear.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from dataclasses import dataclass

SEPARATOR = b"\n"


@dataclass(frozen=True)
class XzResult:
    """``alone`` and ``with_context`` in bits per byte of held-out UTF-8 text; sizes in bytes."""

    alone: float
    with_context: float
    context_bytes: int
    held_out_bytes: int


def xz_size(data: bytes) -> int:
    """Return the size of ``xz -9e``'s output for ``data``, in bytes (dictionary 64 MiB)."""
    return len(lzma.compress(data, format=lzma.FORMAT_XZ, preset=9 | lzma.PRESET_EXTREME))


def joined(documents: Sequence[str]) -> bytes:
    """Return the documents as UTF-8, each closed by one separator byte (the model pays for its end-of-text token)."""
    return b"".join(document.encode() + SEPARATOR for document in documents)


def xz_bits_per_byte(context: Sequence[str], held_out: Sequence[str]) -> XzResult:
    """Compress held-out documents alone, and after the context: 8 · (|xz(context + held out)| − |xz(context)|) / bytes.

    The denominator counts the documents' own bytes, without separators. Raises ValueError for no held-out text.
    """
    before, text = joined(context), joined(held_out)
    size = len(text) - len(held_out) * len(SEPARATOR)
    if size <= 0:
        raise ValueError("xz_bits_per_byte: there is no held-out text")
    added = xz_size(before + text) - xz_size(before)
    return XzResult(8 * xz_size(text) / size, 8 * added / size, len(before), size)
