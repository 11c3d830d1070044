"""Arrow made ready in a child, before its limits hold: what the library takes does not count against a job.

In: nothing. Out: ``pyarrow`` loaded, and content without pandas. With its first array it would import pandas wherever
that is installed, half a second of processor time and fifty megabytes for nothing: no job hands it pandas' objects.
"""

from __future__ import annotations

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from smolforge.corpus.engine.hide import hidden

with hidden("pandas"):
    pa.array([0])
