"""Licences by their texts: what a repository's licence file or a file's SPDX line says.

Input: a folder, or a source text. Output: an SPDX identifier, "unknown" where no text is known. The phrases are
sentences that each licence alone has.
"""

from __future__ import annotations

import re
from pathlib import Path

_FILES = re.compile(r"^(licen[cs]e|copying|unlicense)([-_.].*)?$", re.IGNORECASE)
_SPDX = re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9.+() -]+?)\s*(?:\*/|-->|\n|$)")
_HEAD_CHARACTERS = 3000
_MAX_FILE_BYTES = 200_000
_PHRASES = (
    ("AGPL-3.0", "gnu affero general public license"),
    ("LGPL-2.1", "gnu lesser general public license version 2.1"),
    ("LGPL-3.0", "gnu lesser general public license"),
    ("LGPL-2.0", "gnu library general public license"),
    ("GPL-3.0", "gnu general public license version 3"),
    ("GPL-2.0", "gnu general public license version 2"),
    ("Apache-2.0", "apache license version 2.0"),
    ("MPL-2.0", "mozilla public license version 2.0"),
    ("EPL-2.0", "eclipse public license - v 2.0"),
    ("BSL-1.0", "boost software license - version 1.0"),
    ("CC0-1.0", "cc0 1.0 universal"),
    ("CC-BY-SA-4.0", "attribution-sharealike 4.0 international"),
    ("CC-BY-4.0", "attribution 4.0 international"),
    ("Unlicense", "this is free and unencumbered software released into the public domain"),
    ("PSF-2.0", "python software foundation license version 2"),
    ("Zlib", "altered source versions must be plainly marked as such"),
    ("ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"),
    ("MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"),
    ("BSD-3-Clause", "neither the name of"),
    ("BSD-2-Clause", "redistributions in binary form must reproduce the above copyright notice"),
)


def licence_of_text(text: str) -> str:
    """Return the licence whose sentence occurs first in a licence text, "unknown" where none does."""
    folded = " ".join(re.sub(r"[^\w\s./,-]", " ", text.lower()).split()).replace("license, version", "license version")
    places = [(folded.find(phrase), -len(phrase), name) for name, phrase in _PHRASES]
    found = [place for place in places if place[0] >= 0]
    if not found:
        return "unknown"
    name = min(found)[2]
    # the clauses of BSD come in one text: the third clause makes it BSD-3
    return "BSD-3-Clause" if name == "BSD-2-Clause" and "neither the name of" in folded else name


def licence_of_folder(root: Path) -> str:
    """Return the licence that the files in the top folder state; several are joined by AND."""
    found: set[str] = set()
    for path in sorted(root.iterdir()):
        if _FILES.match(path.name) and path.is_file() and path.stat().st_size <= _MAX_FILE_BYTES:
            found.add(licence_of_text(path.read_text(encoding="utf-8", errors="replace")))
    known = sorted(found - {"unknown"})
    return " AND ".join(known) or "unknown"


def licence_of_file(text: str) -> str:
    """Return what the SPDX line at the head of a source file says, or ""."""
    match = _SPDX.search(text, 0, _HEAD_CHARACTERS)
    return match[1] if match else ""
