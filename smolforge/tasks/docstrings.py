"""What a docstring says of a function and of its parameters.

Input: the text. Output: the description, and a text for each parameter that an ``Args:`` section (Google's style) or
``:param name:`` lines (Sphinx's) describe.
"""

from __future__ import annotations

import re
from inspect import cleandoc

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Yields|Raises|Example|Examples|Note|Notes):\s*$")
_GOOGLE = re.compile(r"^(?P<name>\w+)\s*(?:\([^)]*\))?\s*:\s*(?P<text>.*)$")
_SPHINX = re.compile(r"^:param\s+(?:[^:]*\s)?(?P<name>\w+)\s*:\s*(?P<text>.*)$")
_FIELD = re.compile(r"^:\w+.*:")


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Return the description (up to the first section or field, as one paragraph a blank line) and parameter texts."""
    about: list[str] = []
    sections: dict[str, list[str]] = {}
    into = about
    for line in cleandoc(text).splitlines():
        if found := _SECTION.match(line):
            into = sections.setdefault(found[1], [])
        elif _FIELD.match(line):
            into = sections.setdefault("fields", [])
            into.append(line)
        else:
            into.append(line)
    arguments = [line for name in ("Args", "Arguments", "Parameters") for line in sections.get(name, [])]
    texts = _entries(cleandoc("\n".join(arguments)).splitlines(), _GOOGLE)
    texts |= _entries(sections.get("fields", []), _SPHINX)
    paragraphs = [" ".join(part.split()) for part in "\n".join(about).split("\n\n")]
    return "\n".join(part for part in paragraphs if part), texts


def _entries(lines: list[str], entry: re.Pattern[str]) -> dict[str, str]:
    """Return name → text of entries that begin at the margin; indented lines go on with the one before."""
    texts: dict[str, str] = {}
    name = ""
    for line in lines:
        if found := entry.match(line):
            name = found["name"]
            texts[name] = found["text"].strip()
        elif name and line.startswith(" "):
            texts[name] = f"{texts[name]} {line.strip()}".strip()
        else:
            name = ""
    return texts
