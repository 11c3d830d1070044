"""The chapters about a corpus: its funnel, what became of each language and source, and what was dropped.

Input: ``CorpusFiles``. Output: ``Section``s; all but the first two only where there is something to tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from smolforge.corpus.fates import KEPT, Fate, Passage, count_by, fates, passages
from smolforge.corpus.funnel import BYTES_PER_TOKEN
from smolforge.corpus.split import HELD_OUT_STEP
from smolforge.recipe.report.blocks import Cell, Chart, Excerpt, Fold, Section, Table, count, percent, size
from smolforge.recipe.report.corpus_files import CorpusFiles
from smolforge.recipe.report.scales import number
from smolforge.recipe.report.stacked import Part, Stack, stacked_chart

NO_CORPUS = "The recipe has no corpus stage."
_SHOWN = 20  # rows of a chart
_STEP_COLOURS = (1, 3, 6, 5, 7)
_KEPT_COLOUR, _HELD_OUT_COLOUR, _OTHER_COLOUR = 2, 0, 4
_LANGUAGE_COLOURS = (0, 1, 2, 3, 5, 6, 7)


def funnel_section(files: CorpusFiles) -> Section:
    """Documents, bytes and tokens from step to step."""
    section = Section("funnel", "Documents", NO_CORPUS)
    steps = passages(files.funnel)
    if not steps:
        return section
    documents = [
        Stack(_words(step.step), _parts(step.step, step.documents, step.stopped), f"{step.documents:,}")
        for step in steps
    ]
    section.add(_summary(files.funnel))
    section.add(Chart(stacked_chart(documents, x_label="documents"), "What each step let pass, and what it stopped."))
    volume = [Stack(_words(step.step), _volume(step), _sizes(step)) for step in steps]
    caption = f"The same in bytes; cut: taken out of documents that went on. Tokens are bytes / {BYTES_PER_TOKEN}."
    section.add(Chart(stacked_chart(volume, x_label="bytes of text"), caption))
    heads = ["step", "documents in", "stopped", "left", "bytes stopped", "cut", "left", "tokens, about"]
    cells = [
        [Cell(_words(step.step)), count(step.documents + step.stopped), count(step.stopped), count(step.documents),
         size(step.stopped_bytes), size(step.cut_bytes), size(step.bytes), Cell(number(step.tokens), "number")]
        for step in steps
    ]  # fmt: skip
    return section.add(Fold("The steps as a table", [Table(heads, cells)]))


def _summary(rows: Sequence[dict[str, Any]]) -> Table:
    ends = fates(rows)
    name = lambda end: "dropped" if end.is_dropped else _words(end.step)  # noqa: E731
    documents, volume = count_by(ends, name), count_by(ends, name, bytes_too=True)
    total = documents.total() or 1
    cells = [
        [Cell(table), count(documents[table]), percent(documents[table] / total), size(volume[table]),
         Cell(number(volume[table] / BYTES_PER_TOKEN), "number")]
        for table in (KEPT, _words(HELD_OUT_STEP), "dropped")
    ]  # fmt: skip
    heads = ["table", "documents", "% of documents", "text", "tokens, about"]
    return Table(heads, cells, f"Every one of the {documents.total():,} documents read is in exactly one table.")


def _parts(step: str, passed: float, stopped: float) -> list[Part]:
    put_aside = Part("held out", stopped, _HELD_OUT_COLOUR) if step == HELD_OUT_STEP else Part("stopped", stopped, 1)
    return [Part("passed", passed, _KEPT_COLOUR), put_aside]


def _volume(step: Passage) -> list[Part]:
    return [*_parts(step.step, step.bytes, step.stopped_bytes), Part("cut", step.cut_bytes, 3)]


def _sizes(step: Passage) -> str:
    return f"{size(step.bytes).text} · {number(step.tokens)} tokens"


def languages_section(files: CorpusFiles) -> Section:
    """What became of each language's documents."""
    section = Section("languages", "Languages", NO_CORPUS)
    return section.add(*_by(files, lambda end: end.language or "not known", "language"))


def sources_section(files: CorpusFiles) -> Section:
    """What became of each source's documents, with versions, licences and what was left out while reading."""
    section = Section("sources", "Sources and licences", NO_CORPUS)
    rows = []
    for row in files.sources:
        name, version = Cell(str(row.get("name", "?"))), Cell(str(row.get("version") or "–"))
        licence = Cell(str(row.get("licence") or "unknown"), "text" if row.get("licence") else "bad")
        rows.append([name, version, licence, count(row.get("documents")), size(row.get("bytes"))])
    section.add(Table(["source", "version", "licence", "documents", "size"], rows))
    return section.add(*_by(files, lambda end: end.source, "source"))


def _by(files: CorpusFiles, key: Callable[[Fate], str], what: str) -> list[Chart | Table]:
    """A bar and a row for each language or source, the largest first."""
    ends = fates(files.funnel)
    volume, read = count_by(ends, key, bytes_too=True), count_by(ends, key)
    documents = count_by(ends, lambda end: (key(end), end.step))
    sizes = count_by(ends, lambda end: (key(end), end.step), bytes_too=True)
    order = [name for name, _ in volume.most_common(_SHOWN)]
    colours = _colours(ends)
    stacks = [Stack(name, _fate_parts(name, documents, colours), f"{read[name]:,}") for name in order]
    rows = [
        [Cell(name, "code"), count(read[name]), count(documents[name, KEPT]), size(sizes[name, KEPT]),
         Cell(number(sizes[name, KEPT] / BYTES_PER_TOKEN), "number"), count(documents[name, HELD_OUT_STEP]),
         size(sizes[name, HELD_OUT_STEP])]
        for name in order
    ]  # fmt: skip
    heads = [what, "documents read", "kept", "text kept", "tokens, about", "held out", "text held out"]
    more = len(volume) - len(order)
    note = f"The {len(order)} with the most text; {more} more are in funnel.json." if more else ""
    caption = f"What became of each {what}'s documents; how many there were stands behind the bar."
    return [Chart(stacked_chart(stacks, x_label="% of documents", shares=True), caption), Table(heads, rows, note)]


def _colours(ends: Sequence[Fate]) -> dict[str, int]:
    """Give the steps that dropped most a colour of their own."""
    dropped = count_by([end for end in ends if end.is_dropped], lambda end: end.step)
    named = {KEPT: _KEPT_COLOUR, HELD_OUT_STEP: _HELD_OUT_COLOUR}
    return named | dict(zip((step for step, _ in dropped.most_common()), _STEP_COLOURS, strict=False))


def _fate_parts(name: str, documents: Counter[Any], colours: dict[str, int]) -> list[Part]:
    own = {step: amount for (of, step), amount in documents.items() if of == name}
    parts = [Part(_words(step), own.get(step, 0), colour) for step, colour in colours.items()]
    others = sum(amount for step, amount in own.items() if step not in colours)
    return [*parts, Part("other steps", others, _OTHER_COLOUR)]


def dropped_section(files: CorpusFiles) -> Section:
    """What each rule dropped, with samples of the text."""
    section = Section("dropped", "What was dropped", NO_CORPUS)
    ends = [end for end in fates(files.funnel) if end.is_dropped]
    if not ends:
        return section
    reasons = count_by(ends, lambda end: (end.step, end.reason))
    spoken = count_by(ends, lambda end: end.language or "not known")
    colours = dict(zip((language for language, _ in spoken.most_common()), _LANGUAGE_COLOURS, strict=False))
    by_language = count_by(ends, lambda end: (end.step, end.reason, end.language or "not known"))
    stacks = [
        Stack(_reason(step, reason), _spoken(step, reason, by_language, colours), f"{amount:,}")
        for (step, reason), amount in reasons.most_common(_SHOWN)
    ]
    section.add(Chart(stacked_chart(stacks, x_label="documents"), "Why documents were dropped, by language."))
    section.add(*(_samples(key, amount, files) for key, amount in reasons.most_common() if key in files.dropped))
    return section


def _spoken(step: str, reason: str, by_language: Counter[Any], colours: dict[str, int]) -> list[Part]:
    own = {language: n for (of, why, language), n in by_language.items() if (of, why) == (step, reason)}
    parts = [Part(language, own.get(language, 0), colour) for language, colour in colours.items()]
    others = sum(amount for language, amount in own.items() if language not in colours)
    return [*parts, Part("others", others, _OTHER_COLOUR)]


def _samples(key: tuple[str, str], amount: int, files: CorpusFiles) -> Fold:
    shown = [
        Excerpt(f"{row['url']} · {row['source']} · {row['language'] or 'language not known'} · {row['doc_id']}",
                row["detail"], row["text"])
        for row in files.dropped[key]
    ]  # fmt: skip
    return Fold(f"{_reason(*key)} — {len(shown)} of {amount:,}", shown)


def _reason(step: str, reason: str) -> str:
    return f"{_words(step)}: {reason}"


def _words(step: str) -> str:
    return step.replace("_", " ")
