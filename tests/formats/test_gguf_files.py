"""GGUF files: what is written is read back, other readers agree, and bad bytes only ever raise FormatError."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smolforge.errors import FormatError
from smolforge.formats.blocks import block_type, quantize
from smolforge.formats.gguf_read import GGUFFile
from smolforge.formats.gguf_write import TensorSpec, write_gguf

METADATA: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.rope.freq_base": 10000.0,
    "tokenizer.ggml.add_bos_token": False,
    "tokenizer.ggml.tokens": ["a", "Ġthe", "日本", ""],
    "tokenizer.ggml.token_type": np.array([1, 1, 3, 4], np.int32),
    "big": np.uint64(1 << 40),
    "negative": np.int32(-5),
    "flags": [True, False],
}


def write_small(path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    arrays = {
        "token_embd.weight": rng.standard_normal((4, 64)).astype(np.float32),
        "norm.weight": rng.standard_normal(7).astype(np.float32),
        "x.weight": rng.standard_normal((3, 32)).astype(np.float32),
    }
    kinds = {"token_embd.weight": "Q8_0", "norm.weight": "F32", "x.weight": "Q4_0"}
    specs = [TensorSpec(name, array.shape, block_type(kinds[name])) for name, array in arrays.items()]
    write_gguf(path, METADATA, specs, (quantize(arrays[s.name], s.kind) for s in specs))
    return arrays


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    arrays = write_small(tmp_path / "m.gguf")
    file = GGUFFile(tmp_path / "m.gguf")
    assert list(file.metadata) == list(METADATA)
    assert file.metadata["tokenizer.ggml.tokens"] == METADATA["tokenizer.ggml.tokens"]
    assert file.metadata["tokenizer.ggml.token_type"].tolist() == [1, 1, 3, 4]
    assert file.metadata["big"] == 1 << 40
    assert file.metadata["negative"] == -5
    assert file.metadata["flags"] == [True, False]
    np.testing.assert_array_equal(file.array("norm.weight"), arrays["norm.weight"])
    np.testing.assert_allclose(file.array("x.weight"), arrays["x.weight"], atol=0.3)
    assert file.info("token_embd.weight").start % 32 == 0
    with pytest.raises(FormatError, match=r"did you mean 'x\.weight'"):
        file.array("y.weight")


def test_the_reference_reader_agrees(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    write_small(tmp_path / "m.gguf")
    ours, theirs = GGUFFile(tmp_path / "m.gguf"), gguf.GGUFReader(tmp_path / "m.gguf")
    for key, value in ours.metadata.items():
        assert theirs.fields[key].contents() == (value.tolist() if isinstance(value, np.ndarray) else value)
    for tensor in theirs.tensors:
        assert tuple(reversed(tensor.shape.tolist())) == ours.info(tensor.name).shape
        np.testing.assert_array_equal(tensor.data.view(np.uint8).ravel(), ours.raw(tensor.name))


def test_a_failing_source_leaves_no_file(tmp_path: Path) -> None:
    spec = TensorSpec("a", (2, 32), block_type("F32"))
    with pytest.raises(FormatError, match="tensor 'a': its data was not given"):
        write_gguf(tmp_path / "m.gguf", {}, [spec], iter(()))
    with pytest.raises(FormatError, match="256 bytes wanted"):
        write_gguf(tmp_path / "m.gguf", {}, [spec], [np.zeros(3, np.uint8)])
    with pytest.raises(FormatError, match="given twice"):
        write_gguf(tmp_path / "m.gguf", {}, [spec, spec], [])
    assert list(tmp_path.iterdir()) == []


def header(version: int = 3, tensors: int = 0, pairs: int = 0, body: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs) + body


def key(name: str, kind: int, body: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + body


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    head = struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", len(shape))
    return head + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", kind, offset)


ONE = struct.pack("<I", 1)
HOSTILE = {
    "the file is empty": b"",
    "not a GGUF file": b"PK\x03\x04" + bytes(40),
    "version 99": header(99),
    "big-endian": header(3 << 24),
    "cannot fit in the": header(tensors=1 << 62),
    "metadata pairs cannot fit": header(pairs=(1 << 64) - 1),
    "key 'a': appears twice": header(pairs=2, body=key("a", 4, ONE) * 2),
    "key 'a': value type 77": header(pairs=1, body=key("a", 77, ONE)),
    "array of arrays": header(pairs=1, body=key("a", 9, struct.pack("<IQ", 9, 1) + bytes(50))),
    "key 'a': 1152921504606846976 numbers cannot fit": header(
        pairs=1, body=key("a", 9, struct.pack("<IQ", 10, 1 << 60) + bytes(50))
    ),
    "key 'a': the file ends here": header(pairs=1, body=key("a", 8, struct.pack("<Q", 1 << 63))),
    "not UTF-8": header(pairs=1, body=key("a", 8, struct.pack("<Q", 1) + b"\xff")),
    "neither 0 nor 1": header(pairs=1, body=key("a", 7, b"\x02")),
    "power of two": header(pairs=1, body=key("general.alignment", 4, struct.pack("<I", 24))),
    "0 is not a power": header(pairs=1, body=key("general.alignment", 4, struct.pack("<I", 0))),
    "tensor 't': appears twice": header(tensors=2, body=(tensor("t", (8,)) * 2) + bytes(99)),
    "tensor 't': 9 dimensions": header(tensors=1, body=tensor("t", (1,) * 9)),
    "a dimension of 0": header(tensors=1, body=tensor("t", (0, 4))),
    "lie outside the file": header(tensors=1, body=tensor("t", (1 << 62, 1 << 62, 1 << 62))),
    "tensor 't': tensor type IQ3_S": header(tensors=1, body=tensor("t", (256,), kind=21)),
    "tensor type 4000": header(tensors=1, body=tensor("t", (32,), kind=4000)),
    "a row of 40 weights": header(tensors=1, body=tensor("t", (40,), kind=2)),
    "not a multiple of 32": header(tensors=1, body=tensor("t", (4,), offset=8) + bytes(64)),
    "overlaps tensor 't'": header(tensors=2, body=tensor("t", (64,)) + tensor("u", (4,), offset=32) + bytes(999)),
    "outside the file": header(tensors=1, body=tensor("t", (4,), offset=(1 << 64) - 32) + bytes(64)),
}


@pytest.mark.parametrize("message", HOSTILE)
def test_hostile_files_are_refused_by_name(message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(HOSTILE[message])
    with pytest.raises(FormatError) as caught:
        GGUFFile(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def read_everything(path: Path) -> None:
    file = GGUFFile(path)
    for name in file.tensors:
        file.array(name)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    write_small(tmp_path / "m.gguf")
    whole = (tmp_path / "m.gguf").read_bytes()
    for length in range(len(whole) - 31):  # the last tensor may be followed by padding
        (tmp_path / "cut.gguf").write_bytes(whole[:length])
        with pytest.raises(FormatError):
            read_everything(tmp_path / "cut.gguf")


def test_flipped_bytes_raise_nothing_but_format_errors(tmp_path: Path) -> None:
    write_small(tmp_path / "m.gguf")
    whole = (tmp_path / "m.gguf").read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for trial in range(1000):
        broken = bytearray(whole)
        for _ in range(1 + trial % 4):
            broken[rng.integers(len(broken))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))])
        (tmp_path / "flip.gguf").write_bytes(broken)
        try:
            read_everything(tmp_path / "flip.gguf")
        except FormatError:
            refused += 1
    assert refused > 100


def test_a_missing_file_is_a_format_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be opened"):
        GGUFFile(tmp_path / "none.gguf")


def test_metadata_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    write_small(tmp_path / "m.gguf")
    file = GGUFFile(tmp_path / "m.gguf")
    assert file.get("llama.block_count", int) == 2
    assert file.get("nothing", int, None) is None
    with pytest.raises(FormatError, match=r"'llama\.block_count': expected str, found int"):
        file.get("llama.block_count", str)
    with pytest.raises(FormatError, match="expected int, found bool"):
        file.get("tokenizer.ggml.add_bos_token", int)
    with pytest.raises(FormatError, match=r"did you mean 'llama\.block_count'"):
        file.get("llama.blok_count", int)
