"""The fast extraction, of every page: character set, main content, licence hint (resiliparse).

Input: a page's bytes and what its HTTP header says of its characters. Output: its markup, its text, its licence.
"""

from __future__ import annotations

import codecs
import re

from smolforge.errors import MissingDependencyError

_LICENCE = re.compile(r"creativecommons\.org/(?:licenses/([a-z-]+)/([0-9.]+)|publicdomain/(zero|mark)/([0-9.]+))")
_REL = re.compile(
    r"""<(?:a|link)\b[^>]{0,500}\brel\s*=\s*["']?[^"'>]{0,100}\blicen[cs]e\b[^>]{0,500}>""", re.IGNORECASE
)
_HREF = re.compile(r"""\bhref\s*=\s*["']?([^"'\s>]{1,500})""", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n{3,}")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def extract_fast(markup: str) -> str:
    """Return the main text of a page. MissingDependencyError without resiliparse, MemoryError for too large a page."""
    try:
        from resiliparse.extract.html2text import extract_plain_text
        from resiliparse.parse.html import HTMLParserException, HTMLTree
    except ImportError:
        raise MissingDependencyError("resiliparse", "data", "reading web pages") from None
    try:
        tree = HTMLTree.parse(markup)
    except HTMLParserException:
        raise MemoryError("the page's tree") from None  # any text is HTML: nothing else can be wrong
    return tidy(
        extract_plain_text(tree, main_content=True, preserve_formatting=True, list_bullets=True, alt_texts=False)
    )


def decode(page: bytes, charset: str) -> str:
    """Return a page as text: its byte order mark decides, else the HTTP header, else its meta element, else what its
    bytes look like (the order of the HTML standard, 13.2.3.2). NULs and what cannot be decoded are left out."""
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

    marked = next((name for mark, name in _MARKS if page.startswith(mark)), "")
    stated = map_encoding_to_html5(charset, fallback_utf8=False) if charset and not marked else None
    encoding = marked or stated or detect_encoding(page, from_html_meta=True) or "utf-8"
    text: str = bytes_to_str(page, encoding, errors="ignore")
    return text.replace("\0", "")


def tidy(text: str) -> str:
    """Return text without NULs, lone surrogates and more than one empty line in a row."""
    text = text.replace("\0", "").replace("\xa0", " ").encode("utf-8", "ignore").decode()
    return _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip()


def licence_hint(markup: str) -> str:
    """Return the licence that a page's ``rel=license`` link names, as an SPDX identifier where it is a Creative
    Commons one, else its address; "" where there is none. A Creative Commons address elsewhere is a hint as well."""
    if "licen" not in markup and "creativecommons" not in markup:
        return ""  # most pages: a search costs more than all else of them
    link = _REL.search(markup)
    address = _HREF.search(link[0]) if link else None
    found = _LICENCE.search(address[1].lower() if address else markup)
    if found is None:
        return address[1] if address else ""
    if found[1]:
        return f"CC-{found[1].upper()}-{found[2].rstrip('.')}"
    return "CC0-1.0" if found[3] == "zero" else "PDM-1.0"
