"""What happens to a page in the child that extracts: fast text, gates, careful text, the better of both.

Input: pages and settings. Output: an outcome a page. Runs in a ``LimitedChild``: a page that takes more than its time
ends the process, and its number on standard error says which page that was.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smolforge.corpus.config import LanguageConfig
from smolforge.corpus.document import Verdict
from smolforge.corpus.extract.careful import better, extract_careful
from smolforge.corpus.extract.config import ExtractConfig
from smolforge.corpus.extract.fast import FastText, extract_fast
from smolforge.corpus.extract.urls import STEP
from smolforge.corpus.language import DECLARED_ONLY, detect_all
from smolforge.corpus.rows import Page
from smolforge.corpus.text import words
from smolforge.errors import SmolforgeError

MAX_CAREFUL_CHARACTERS = 2_000_000  # of markup; the careful extractor needs seconds for more
_SURE_CHARACTERS = 20  # for each word asked for: a text of that length is not counted
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
    found: list[FastText | Outcome] = []
    for number, page in enumerate(pages):
        with _limits(number, settings) as failure:
            found.append(_fast(page))
        found.extend(failure)
    found = _past_gates(pages, found, settings)
    outcomes: list[Outcome] = []
    for number, each in enumerate(found):
        with _limits(number, settings) as failure:
            outcomes.append(each if isinstance(each, Outcome) else _best(each, settings.extract))
        outcomes.extend(failure)
    return outcomes


@contextlib.contextmanager
def _limits(number: int, settings: Settings) -> Iterator[list[Outcome]]:
    """Hold the work on a page to its time; the list gets the outcome of a page whose parser raised an error."""
    os.write(2, f"\n{MARK}{number}\n".encode())
    failure: list[Outcome] = []
    signal.setitimer(signal.ITIMER_PROF, settings.extract.seconds)
    try:
        yield failure
    except (MemoryError, SmolforgeError):
        raise  # of memory: what is left of this process is not to be trusted
    except Exception as error:  # a parser's own errors are of any kind
        detail = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        failure.append(Outcome("", verdict=Verdict(STEP, "extraction failed", detail)))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _fast(page: Page) -> FastText | Outcome:
    fast = extract_fast(page.html, page.charset)
    if fast.text:
        return fast
    return Outcome("", fast.licence, verdict=Verdict(STEP, "empty page", f"{len(page.html)} bytes without text"))


def _past_gates(
    pages: Sequence[Page], found: Sequence[FastText | Outcome], settings: Settings
) -> list[FastText | Outcome]:
    """Return ``found`` with an outcome for each crawled page that no careful look would save."""
    least = settings.extract.min_words
    judged = [_few_words(each, least) if page.crawled else each for page, each in zip(pages, found, strict=True)]
    rows = [row for row, each in enumerate(judged) if pages[row].crawled and isinstance(each, FastText)]
    texts = [each.text for row in rows if isinstance(each := judged[row], FastText)]
    natural = tuple(code for code in settings.languages if code not in DECLARED_ONLY)
    said = detect_all(texts, [""] * len(rows), natural, settings.language.sample_characters)
    for row, label, confidence in zip(rows, said.labels, said.confidence, strict=True):
        each = judged[row]
        if isinstance(each, FastText) and label not in natural and confidence >= settings.language.confidence:
            verdict = Verdict(STEP, "language not wanted", f"{label} {confidence:.2f}")
            judged[row] = Outcome(each.text, each.licence, "fast", label, verdict)
    return judged


def _few_words(each: FastText | Outcome, least: int) -> FastText | Outcome:
    """Return the outcome of a page with too few words, else what was given. Only a short text is counted."""
    if isinstance(each, Outcome) or len(each.text) >= _SURE_CHARACTERS * least or len(words(each.text, "")) >= least:
        return each
    return Outcome(each.text, each.licence, "fast", verdict=Verdict(STEP, "too few words", f"fewer than {least}"))


def _best(fast: FastText, limits: ExtractConfig) -> Outcome:
    if not limits.careful or len(fast.markup) > MAX_CAREFUL_CHARACTERS:
        return Outcome(fast.text, fast.licence, "fast")
    text, name = better(fast.text, extract_careful(fast.markup), limits.agreement)
    return Outcome(text, fast.licence, name)
