"""Packages hidden from a child: what a library would import only because it is there, and no job uses.

In: a package's name. Out: imports that look for it in vain while the context lasts, and find it again afterwards.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _Nowhere(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == self._package:
            raise ModuleNotFoundError(fullname, name=fullname)


@contextlib.contextmanager
def hidden(package: str) -> Iterator[None]:
    """Raise ModuleNotFoundError for imports of ``package``. None in ``sys.modules`` would not do: compiled imports
    take it for the module."""
    finder = _Nowhere(package)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
