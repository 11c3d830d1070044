"""Files of Python distributions: read straight from a wheel in a folder, or from what is installed.

Input: a distribution name. Output: its name, version, licence and the bytes of its data files. A wheel is only read,
never installed, so its dependencies are not needed.
"""

from __future__ import annotations

import email.parser
import importlib.metadata
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message as Headers
from pathlib import Path

from smolforge.errors import DataError

_CLASSIFIER = "License :: OSI Approved :: "


@dataclass(frozen=True)
class Package:
    """One distribution whose files can be listed and read."""

    name: str
    version: str
    licence: str
    files: tuple[str, ...]
    wheel: Path | None

    def read(self, names: set[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (path inside the distribution, bytes) for the files asked for, in name order."""
        if self.wheel is not None:
            with zipfile.ZipFile(self.wheel) as archive:
                for name in sorted(names):
                    yield name, archive.read(name)
            return
        distribution = importlib.metadata.distribution(self.name)
        for name in sorted(names):
            yield name, Path(str(distribution.locate_file(name))).read_bytes()


def normalise(name: str) -> str:
    """Return a distribution name in its normal form (PEP 503, with underscores as in wheel names)."""
    return re.sub(r"[-_.]+", "_", name).lower()


def find_package(name: str, wheels: Path | None) -> Package | None:
    """Return the distribution from a wheel in ``wheels`` (the highest file name wins) or from this environment."""
    if wheels is not None and wheels.is_dir():
        matching = [path for path in wheels.glob("*.whl") if normalise(path.name.split("-")[0]) == normalise(name)]
        if matching:
            return _from_wheel(max(matching, key=lambda path: path.name))
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    files = tuple(str(file) for file in distribution.files or ())
    headers = email.parser.HeaderParser().parsestr(distribution.read_text("METADATA") or "")
    return Package(name, distribution.version, licence_of(headers), files, None)


def _from_wheel(path: Path) -> Package:
    try:
        with zipfile.ZipFile(path) as archive:
            files = tuple(archive.namelist())
            metadata = next(name for name in files if name.endswith(".dist-info/METADATA"))
            headers = email.parser.HeaderParser().parsestr(archive.read(metadata).decode("utf-8", "replace"))
    except (zipfile.BadZipFile, StopIteration, OSError) as error:
        raise DataError(f"{path}: not a readable wheel ({error or 'no METADATA'}); download it again") from None
    return Package(headers["Name"] or path.stem, headers["Version"] or "unknown", licence_of(headers), files, path)


def licence_of(headers: Headers) -> str:
    """Return the licence a distribution's metadata states: SPDX expression, else short field, else classifier."""
    expression: str | None = headers["License-Expression"]
    if expression:
        return expression
    stated = (headers["License"] or "").strip()
    if stated and "\n" not in stated and len(stated) < 40 and not stated.lower().startswith(("copyright", "unknown")):
        return stated
    classifiers = headers.get_all("Classifier") or []
    return next((c.removeprefix(_CLASSIFIER) for c in classifiers if c.startswith(_CLASSIFIER)), "unknown")
