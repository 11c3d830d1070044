"""Text from a model, a file or a stranger, made harmless for whoever looks at it.

A terminal obeys control characters and a page obeys marks that reorder text: both can be made to hide something. Every
such character is shown as a picture of it instead.
"""

from __future__ import annotations

import re

# C0 (but tab and line feed), DEL, C1, and the marks that reorder text (Unicode TR 9: embeddings, overrides, isolates)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return ``text`` with each control character shown as a picture of it (``\\x1b`` as ␛), so that none acts."""
    return _CONTROL.sub(_picture, text)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 0x0D:
        return ""
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "�"
