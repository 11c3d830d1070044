"""Runs tests with the native modules from another folder, such as one where they are built with the sanitizers.

``python -m tests.native.sanitized_run FOLDER PYTEST_ARGUMENT...``; with ``--overrun`` as the only argument it hands the
module an array that claims more bytes than it has, which a working address sanitizer must not survive.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

NAMES = ("smolforge.engine._native", "smolforge.corpus._text")


def take_modules_from(folder: Path) -> None:
    """Load the modules in ``folder`` under the names by which everything imports them."""
    for name in NAMES:
        (path,) = folder.glob(f"{name.rpartition('.')[2]}*.so")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        room, _, stem = name.rpartition(".")
        setattr(importlib.import_module(room), stem, module)  # "from room import stem" looks here first


def overrun() -> None:
    """Pack 64 bytes more than there are."""
    import numpy as np
    from numpy.lib.stride_tricks import as_strided

    from smolforge.engine import _native

    claims_more = as_strided(np.zeros(4096 - 64, np.uint8), shape=(4096,))
    _native.pack(claims_more, "F32", 32, 32)


def main(folder: str, *arguments: str) -> int:
    """Return the exit code of pytest."""
    take_modules_from(Path(folder))
    if arguments == ("--overrun",):
        overrun()
        return 0
    import pytest

    from smolforge.corpus import _text
    from smolforge.engine import _native

    for module in (_native, _text):
        assert module.__file__ is not None and Path(module.__file__).parent == Path(folder).resolve()
    # Captured output would take the sanitizers' messages along when they end the process.
    return int(pytest.main(["-s", "-p", "no:xdist", "-p", "no:cacheprovider", *arguments]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
