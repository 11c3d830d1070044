"""Where a person's own files are: the home folder, which a service or a container may be without."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the home folder; where the system knows none, a place that holds nothing and takes nothing."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)
