"""Arrow made ready in a child, before its limits hold: what the library takes does not count against a job.

In: nothing. Out: ``pyarrow`` loaded, and content without pandas. With its first array it would import pandas wherever
that is installed, half a second of processor time and fifty megabytes for nothing: no job hands it pandas' objects.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname, name=fullname)


def _settle() -> None:
    """Have Arrow look for pandas now, in vain; whoever else imports it afterwards finds it."""
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)


_settle()
