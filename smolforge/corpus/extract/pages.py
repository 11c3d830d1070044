"""Pages become texts: batches of them go to a child with limits, and a page that kills it costs that page only.

Input: rows with pages among them. Output: the same rows in the same order, with text or with why there is none.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Verdict
from smolforge.corpus.engine.child import ChildError, LimitedChild
from smolforge.corpus.extract.careful import better
from smolforge.corpus.extract.config import ExtractConfig
from smolforge.corpus.extract.gates import stopped_texts
from smolforge.corpus.extract.one_page import IMPORTS, MARK, STEP, Found, careful_pages, fast_pages
from smolforge.corpus.extract.urls import judge_url
from smolforge.corpus.rows import Page, Row
from smolforge.errors import MissingDependencyError

BATCH_PAGES = 64
BATCH_BYTES = 4 << 20
MAX_CAREFUL_BYTES = 2_000_000  # of a page; the careful extractor needs seconds for more
_RECYCLE_AFTER = 200  # batches; what the parsers leak stays bounded
_PATIENCE = 20  # times a page's processor time that a batch may take on the clock, on a busy machine
_IN_WORK = re.compile(rf"^{MARK}(\d+)$", re.MULTILINE)
Work = Callable[[Sequence[Page], float], list[Found]]
Placed = tuple[str, Row]  # the row's file beside it


def extracted(rows: Iterable[Placed], config: CorpusConfig) -> Iterator[Placed]:
    """Yield rows with their pages extracted. At most a batch is held."""
    held: list[Placed] = []
    size = 0
    for name, row in rows:
        row = _judged_by_address(row)
        held.append((name, row))
        size += len(row.page.html) if row.page else len(row.text)
        if len(held) >= BATCH_PAGES or size >= BATCH_BYTES:
            yield from _extract(held, config)
            held, size = [], 0
    yield from _extract(held, config)


def _judged_by_address(row: Row) -> Row:
    if row.page is None or not row.page.crawled:
        return row
    verdict = judge_url(str(row.fields.get("url", "")))
    return replace(row, page=None, verdict=verdict) if verdict else row


def _extract(held: Sequence[Placed], config: CorpusConfig) -> Iterator[Placed]:
    pages = [row.page for _, row in held if row.page is not None]
    outcomes = iter(_outcomes(pages, config))
    for name, row in held:
        yield name, row if row.page is None else _with_text(row, next(outcomes))


def _with_text(row: Row, outcome: _Outcome) -> Row:
    stated = {"extractor": outcome.extractor, "licence": outcome.licence, "language": outcome.language}
    fields = row.fields | {name: value for name, value in stated.items() if value}
    return Row(row.position, outcome.text, fields, verdict=outcome.verdict)


@dataclass(frozen=True)
class _Outcome:
    """``text`` is the best there is, also where ``verdict`` says why the page goes. ``language`` is known where that
    is the reason; ``extractor`` is "fast" or "careful"."""

    text: str
    licence: str
    extractor: str = ""
    language: str = ""
    verdict: Verdict | None = None


def _outcomes(pages: Sequence[Page], config: CorpusConfig) -> list[_Outcome]:
    """Return what becomes of every page: fast text, gates, careful text, the better of both."""
    fast = _ask(fast_pages, pages, config.extract)
    outcomes = [_first(page, each) for page, each in zip(pages, fast, strict=True)]
    judged = [row for row, each in enumerate(outcomes) if each.verdict is None and pages[row].crawled]
    stopped = stopped_texts([outcomes[row].text for row in judged], config) if judged else []
    for row, why in zip(judged, stopped, strict=True):
        if why is not None:
            outcomes[row] = replace(outcomes[row], language=why[0], verdict=why[1])
    going = [row for row, each in enumerate(outcomes) if each.verdict is None and _is_looked_at(pages[row], config)]
    careful = _ask(careful_pages, [pages[row] for row in going], config.extract)
    for row, found in zip(going, careful, strict=True):
        text, name = better(outcomes[row].text, found.text, config.extract.agreement)
        outcomes[row] = replace(outcomes[row], text=text, extractor=name, verdict=found.verdict)
    return outcomes


def _first(page: Page, found: Found) -> _Outcome:
    verdict = found.verdict
    if verdict is None and not found.text:
        verdict = Verdict(STEP, "empty page", f"{len(page.html)} bytes without text")
    return _Outcome(found.text, found.licence, "fast" if found.text else "", verdict=verdict)


def _is_looked_at(page: Page, config: CorpusConfig) -> bool:
    return config.extract.careful and len(page.html) <= MAX_CAREFUL_BYTES


def _ask(work: Work, pages: Sequence[Page], limits: ExtractConfig) -> list[Found]:
    """Return what ``work`` finds in every page; where the child dies, the page it was on runs alone, to die by
    itself."""
    if not pages:
        return []
    try:
        timeout = limits.seconds * _PATIENCE * (1 + len(pages) / BATCH_PAGES)
        return _child(limits.memory_mib).call(work, pages, limits.seconds, timeout=timeout)
    except ChildError as error:
        if error.cause == "raised":
            raise  # a defect of ours: what a page may raise, the child catches
        if len(pages) == 1:
            return [Found("", verdict=_verdict(error, limits))]
        named = _IN_WORK.findall(error.words)
        at = min(int(named[-1]), len(pages) - 1) if named else len(pages) // 2
        # without a name, halves: each is smaller than the whole, so this ends
        cuts = [pages[:at], pages[at : at + 1], pages[at + 1 :]]
        return [found for part in cuts for found in _ask(work, part, limits)]


def _verdict(error: ChildError, limits: ExtractConfig) -> Verdict:
    if error.cause == "time" or "SIGPROF" in error.why:
        return Verdict(STEP, "extraction out of time", f"more than {limits.seconds:g} s")
    if error.cause == "memory":
        return Verdict(STEP, "extraction out of memory", f"more than {limits.memory_mib} MiB")
    return Verdict(STEP, "extraction crashed", error.why)


@functools.cache
def _child(memory_mib: int) -> LimitedChild:
    """Return this process's child for pages; it lives until the process ends."""
    for package in ("resiliparse", "trafilatura"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, "data", "reading web pages")
    child = LimitedChild(memory_mib=memory_mib, recycle_after=_RECYCLE_AFTER, imports=IMPORTS)
    atexit.register(child.close)
    return child
