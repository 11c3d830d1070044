"""Program files: what the name of a file says about the limits it is judged by.

Input: the address of a document. Output: the suffix under which ``rules/code.json`` has limits of its own: data and
configuration files may be long or short where programs may not, scripts for browsers are often minified.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import urlsplit


def suffix_of(url: str) -> str:
    """Return the suffix of the file name in a URL or path, in small letters with its dot; "" where it has none."""
    try:
        path = urlsplit(url).path
    except ValueError:  # not an address at all
        return ""
    return PurePosixPath(path).suffix.lower()
