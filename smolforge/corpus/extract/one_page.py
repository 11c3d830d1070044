"""What runs in the child that extracts: one of the two extractors over some pages, each page within its time.

Input: pages. Output: a text a page. A page that takes more than its time ends the process, and its number on standard
error says which page that was.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from smolforge.corpus.document import Verdict
from smolforge.corpus.extract.careful import extract_careful
from smolforge.corpus.extract.fast import decode, extract_fast, licence_hint
from smolforge.corpus.rows import Page
from smolforge.errors import SmolforgeError

STEP = "extract"
MARK = "page "  # before the number of the page in work, on standard error
IMPORTS = ("smolforge.corpus.extract.parsers", __name__)


@dataclass(frozen=True)
class Found:
    """What an extractor made of a page; ``verdict`` says why that is nothing."""

    text: str
    licence: str = ""
    verdict: Verdict | None = None


def fast_pages(pages: Sequence[Page], seconds: float) -> list[Found]:
    """Return the fast text of every page, and what it says of its licence."""
    return _each(_fast, pages, seconds)


def careful_pages(pages: Sequence[Page], seconds: float) -> list[Found]:
    """Return the careful text of every page."""
    return _each(_careful, pages, seconds)


def _fast(page: Page) -> Found:
    markup = decode(page.html, page.charset)
    return Found(extract_fast(markup), licence_hint(markup))


def _careful(page: Page) -> Found:
    return Found(extract_careful(decode(page.html, page.charset)))


def _each(work: Callable[[Page], Found], pages: Sequence[Page], seconds: float) -> list[Found]:
    """The process dies of SIGPROF in a page that takes too long: that counts its processor time, so that a busy machine
    loses no page."""
    found: list[Found] = []
    for number, page in enumerate(pages):
        with _limits(number, seconds) as failure:
            found.append(work(page))
        found.extend(failure)
    return found


@contextlib.contextmanager
def _limits(number: int, seconds: float) -> Iterator[list[Found]]:
    """Hold the work on a page to its time; the list gets what stands for a page whose parser raised an error."""
    os.write(2, f"\n{MARK}{number}\n".encode())
    failure: list[Found] = []
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield failure
    except (MemoryError, SmolforgeError):
        raise  # of memory: what is left of this process is not to be trusted
    except Exception as error:  # a parser's own errors are of any kind
        detail = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        failure.append(Found("", verdict=Verdict(STEP, "extraction failed", detail)))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
