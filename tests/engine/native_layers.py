"""Run the native model over files and save what every layer holds; a process of its own may choose an ISA."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from smolforge.engine import _native
from smolforge.engine.loaded import LoadedModel, open_model

TOKENS = np.arange(7, 7 + 90, dtype=np.int32) * 3 % 400  # more than one page, and more rows than a register block


def run(model: LoadedModel, tokens: np.ndarray = TOKENS) -> tuple[np.ndarray, np.ndarray]:
    """Return the residual stream (n_layers + 1, n, d_model) and the logits (n, vocab_size)."""
    memory = _native.Pages(model.native, 4, "f16")
    count = np.array([len(tokens)], np.int32)
    everything = np.arange(len(tokens), dtype=np.int32)
    arguments = (tokens, np.zeros(1, np.int32), count, np.arange(4, dtype=np.int32)[None], everything)
    return model.native.layers(memory, *arguments), model.native.forward(memory, *arguments)


def main() -> None:
    """``python -m tests.engine.native_layers OUT.npz FILE…``."""
    found = {}
    for path in map(Path, sys.argv[2:]):
        found[f"{path.stem}.layers"], found[f"{path.stem}.logits"] = run(open_model(path, cache=False))
    np.savez(sys.argv[1], isa=_native.isa(), **found)


if __name__ == "__main__":
    main()
