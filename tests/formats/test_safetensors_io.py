"""safetensors: agreement with the safetensors package both ways, and refusals that name the tensor."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smolforge.errors import FormatError
from smolforge.formats.safetensors_io import SafetensorsFile, write_safetensors

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3) / 3,
    "a": np.array([1, -2], np.int64),
    "empty": np.zeros((0, 4), np.float16),
    "scalar": np.array(7, np.float32),
}


def test_the_reference_reads_what_we_write_and_we_read_what_it_writes(tmp_path: Path) -> None:
    reference = pytest.importorskip("safetensors.numpy")
    write_safetensors(tmp_path / "ours.safetensors", ARRAYS, metadata={"format": "np"})
    theirs = reference.load_file(tmp_path / "ours.safetensors")
    reference.save_file(ARRAYS, tmp_path / "theirs.safetensors")
    for path in ("ours.safetensors", "theirs.safetensors"):
        file = SafetensorsFile(tmp_path / path)
        assert set(file.entries) == set(ARRAYS) == set(theirs)
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(file.array(name), array)
            np.testing.assert_array_equal(theirs[name], array)
    with pytest.raises(FormatError, match="did you mean 'empty'"):
        file.array("emty")


def test_bf16_is_rounded_to_nearest_even_and_read_exactly(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    safetensors_torch = pytest.importorskip("safetensors.torch")
    values = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    write_safetensors(tmp_path / "m.safetensors", {"w": values}, bf16=True)
    wanted = torch.from_numpy(values).bfloat16()
    assert torch.equal(safetensors_torch.load_file(tmp_path / "m.safetensors")["w"], wanted)
    np.testing.assert_array_equal(SafetensorsFile(tmp_path / "m.safetensors").array("w"), wanted.float().numpy())


def blob(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def one(**changes: Any) -> dict[str, Any]:
    return {"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"abc", "fewer than 8 bytes"),
        (struct.pack("<Q", 1 << 60) + b"{}", "does not fit the file"),
        (blob(b"{nope"), "not valid JSON"),
        (blob(b"[]"), "not a JSON object"),
        (blob(b'{"t":{},"t":{}}'), "a key appears twice"),
        (blob(b"[" * 100_000), "not valid JSON"),
        (blob({"__metadata__": {"a": 1}}), "__metadata__ must"),
        (blob({"t": 1}), "tensor 't': expected dtype"),
        (blob(one(dtype="F8_E4M3"), bytes(8)), "type 'F8_E4M3' is not supported"),
        (blob(one(dtype=["F32"]), bytes(8)), "is not supported"),
        (blob(one(shape=[-2]), bytes(8)), "lists of whole numbers"),
        (blob(one(shape=[1 << 62, 1 << 62]), bytes(8)), "do not hold"),
        (blob(one(), bytes(4)), "do not hold"),
        (blob(one(data_offsets=[8, 16]), bytes(16)), "starts at byte"),
        (blob(one(), bytes(9)), "header and tensors take"),
    ],
)
def test_broken_files_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(data)
    with pytest.raises(FormatError) as caught:
        SafetensorsFile(tmp_path / "m.safetensors")
    assert message in str(caught.value)
    assert "m.safetensors" in str(caught.value)


def test_flipped_and_cut_bytes_raise_nothing_but_format_errors(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_safetensors(path, ARRAYS)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for trial in range(600):
        broken = bytearray(whole[: rng.integers(len(whole) + 1)] if trial % 3 == 0 else whole)
        for _ in range(trial % 4):
            if broken:
                broken[rng.integers(len(broken))] = rng.integers(256)
        path.write_bytes(broken)
        try:
            file = SafetensorsFile(path)
            for name in file.entries:
                file.array(name)
        except FormatError:
            continue


def test_an_array_that_cannot_be_stored_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="tensor 'c'"):
        write_safetensors(tmp_path / "m.safetensors", {"c": np.zeros(2, np.complex64)})
    assert list(tmp_path.iterdir()) == []
