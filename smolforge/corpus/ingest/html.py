"""HTML to text with the standard library: block elements become lines, page furniture is left out.

Input: an HTML string. Output: the text a reader of the page would call its content.
"""

from __future__ import annotations

from html.parser import HTMLParser

_SKIPPED_TAGS = "script style noscript template svg nav footer aside form button select head iframe object canvas"
_BLOCK_TAGS = (
    "address article blockquote dd div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 h6 header hr li main ol p pre "
    "section table tbody thead tr ul"
)
_SKIPPED, _BLOCKS = frozenset(_SKIPPED_TAGS.split()), frozenset(_BLOCK_TAGS.split())


class _TextExtractor(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.skipping: list[str] = []
        self.in_pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self.skipping.append(tag)
        elif tag in _BLOCKS:
            self.parts.append("\n\n" if tag in ("p", "h1", "h2", "h3", "pre") else "\n")
        elif tag == "br":
            self.parts.append("\n")
        elif tag in ("td", "th"):
            self.parts.append(" ")
        self.in_pre += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag in self.skipping:
            while self.skipping.pop() != tag:
                pass
        elif tag in _BLOCKS:
            self.parts.append("\n\n" if tag in ("p", "h1", "h2", "h3", "pre") else "\n")
        self.in_pre -= tag == "pre" and self.in_pre > 0

    def handle_data(self, data: str) -> None:
        if not self.skipping:
            self.parts.append(data if self.in_pre else " ".join(f" {data} ".split(" ")).replace("\n", " "))


def html_to_text(source: str) -> str:
    """Return the text of an HTML page; broken markup is read as far as it goes, never refused."""
    extractor = _TextExtractor()
    extractor.feed(source)
    extractor.close()
    kept: list[str] = []
    for line in "".join(extractor.parts).split("\n"):
        line = " ".join(line.split()) if not line.startswith("    ") else line.rstrip()
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip()
