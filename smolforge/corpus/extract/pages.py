"""Pages become texts: batches of them go to a child with limits, and a page that kills it costs that page only.

Input: rows with pages among them. Output: the same rows in the same order, with text or with why there is none.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Verdict
from smolforge.corpus.engine.child import ChildError, LimitedChild
from smolforge.corpus.extract.one_page import IMPORTS, MARK, Outcome, Settings, extract_pages
from smolforge.corpus.extract.urls import STEP, judge_url
from smolforge.corpus.rows import Page, Row
from smolforge.errors import MissingDependencyError

BATCH_PAGES = 64
BATCH_BYTES = 4 << 20
_RECYCLE_AFTER = 200  # batches; what the parsers leak stays bounded
_PATIENCE = 20  # times a page's processor time that a batch may take on the clock, on a busy machine
_IN_WORK = re.compile(rf"^{MARK}(\d+)$", re.MULTILINE)
Placed = tuple[str, Row]  # the row's file beside it


def extracted(rows: Iterable[Placed], config: CorpusConfig) -> Iterator[Placed]:
    """Yield rows with their pages extracted. At most a batch is held."""
    settings = Settings(config.extract, config.language, config.languages)
    held: list[Placed] = []
    size = 0
    for name, row in rows:
        row = _judged_by_address(row)
        held.append((name, row))
        size += len(row.page.html) if row.page else len(row.text)
        if len(held) >= BATCH_PAGES or size >= BATCH_BYTES:
            yield from _extract(held, settings)
            held, size = [], 0
    yield from _extract(held, settings)


def _judged_by_address(row: Row) -> Row:
    if row.page is None or not row.page.crawled:
        return row
    verdict = judge_url(str(row.fields.get("url", "")))
    return replace(row, page=None, verdict=verdict) if verdict else row


def _extract(held: Sequence[Placed], settings: Settings) -> Iterator[Placed]:
    pages = [row.page for _, row in held if row.page is not None]
    outcomes = iter(_outcomes(pages, settings))
    for name, row in held:
        yield name, row if row.page is None else _with_text(row, next(outcomes))


def _with_text(row: Row, outcome: Outcome) -> Row:
    fields = row.fields | ({"extractor": outcome.extractor} if outcome.extractor else {})
    fields |= {"licence": outcome.licence} if outcome.licence else {}
    fields |= {"language": outcome.language} if outcome.language else {}
    return Row(row.position, outcome.text, fields, verdict=outcome.verdict)


def _outcomes(pages: Sequence[Page], settings: Settings) -> list[Outcome]:
    """Return the outcome of every page; where the child dies, the page it was on runs alone, to die by itself."""
    if not pages:
        return []
    limits = settings.extract
    try:
        timeout = limits.seconds * _PATIENCE * (1 + len(pages) / BATCH_PAGES)
        return _child(limits.memory_mib).call(extract_pages, pages, settings, timeout=timeout)
    except ChildError as error:
        if error.cause == "raised":
            raise  # a defect of ours: what a page may raise, the child catches
        if len(pages) == 1:
            return [Outcome("", verdict=_verdict(error, settings))]
        named = _IN_WORK.findall(error.words)
        at = min(int(named[-1]), len(pages) - 1) if named else len(pages) // 2
        # without a name, halves: each is smaller than the whole, so this ends
        cuts = [pages[:at], pages[at : at + 1], pages[at + 1 :]]
        return [outcome for part in cuts for outcome in _outcomes(part, settings)]


def _verdict(error: ChildError, settings: Settings) -> Verdict:
    if error.cause == "time" or "SIGPROF" in error.why:
        return Verdict(STEP, "extraction out of time", f"more than {settings.extract.seconds:g} s")
    if error.cause == "memory":
        return Verdict(STEP, "extraction out of memory", f"more than {settings.extract.memory_mib} MiB")
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
