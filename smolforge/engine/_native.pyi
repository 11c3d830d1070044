"""Types of the C++ core (native/module.cpp): packed weights, paged KV memory, forward passes.

Everything here works without the GIL while it computes, and checks every index first: ValueError, never a read or write
out of bounds. Arrays are C-contiguous NumPy arrays of exactly the dtypes named.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

def isas() -> list[str]:
    """Return the instruction sets that this build holds and this CPU runs, best first; "plain" is always the last."""

def isa() -> str:
    """Return the set in use: SMOLFORGE_ISA, else the first of ``isas()``. ValueError for a name not among them."""

def default_threads() -> int:
    """Return the number of physical cores that this process may use (affinity and cgroup quota counted)."""

class Packed:
    """One weight matrix, packed in panels of 16 rows (native/packed.h). Immutable."""

    @property
    def kind(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def cols(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def buffer(self) -> NDArray[np.uint8]:
        """Return the packed bytes, without a copy: what ``view`` takes."""

    def row(self, index: int) -> NDArray[np.float32]:
        """Return row ``index`` dequantized, float32 (cols,). IndexError when there is no such row."""

def pack(
    blocks: NDArray[np.uint8], gguf_type: str, rows: int, cols: int, row_order: NDArray[np.int32] | None = None
) -> Packed:
    """Pack the raw blocks of a GGUF tensor ("Q4_K", "F16", …), uint8 (bytes,).

    Packed row r is row ``row_order[r]`` of the file. ValueError for a type or shape that cannot be packed, or a size
    that does not match.
    """

def view(kind: str, rows: int, cols: int, buffer: NDArray[np.uint8]) -> Packed:
    """Return a matrix over packed bytes that lie elsewhere, such as a mapped file; ``buffer`` is kept alive.

    ValueError unless the size is that of ``kind`` and shape, and the first byte lies on a 64-byte line.
    """

class Model:
    """A decoder of the Llama family, ready to run. One forward pass at a time; a second caller waits."""

    def __init__(
        self, shape: dict[str, Any], tensors: dict[str, Packed | NDArray[np.float32]], threads: int = 0
    ) -> None:
        """Check and take the weights, by Hugging Face names; "lm_head.weight" is absent when tied to the embedding.

        ``shape``: n_layers, n_heads, n_kv_heads, head_dim, d_model, d_ff, vocab_size, norm_eps, rope_tables (a list of
        float32 (head_dim/2,) inverse frequencies with a factor on cos and sin), layer_rope (a table number per layer;
        -1: no positions). Pairs of RoPE are half-split. ``threads`` 0: ``default_threads()``. ValueError names what is
        missing, left over or of the wrong shape.
        """

    @property
    def threads(self) -> int: ...
    def forward(
        self,
        kv: Pages,
        tokens: NDArray[np.int32],
        starts: NDArray[np.int32],
        counts: NDArray[np.int32],
        pages: NDArray[np.int32],
        outputs: NDArray[np.int32],
        *,
        hidden: bool = False,
    ) -> NDArray[np.float32]:
        """Run tokens of several sequences; return logits after the ones that ``outputs`` (m,) index: (m, vocab_size).

        Sequence i contributes ``counts[i]`` of the ``tokens`` (n,), in order, at positions ``starts[i]`` …; its keys
        and values lie in ``pages[i]`` of ``pages`` (s, p), and those of earlier positions must be there already. A page
        that is written may not be another sequence's too. ``hidden``: (m, d_model) states after the final norm instead.
        The numbers of a row do not depend on what else is in the pass, on chunking or on threads.
        """

    def layers(
        self,
        kv: Pages,
        tokens: NDArray[np.int32],
        starts: NDArray[np.int32],
        counts: NDArray[np.int32],
        pages: NDArray[np.int32],
        outputs: NDArray[np.int32],
    ) -> NDArray[np.float32]:
        """Run the same pass; return the residual stream (n_layers + 1, n, d_model), embedding first. For tests."""

class Pages:
    """The KV memory of one model, in pages of ``page_tokens`` positions; memory is used when a page is touched."""

    def __init__(self, model: Model, pages: int, kind: Literal["f16", "bf16", "q8", "q4"] = "f16") -> None: ...
    @property
    def kind(self) -> str: ...
    @property
    def page_tokens(self) -> int: ...
    @property
    def page_bytes(self) -> int: ...
    @property
    def pages(self) -> int: ...
    def copy(self, source: int, target: int) -> None: ...
    def read(self, page: int) -> bytes: ...
    def write(self, page: int, data: bytes) -> None:
        """Replace a page. ValueError unless ``data`` has ``page_bytes`` bytes."""

    def release(self, page: int) -> None:
        """Give the page's memory back to the system; it reads as zeros."""
