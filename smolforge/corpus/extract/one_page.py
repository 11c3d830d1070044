"""What happens to a page in the child that extracts: fast text, gates, careful text, the better of both.

Input: pages and settings. Output: an outcome a page. Runs in a ``LimitedChild``: a page that takes more than its time
ends the process, and its number on standard error says which page that was.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from smolforge.corpus.config import LanguageConfig
from smolforge.corpus.document import Verdict
from smolforge.corpus.extract.careful import better, extract_careful
from smolforge.corpus.extract.config import ExtractConfig
from smolforge.corpus.extract.fast import extract_fast
from smolforge.corpus.extract.urls import STEP
from smolforge.corpus.language import DECLARED_ONLY, detect
from smolforge.corpus.rows import Page
from smolforge.corpus.text import words
from smolforge.errors import SmolforgeError

MAX_CAREFUL_CHARACTERS = 2_000_000  # of markup; the careful extractor needs seconds for more
MARK = "page "  # before the number of the page in work, on standard error
IMPORTS = ("resiliparse.extract.html2text", "resiliparse.parse.html", "trafilatura", "py3langid.langid", __name__)


@dataclass(frozen=True)
class Settings:
    """What the child needs of the configuration; ``languages`` are the wanted ones."""

    extract: ExtractConfig
    language: LanguageConfig
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """``text`` is the best there is, also where ``verdict`` says why the page goes. ``language`` is known where that
    is the reason; ``extractor`` is "fast" or "careful"."""

    text: str
    licence: str = ""
    extractor: str = ""
    language: str = ""
    verdict: Verdict | None = None


def extract_pages(pages: Sequence[Page], settings: Settings) -> list[Outcome]:
    """Return the outcome of every page. The process dies of SIGPROF in a page that takes too long: that counts its
    processor time, so that a busy machine loses no page."""
    _warm(settings)
    found = []
    for number, page in enumerate(pages):
        os.write(2, f"\n{MARK}{number}\n".encode())
        signal.setitimer(signal.ITIMER_PROF, settings.extract.seconds)
        try:
            found.append(extract_page(page, settings))
        except (MemoryError, SmolforgeError):
            raise  # of memory: what is left of this process is not to be trusted
        except Exception as error:  # a parser's own errors are of any kind
            detail = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            found.append(Outcome("", verdict=Verdict(STEP, "extraction failed", detail)))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return found


def _warm(settings: Settings) -> None:
    """Load what is loaded at first use, so that no page pays for it."""
    detect("A page in English.", "", _natural(settings), settings.language.sample_characters)


def _natural(settings: Settings) -> tuple[str, ...]:
    return tuple(code for code in settings.languages if code not in DECLARED_ONLY)


def extract_page(page: Page, settings: Settings) -> Outcome:
    """Return what becomes of one page."""
    fast = extract_fast(page.html, page.charset)
    if not fast.text:
        return Outcome("", fast.licence, verdict=Verdict(STEP, "empty page", f"{len(page.html)} bytes without text"))
    stopped = _gate(fast.text, settings) if page.crawled else None
    if stopped is not None:
        language, verdict = stopped
        return Outcome(fast.text, fast.licence, "fast", language, verdict)
    if not settings.extract.careful or len(fast.markup) > MAX_CAREFUL_CHARACTERS:
        return Outcome(fast.text, fast.licence, "fast")
    text, name = better(fast.text, extract_careful(fast.markup), settings.extract.agreement)
    return Outcome(text, fast.licence, name)


def _gate(text: str, settings: Settings) -> tuple[str, Verdict] | None:
    """Return (language, verdict) for a text that no careful look would save, or None."""
    natural = _natural(settings)
    limits = settings.language
    least = settings.extract.min_words
    if len(text) < least or (len(text) < 20 * least and len(words(text, "")) < least):
        return "", Verdict(STEP, "too few words", f"fewer than {least}")
    found = detect(text, "", natural, limits.sample_characters)
    if found.label not in natural and found.confidence >= limits.confidence:
        return found.label, Verdict(STEP, "language not wanted", f"{found.label} {found.confidence:.2f}")
    return None
