"""Model files that nobody vouches for: whatever the bytes, a reader raises its own error, soon and in little memory."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smolforge.errors import SmolforgeError
from smolforge.formats.gguf_model import GGUFModel
from smolforge.formats.gguf_read import GGUFFile
from smolforge.formats.hf_config import flat_config
from smolforge.formats.hf_folder import HFTensors
from smolforge.formats.safetensors_io import SafetensorsFile, write_safetensors
from tests.engine.gguf_models import SHAPE, write_random_gguf

MEMORY = 32 << 20  # far more than these files need, far less than what their headers can claim
FEW = settings(max_examples=150, deadline=60_000, suppress_health_check=list(HealthCheck))
# What breaks readers: sizes at the borders of signed and unsigned words, and of the file itself.
WORDS = [0, 1, 2, 31, 32, 255, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 63) - 1, (1 << 64) - 1]


def read_gguf(path: Path) -> None:
    """Everything that a loader does with a GGUF file."""
    file = GGUFFile(path)
    for name in file.tensors:
        file.array(name)
        file.release(name)
    GGUFModel(path)


def read_safetensors(path: Path) -> None:
    """Everything that a loader does with a safetensors file."""
    file = SafetensorsFile(path)
    for name in file.entries:
        file.array(name)
        file.release(name)


def read_folder(path: Path) -> None:
    """The same as the only weights of a folder."""
    path.rename(path.parent / "model.safetensors")
    HFTensors(path.parent).check(flat_config({**SHAPE, "vocab_size": 64}, "fuzz"))


@cache
def gguf_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.gguf"
        write_random_gguf(path, {"embed": "Q8_0", "proj": "Q4_0"}, {"num_hidden_layers": 1, "hidden_size": 64})
        return path.read_bytes()


@cache
def safetensors_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        write_safetensors(path, {"a": np.ones((3, 5), np.float32), "b": np.zeros(7, np.float16)}, metadata={"x": "y"})
        return path.read_bytes()


def survives(read: Callable[[Path], None], data: bytes) -> None:
    """Read a file of these bytes: SmolforgeError or nothing, within MEMORY."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.bin"
        path.write_bytes(data)
        tracemalloc.start()
        try:
            read(path)
        except SmolforgeError as error:
            assert str(error)
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < MEMORY, f"{peak} bytes were allocated for a file of {len(data)}"


@st.composite
def mutations(draw: Any, source: Callable[[], bytes], header: int) -> bytes:
    """Draw a copy with a few bytes, words or stretches changed, mostly within the first ``header`` bytes; maybe cut."""
    data = bytearray(source())
    for _ in range(draw(st.integers(1, 4))):
        end = min(len(data), header) if draw(st.integers(0, 4)) else len(data)
        at = draw(st.integers(0, max(0, end - 8)))
        kind = draw(st.sampled_from(["byte", "u32", "u64", "drop", "repeat"]))
        if kind == "byte":
            data[at] = draw(st.integers(0, 255))
        elif kind in ("u32", "u64"):
            size = 4 if kind == "u32" else 8
            data[at : at + size] = (draw(st.sampled_from(WORDS)) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        elif kind == "drop":
            del data[at : at + draw(st.integers(1, 64))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


@FEW
@given(mutations(gguf_bytes, 2000))
def test_mutated_gguf_files(data: bytes) -> None:
    survives(read_gguf, data)


@FEW
@given(mutations(safetensors_bytes, 400))
def test_mutated_safetensors_files(data: bytes) -> None:
    survives(read_safetensors, data)


NUMBERS = st.sampled_from([*WORDS, -1, 3, 5, 7, 60, 74])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=4), lambda x: st.lists(x, max_size=4), max_leaves=8
)
ENTRY = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["F32", "BF16", "F16", "U8", "BOOL", "X", "F8_E4M3"]) | JSON,
     "shape": st.lists(NUMBERS, max_size=5) | JSON,
     "data_offsets": st.lists(NUMBERS, min_size=2, max_size=2) | JSON}
)  # fmt: skip


@FEW
@given(
    st.dictionaries(st.sampled_from(["a", "b", "model.norm.weight", "__metadata__"]), ENTRY | JSON),
    st.binary(max_size=80),
)
def test_safetensors_headers_made_up_freely(header: dict[str, Any], body: bytes) -> None:
    text = json.dumps(header).encode()
    survives(read_safetensors, struct.pack("<Q", len(text)) + text + body)
    survives(read_folder, struct.pack("<Q", len(text)) + text + body)


@FEW
@given(
    st.dictionaries(
        st.sampled_from([*SHAPE, "rope_scaling", "rope_parameters", "no_rope_layers", "layer_types", "vocab_size"]),
        JSON,
    )
)
def test_configs_made_up_freely(changes: dict[str, Any]) -> None:
    try:
        flat_config({**SHAPE, "vocab_size": 64, **changes}, "fuzz")
    except SmolforgeError as error:
        assert str(error)


def test_deep_json_is_refused_without_a_crash(tmp_path: Path) -> None:
    text = b'{"a":' * 100_000
    survives(read_safetensors, struct.pack("<Q", len(text)) + text)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gguf", "safetensors"])
def test_guided_fuzzing_finds_nothing(kind: str, tmp_path: Path) -> None:
    """Coverage-guided mutation (atheris) for a minute, in a process of its own; skipped where it is not installed."""
    pytest.importorskip("atheris")
    import subprocess
    import sys

    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "a").write_bytes(gguf_bytes() if kind == "gguf" else safetensors_bytes())
    command = [
        sys.executable,
        "-m",
        "tests.formats.guided_fuzzing",
        kind,
        "-max_total_time=60",
        "-rss_limit_mb=1024",
        str(seeds),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, env={**os.environ}, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr[-2000:]
