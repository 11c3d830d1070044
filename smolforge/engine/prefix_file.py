"""The prefix store on disk: one safetensors file, written whole or not at all, read only by the model it is from.

Input: a prefix store between two steps, and what its pages belong to. Output: a file; and from a file, a filled store.
Tensors: ``lengths`` and ``parents`` I32 (n,), ``tokens`` I32 (all tokens of all pages), ``pages`` U8 (n, page_bytes).
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.kv_pages import OutOfPages
from smolforge.engine.prefix_store import Node, PrefixStore
from smolforge.errors import FormatError
from smolforge.formats.safetensors_io import SafetensorsFile
from smolforge.store.atomic import writing
from smolforge.store.digest import DIGEST_BYTES

LAYOUT_VERSION = "1"  # raise with every change of what a page holds (native/kv.h) or of this file
_WHAT = {
    "smolforge_prefixes": "layout version", "model": "model", "tokenizer": "tokenizer", "kv": "key-value type",
    "page_tokens": "page size", "page_bytes": "page size",
}  # fmt: skip


def identity(store: PrefixStore, model: str, tokenizer: str, kv: str) -> dict[str, str]:
    """Return what pages belong to, from the digests of model and tokenizer and the kind of key-value memory."""
    memory = store.pool.memory
    sizes = {"page_tokens": str(memory.page_tokens), "page_bytes": str(memory.page_bytes)}
    return {"smolforge_prefixes": LAYOUT_VERSION, "model": model, "tokenizer": tokenizer, "kv": kv, **sizes}


def save(store: PrefixStore, path: Path, belongs_to: Mapping[str, str]) -> int:
    """Write every stored prefix, page by page; return the number of pages."""
    nodes = list(store.nodes())
    arrays = _arrays(nodes)
    size = store.pool.memory.page_bytes
    header, offset = {}, 0
    for name, kind, shape in (*((n, "I32", a.shape) for n, a in arrays.items()), ("pages", "U8", (len(nodes), size))):
        bytes_here = int(np.prod(shape, dtype=np.int64)) * (4 if kind == "I32" else 1)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [offset, offset + bytes_here]}
        offset += bytes_here
    with writing(path) as stream:
        _write(stream, header, belongs_to, _bodies(arrays, store, nodes))
    return len(nodes)


def _arrays(nodes: list[Node]) -> dict[str, NDArray[np.int32]]:
    """Return the tree as arrays; nodes come parents first, the root is number −1."""
    number: dict[Node | None, int] = {node: i for i, node in enumerate(nodes)}
    parents = [number.get(node.parent, -1) for node in nodes]
    tokens = np.concatenate([node.tokens for node in nodes]) if nodes else np.empty(0, np.int32)
    lengths = [len(node.tokens) for node in nodes]
    return {"lengths": np.asarray(lengths, np.int32), "parents": np.asarray(parents, np.int32), "tokens": tokens}


def _bodies(arrays: Mapping[str, NDArray[np.int32]], store: PrefixStore, nodes: list[Node]) -> Iterator[bytes]:
    yield from (array.astype("<i4").tobytes() for array in arrays.values())
    yield from (store.pool.memory.read(node.page) for node in nodes)


def _write(stream: BinaryIO, header: Mapping[str, Any], belongs_to: Mapping[str, str], bodies: Iterator[bytes]) -> None:
    """Write header and bodies; the digest of the bodies takes its place in the header at the end."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    stream.write(_header(header, belongs_to, state.hexdigest()))
    for body in bodies:
        state.update(body)
        stream.write(body)
    stream.seek(0)
    stream.write(_header(header, belongs_to, state.hexdigest()))


def _header(header: Mapping[str, Any], belongs_to: Mapping[str, str], digest: str) -> bytes:
    text = json.dumps({"__metadata__": {**belongs_to, "digest": digest}, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def load(store: PrefixStore, path: Path, belongs_to: Mapping[str, str], vocab_size: int) -> int:
    """Fill the store from a file; return the number of pages taken: as many as there is room for.

    FormatError for a file that is torn, changed, or belongs to another model; the store is then as it was.
    """
    file = SafetensorsFile(path)
    _check_identity(file, belongs_to)
    lengths, parents, tokens = (_ints(file, name) for name in ("lengths", "parents", "tokens"))
    pages = _pages(file, len(lengths), store.pool.memory.page_bytes)
    _check_digest(file, (lengths, parents, tokens, pages))
    _check_tree(path, lengths, parents, tokens, store.pool.page_tokens, vocab_size)
    blocks = np.split(tokens, np.cumsum(lengths)[:-1]) if len(lengths) else []
    return _fill(store, blocks, parents.tolist(), pages)


def _check_identity(file: SafetensorsFile, belongs_to: Mapping[str, str]) -> None:
    if "smolforge_prefixes" not in file.metadata:
        raise FormatError(f"{file.path}: not a file of saved prefixes")
    for key, value in belongs_to.items():
        if file.metadata.get(key) != value:
            found = str(file.metadata.get(key))[:40]
            raise FormatError(f"{file.path}: saved for another {_WHAT[key]} ({found}, here {value}); save it anew")


def _ints(file: SafetensorsFile, name: str) -> NDArray[np.int32]:
    array = file.array(name)
    if array.dtype != np.dtype("<i4") or array.ndim != 1:
        raise FormatError(f"{file.path}: tensor '{name}' must be a list of 32-bit integers")
    return array


def _pages(file: SafetensorsFile, count: int, size: int) -> NDArray[np.uint8]:
    pages: NDArray[np.uint8] = file.array("pages")
    if pages.dtype != np.uint8 or pages.shape != (count, size):
        found = f"{pages.dtype} {pages.shape}"
        raise FormatError(f"{file.path}: tensor 'pages' is {found}, expected uint8 ({count}, {size})")
    return pages


def _check_digest(file: SafetensorsFile, arrays: tuple[NDArray[Any], ...]) -> None:
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for array in arrays:
        state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    if state.hexdigest() != file.metadata.get("digest"):
        raise FormatError(f"{file.path}: the contents do not match their digest; the file was changed or torn")


def _check_tree(
    path: Path, lengths: NDArray[np.int32], parents: NDArray[np.int32], tokens: NDArray[np.int32],
    page_tokens: int, vocab_size: int,
) -> None:  # fmt: skip
    numbers = np.arange(len(lengths))
    sound = (
        len(parents) == len(lengths)
        and bool(((lengths > 0) & (lengths <= page_tokens)).all())
        and int(lengths.sum(dtype=np.int64)) == len(tokens)
        and bool(((parents >= -1) & (parents < numbers)).all())
        and bool((lengths[parents[parents >= 0]] == page_tokens).all())
        and bool(((tokens >= 0) & (tokens < vocab_size)).all())
    )
    if not sound:
        raise FormatError(f"{path}: the tree of prefixes is not sound")


def _fill(store: PrefixStore, blocks: list[NDArray[np.int32]], parents: list[int], pages: NDArray[np.uint8]) -> int:
    """Add nodes, parents first, each page held until the end, so that making room never takes what was just added."""
    nodes: dict[int, Node | None] = {-1: store.root}
    held: list[int] = []
    try:
        for i, (block, parent) in enumerate(zip(blocks, parents, strict=True)):
            behind = nodes.get(parent)
            if behind is None:
                continue
            held.append(store.pool.take())
            store.pool.memory.write(held[-1], pages[i].tobytes())
            if len(block) == store.pool.page_tokens:
                nodes[i] = store.extend(behind, block, held[-1])
            else:
                store.add_tail(behind, block, held[-1])
    except OutOfPages:
        pass  # what fits is enough
    finally:
        taken = sum(store.pool.references(page) > 1 for page in held)
        for page in held:
            store.pool.drop(page)
    return taken
