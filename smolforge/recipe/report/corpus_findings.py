"""The chapters about what was found in a corpus: duplicates side by side, personal data, benchmarks, problems.

Input: ``CorpusFiles``. Output: ``Section``s, without blocks where there is nothing to tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from smolforge.corpus.fates import masked
from smolforge.corpus.history.compare import compare
from smolforge.corpus.history.document import Cluster
from smolforge.recipe.report.blocks import (
    Block,
    Cell,
    Chart,
    Excerpt,
    Fold,
    Note,
    Pair,
    Section,
    Table,
    count,
    fixed,
    percent,
)
from smolforge.recipe.report.charts import SERIES_COLOURS, Bar, bar_chart
from smolforge.recipe.report.corpus_files import EXACT, CorpusFiles
from smolforge.recipe.report.stacked import Part, Stack, stacked_chart

_NOTHING = "Nothing was found."
_BEGINNING = 300  # characters of a text that is shown once for all its copies
_PROBLEMS = 100  # listed of each source
_MADE = {"kept": 2}  # colours that are not drawn in turn


def duplicates_section(files: CorpusFiles) -> Section:
    """Documents that stay beside those dropped for them."""
    section = Section("duplicates", "Duplicates", _NOTHING)
    if not files.duplicates:
        return section
    shown = f"The largest groups of copies, up to {files.members} copies of each: near duplicates, then exact ones. "
    section.add(
        Note(shown + "A score is the share of the removed text that stands in the kept one; what differs is marked.")
    )
    return section.add(*(_cluster(each, files) for each in files.duplicates))


def _cluster(cluster: Cluster, files: CorpusFiles) -> Fold:
    kept = files.texts.get(cluster.kept)
    name = kept.url if kept else f"{cluster.kept} (in a saved index)"
    steps = Counter(step for _, step, _ in cluster.dropped)
    kinds = ", ".join(step.replace("_", " ") for step in steps)
    many = f"{cluster.size:,} copies" if cluster.size > 1 else "1 copy"
    return Fold(f"{many} of {name} — {kinds}", list(_copies(cluster, files)))


def _copies(cluster: Cluster, files: CorpusFiles) -> Iterator[Block]:
    kept = files.texts.get(cluster.kept)
    same = []
    for doc_id, step, score in cluster.dropped:
        removed = files.texts.get(doc_id)
        if step == EXACT or kept is None or removed is None:
            same.append([Cell(removed.url if removed else "?"), Cell(doc_id, "code"), fixed(score, 3)])
            continue
        found = compare(kept.text, removed.text)
        note = f"score {score:.3f}" + ("" if found.differs else ": no word of it is missing in the kept text")
        left, right = ([(run.text, run.differs) for run in runs] for runs in (found.kept, found.removed))
        titles = f"kept: {kept.url} · {kept.doc_id}", f"removed: {removed.url} · {doc_id}"
        yield Pair(titles, left, right, note)
    if same:
        if kept is not None:
            yield Excerpt(f"kept: {kept.url} · {kept.doc_id}", "", kept.text[:_BEGINNING])
        yield Table(["the same text, removed", "id", "score"], same)
    if (more := cluster.size - len(cluster.dropped)) > 0:
        yield Note(f"And {more:,} more: smolforge corpus why {cluster.kept} --all")


def personal_section(files: CorpusFiles) -> Section:
    """What was masked in the documents that stay, by kind and language."""
    section = Section("personal", "Personal data", _NOTHING)
    found = masked(files.funnel)
    if not found:
        return section
    languages = [name for name, _ in sum(found.values(), Counter[str]()).most_common()]
    section.add(Note("Masked in documents that stay. Dropped documents, and the samples of them here, are not masked."))
    rows = [
        [Cell(kind, "code"), count(counts.total()), *(count(counts[name]) for name in languages)]
        for kind, counts in found.items()
    ]
    return section.add(Table(["kind", "all", *(name or "not known" for name in languages)], rows))


def benchmarks_section(files: CorpusFiles) -> Section:
    """Items of benchmarks that were found, and how many documents held them."""
    section = Section("benchmarks", "Benchmarks found in the text", "No benchmarks were searched for.")
    rows = [
        [Cell(row["benchmark"], "code"), count(row["items"]), count(row["searchable"]), count(row["hit"]),
         percent(row["share_hit"]), count(row["documents"]), Cell(f"{100 * row['share_of_documents']:.3f}", "number")]
        for row in files.contamination or []
    ]  # fmt: skip
    heads = ["benchmark", "items", "findable", "found", "% found", "documents dropped for it", "% of documents"]
    return section.add(
        Table(heads, rows, "Items too short or too common to be told from ordinary text are not findable.")
    )


def problems_section(files: CorpusFiles) -> Section:
    """What could not be read, and where; what was left out while reading; what no process survived."""
    section = Section("problems", "Problems while reading", "Every file could be read.")
    for source in files.sources:
        problems = source.get("problems", [])
        rows = [[Cell(each["path"]), Cell(each["position"]), Cell(each["message"])] for each in problems[:_PROBLEMS]]
        if rows:
            shown = "" if len(problems) <= _PROBLEMS else f"; the first {_PROBLEMS} are shown, all are in sources.json"
            said = f"{source['name']}: {len(problems)} {'problem' if len(problems) == 1 else 'problems'}{shown}"
            section.add(Fold(said, [Table(["file", "where", "what"], rows)]))
    left = [
        [Cell(source["name"], "code"), Cell(what), count(amount)]
        for source in files.sources
        for what, amount in source.get("left_out", {}).items()
    ]
    section.add(Table(["source", "left out while reading", "how many"], left))
    lost = [[Cell(row["source"], "code"), Cell(row["url"]), Cell(row["detail"])] for row in files.poisoned]
    caption = "Poisoned rows: two processes in a row died of each. They are in the dropped table, without text."
    return section.add(Table(["source", "place", "what happened"], lost, caption))


def generated_section(report: Mapping[str, Any] | None) -> Section:
    """Generated sets: what was kept of each and which checks stopped the rest (``generated/report.json``)."""
    section = Section("generated", "Generated sets", "The recipe has no generated sets.")
    sets: dict[str, dict[str, Any]] = (report or {}).get("sets", {})
    if not sets:
        return section
    checks = list(dict.fromkeys(check for part in sets.values() for check in part["rejected"]))
    colours = {check: 3 + at % (SERIES_COLOURS - 3) for at, check in enumerate(checks)} | _MADE
    stacks = [
        Stack(f"{name} ({part['format']})", [Part(what, amount, colours[what]) for what, amount in
              {"kept": part["kept"], **part["rejected"]}.items()], f"{part['kept']:,} of {part['documents']:,} kept")
        for name, part in sorted(sets.items())
    ]  # fmt: skip
    faults = Counter[str]()
    for part in sets.values():
        faults.update(part["faults"])
    bars = [Bar(check, amount, colour=1) for check, amount in faults.most_common()]
    writer = (report or {}).get("generator", "the generator")
    caption = f"What was kept of what {writer} wrote, and the first check that failed."
    section.add(Chart(stacked_chart(stacks, x_label="% of samples", shares=True), caption))
    section.add(Chart(bar_chart([("", bars)], x_label="samples that failed a check"), "Every check that failed."))
    return section.add(*(_examples(name, part) for name, part in sorted(sets.items()) if part.get("examples")))


def _examples(name: str, part: Mapping[str, Any]) -> Fold:
    shown = [
        Excerpt(f"{outcome} · from {row['source']}", row.get("evidence", ""), row["text"])
        for outcome, rows in part["examples"].items()
        for row in rows
    ]
    return Fold(f"Examples of {name}", shown)
