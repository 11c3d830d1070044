"""The parsers made ready in the child that extracts, before its limits hold.

In: nothing. Out: resiliparse and trafilatura loaded, the latter without py3langid and NumPy behind it, half of what it
takes to start: it would ask them for a page's language only if it were told which one to keep.
"""

from __future__ import annotations

from smolforge.corpus.engine.hide import hidden

with hidden("py3langid"):
    import resiliparse.extract.html2text
    import resiliparse.parse.html  # noqa: F401
    import trafilatura  # noqa: F401
