"""The error family: what a person can fix, said so that the person can fix it.

Every room raises one of these for bad input. The command line prints the message as one line on stderr and exits
with ``exit_code``; anything else that escapes is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class SmolforgeError(ValueError):
    """Something a person can fix. The message names what, where, what was expected and what to do."""

    exit_code = 2


class ConfigError(SmolforgeError):
    """A recipe, an option or a model configuration is wrong."""


class DataError(SmolforgeError):
    """A document, a table row or a dataset is wrong; the message names file and row."""


class FormatError(SmolforgeError):
    """A model file or another binary format is wrong, torn, or not supported."""


class ArtifactError(SmolforgeError):
    """A finished stage folder is missing, torn, or was changed after its manifest was written."""


class NetworkError(SmolforgeError):
    """A download cannot begin or go on: no network, no access, or an answer that cannot be trusted."""


class MissingDependencyError(SmolforgeError):
    """An optional package is not installed; the message says which extra brings it ("": the package by itself)."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        what = f"'smolforge[{extra}]'" if extra else package
        super().__init__(f"{purpose} needs the package '{package}': pip install {what}")
        self.package, self.extra = package, extra


# What is wrong with a place on the disk, not with us: no permission, no room, read-only, a file where a folder goes.
_PLACES = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG,
}  # fmt: skip


def place_problem(error: OSError) -> SmolforgeError | None:
    """Return what is wrong with a place on the disk as an error for a person; None for a defect of ours."""
    if error.errno not in _PLACES:
        return None
    return SmolforgeError(f"{error.filename or 'writing'}: {error.strerror}")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the closest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""
