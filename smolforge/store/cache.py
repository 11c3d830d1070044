"""What smolforge can make again at any time, kept below one folder: ``$SMOLFORGE_CACHE``, else ``~/.cache/smolforge``.

In: a way to make some arrays, and what they are made from. Out: the arrays, from the second process on mapped from
files. Files are found by a digest of what they are made from; a torn one is made again, and a folder that cannot be
written to only costs the time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.store.atomic import writing
from smolforge.store.digest import digest_json
from smolforge.store.home import home

CACHE = "SMOLFORGE_CACHE"
Arrays = Mapping[str, NDArray[Any]]


def cache_folder() -> Path:
    """Return where smolforge keeps what it can make again: ``$SMOLFORGE_CACHE``, ``$XDG_CACHE_HOME/smolforge``, …"""
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else home() / ".cache") / "smolforge"


def cached_arrays(subject: str, made_from: Any, names: Sequence[str], make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays called ``names`` that ``make`` makes, read-only, the same in every process that asks.

    ``made_from`` is a JSON value that is another whenever the arrays may be: digests of the files and of the code they
    come from. An array is a file of its own, ``arrays/<subject>-<digest>-<name>.npy``; processes share its pages.
    """
    digest, arrays = digest_json(made_from), None
    with suppress(RuntimeError):  # this user has no home
        folder = cache_folder() / "arrays"
        files = {name: folder / f"{subject}-{digest}-{name}.npy" for name in names}
        with suppress(OSError, ValueError):
            return _mapped(files)
        arrays = make()
        with suppress(OSError):
            _write(files, arrays)
            return _mapped(files)
    arrays = arrays or make()
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _write(files: Mapping[str, Path], arrays: Arrays) -> None:
    for name, file in files.items():
        with writing(file) as stream:
            np.save(stream, arrays[name], allow_pickle=False)


def _mapped(files: Mapping[str, Path]) -> Arrays:
    """Map every file; OSError or ValueError where one is not there or not whole."""
    return {name: np.asarray(np.lib.format.open_memmap(file, mode="r")) for name, file in files.items()}
