"""Every tensor type on every instruction set: each layer and the logits against the float32 torch model.

Where weights are quantized, the engine rounds activations to 8 bits in blocks of 32: with a largest value of a in a
block the error is uniform in ±a/254, which is a / (127 sqrt 12) as root mean square. Among 32 normal values a is
about 2.1 times their root mean square: a product's relative error is 0.5%. In a layer such errors come from q, k and
v; from the output projection; twice, multiplied by one another, from gate and up; and from down, whose inputs are
products of two normal values, with a about 4: 1%. Independent errors add as squares: sqrt(0.5^2 + 0.5^2 + 2 (1.3 *
0.5)^2 + 1) = 1.5% a layer, were the layer's output all of the residual; and layers again add as squares. The bound
allows twice that. Without quantized weights only the float16 cache rounds (2^-11 = 0.05%), and the bound is a tenth.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from smolforge.engine import _native  # noqa: E402
from smolforge.export.gguf import load_decoder  # noqa: E402
from smolforge.formats.blocks import BLOCK_TYPES  # noqa: E402
from tests.engine.gguf_models import write_random_gguf  # noqa: E402
from tests.engine.native_layers import TOKENS  # noqa: E402

LAYER_ERROR = 0.015
MIXED = {"embed": "Q8_0", "v_proj": "Q6_K", "down_proj": "Q6_K", "o_proj": "Q5_0", "proj": "Q4_K"}  # as in Q4_K_M
KINDS = {**{name: name for name in BLOCK_TYPES}, "mixed": MIXED}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("types")
    paths = {name: folder / f"{name}.gguf" for name in KINDS}
    for seed, (name, kinds) in enumerate(KINDS.items()):
        write_random_gguf(paths[name], kinds, seed=seed)
    return paths


@pytest.fixture(scope="module")
def expected(files: dict[str, Path]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {name: torch_layers(path) for name, path in files.items()}


def torch_layers(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The residual stream and the logits of the float32 decoder on the dequantized weights."""
    decoder = load_decoder(path)
    states: list[np.ndarray] = []
    tokens = torch.from_numpy(TOKENS.astype(np.int64))[None]
    states.append(decoder.embed(tokens)[0].detach().numpy())
    hooks = [
        layer.register_forward_hook(lambda _m, _i, out: states.append(out[0].detach().numpy()))
        for layer in decoder.layers
    ]
    with torch.inference_mode():
        logits = decoder.logits(decoder(tokens))[0].numpy()
    for hook in hooks:
        hook.remove()
    return np.stack(states), logits


@pytest.mark.parametrize("isa", _native.isas())
def test_layers_and_logits_agree_with_the_float32_model(
    isa: str, files: dict[str, Path], expected: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.engine.native_layers", str(tmp_path / "out.npz"), *map(str, files.values())]
    subprocess.run(command, check=True, env={**os.environ, "SMOLFORGE_ISA": isa}, timeout=1200)
    found = np.load(tmp_path / "out.npz")
    assert found["isa"] == isa
    for name in files:
        states, logits = expected[name]
        layer_error = LAYER_ERROR / 10 if name in ("F32", "F16", "BF16") else LAYER_ERROR
        for layer, (ours, theirs) in enumerate(zip(found[f"{name}.layers"], states, strict=True)):
            bound = 2 * layer_error * np.sqrt(layer) + 1e-6  # the embedding itself is exact
            assert relative_error(ours, theirs) < bound, f"{name}: after layer {layer}"
        bound = 2 * layer_error * np.sqrt(len(states) - 1 + 0.25)
        assert relative_error(found[f"{name}.logits"], logits) < bound, name


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.sqrt(((ours - theirs) ** 2).mean() / (theirs**2).mean()))
