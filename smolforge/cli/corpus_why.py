"""`smolforge corpus why`: one document's whole history, from where it was read to the table it ended in."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smolforge.cli.columns import beside, cells, wrapped

if TYPE_CHECKING:
    from smolforge.corpus.history.compare import Run
    from smolforge.corpus.history.document import Judgement
    from smolforge.corpus.history.explain import Explanation, Partner

_WIDEST = 150
_LIMITS, _COPIES = 12, 10  # shown without --all
_LABEL = 12


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verb's arguments."""
    parser.add_argument("document", metavar="DOC_ID|URL", help="an id, the beginning of one, or an address")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--run", dest="of_run", type=Path, metavar="FOLDER", help="a run's folder, e.g. runs/nano (the newest run)"
    )
    chosen.add_argument("--corpus", type=Path, metavar="FOLDER", help="the folder of a finished corpus")
    parser.add_argument("--all", action="store_true", help="every measure and every copy, not only the nearest")
    parser.add_argument("--json", action="store_true", help="the history as JSON")


def run(options: argparse.Namespace) -> int:
    """Find the document and tell."""
    from smolforge.cli.corpus_folder import chosen_corpus
    from smolforge.corpus.history.explain import explain
    from smolforge.corpus.history.lookup import find
    from smolforge.printable import printable

    folder = chosen_corpus(options)
    told = explain(folder, find(folder, options.document).doc_id)
    if options.json:
        print(json.dumps(told.as_json(), indent=2, ensure_ascii=False))
        return 0
    width = min(shutil.get_terminal_size((100, 24)).columns, _WIDEST)
    print(printable(render(told, width, everything=options.all)))
    return 0


def render(told: Explanation, width: int, everything: bool = False) -> str:
    """Return the history as text of at most ``width`` cells a line."""
    parts = [_head(told, width), _steps(told, width)]
    if told.partner is not None:
        parts.append(_partner(told.partner, width))
    parts += [_copies(told, everything), _measures(told, everything)]
    return "\n\n".join(part for part in parts if part)


def _head(told: Explanation, width: int) -> str:
    from smolforge.cli.table import size_text

    history, measures = told.history, told.history.measures
    licence = told.document.licence if told.document else ""
    meta = {name: value for name, value in (told.document.meta if told.document else {}).items() if name != "profile"}
    stop = "" if history.table == "kept" else f" by {history.judgements[-1].step}"
    facts = {
        "document": history.doc_id,
        "read from": f"{history.url}, source {history.source}, licence {licence or 'unknown'}",
        "read as": _said(meta),
        "text": f"{measures.get('characters', 0):,} characters, {size_text(measures.get('bytes', 0))}",
        "language": _language(told),
        "scores": _scores(measures),
        "changed": _changes(history.changes),
        "ended in": f"{history.table}{stop}",
        "begins": told.excerpt,
    }
    return "\n".join(_fact(name, text, width) for name, text in facts.items() if text)


def _fact(name: str, text: str, width: int) -> str:
    lines = list(wrapped(text.strip(), width - _LABEL))
    return "\n".join(f"{name if at == 0 else '':<{_LABEL}}{line}" for at, line in enumerate(lines[:6])).rstrip()


def _said(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value}"
        for name, value in values.items()
        if name not in ("masked", "boilerplate_lines", "repeated_passages", "lines_by_rule")
    )


def _language(told: Explanation) -> str:
    measures = told.history.measures
    parts = [str(measures.get("label") or "unknown")]
    for measure, name in (("confidence", "confidence"), ("script_share", "share of its script")):
        if (value := measures.get(measure)) is not None:
            floor = f" (at least {told.floors[measure]:g})" if measure in told.floors else ""
            parts.append(f"{name} {value:.3g}{floor}")
    declared = measures.get("declared")
    return ", ".join(parts) + (f", declared as {declared}" if declared else "")


def _scores(measures: dict[str, Any]) -> str:
    found = ((name, measures.get(name)) for name in ("quality", "toxicity"))
    return ", ".join(f"{name} {value:.3g}" for name, value in found if value is not None)


def _changes(changes: dict[str, Any]) -> str:
    masked = ", ".join(f"{count} {kind}" for kind, count in changes.get("masked", {}).items())
    by_rule = ", ".join(f"{count} {rule}" for rule, count in changes.get("lines_by_rule", {}).items())
    said = {
        "boilerplate lines cut": changes.get("boilerplate_lines"),
        "repeated passages cut": changes.get("repeated_passages"),
        "lines cut by rule": by_rule,
        "masked": masked,
    }
    return "; ".join(f"{name}: {value}" for name, value in said.items() if value)


def _steps(told: Explanation, width: int) -> str:
    longest = max(len(judgement.step) for judgement in told.history.judgements)
    return "\n".join(_step(judgement, longest, width) for judgement in told.history.judgements)


def _step(judgement: Judgement, longest: int, width: int) -> str:
    mark = "passed" if judgement.passed else "STOPPED"
    said = ": ".join(part for part in (judgement.reason, judgement.detail) if part)
    lines = list(wrapped(said, width - longest - 13))
    behind = "\n".join(f"{'':<{longest + 13}}{line}" for line in lines[1:])
    return f"  {judgement.step:<{longest}}  {mark:<7}  {lines[0]}".rstrip() + (f"\n{behind}" if behind else "")


def _partner(partner: Partner, width: int) -> str:
    score = "" if partner.score is None else f", {100 * partner.score:.1f}% of this text stands there"
    where = f" ({partner.table})" if partner.table else ", a document of a saved index"
    title = f"Stays instead: {partner.doc_id}{where}{score}\n  {partner.url}".rstrip()
    if partner.comparison is None:
        return title
    found = partner.comparison
    note = "Differences are in ⟦brackets⟧." if found.differs else "No word of this text is missing there."
    columns = beside(f"KEPT\n{_marked(found.kept)}", f"REMOVED\n{_marked(found.removed)}", width)
    return f"{title}\n{note}\n\n{columns}"


def _marked(runs: Sequence[Run]) -> str:
    return "".join(f"⟦{run.text.strip()}⟧ " if run.differs and run.text.strip() else run.text for run in runs)


def _copies(told: Explanation, everything: bool) -> str:
    copies = told.history.copies
    if not copies:
        return ""
    shown = copies if everything else copies[:_COPIES]
    lines = [f"  {score:.3f}  {doc_id}  {told.copies.get(doc_id, '')}".rstrip() for doc_id, score in shown]
    more = [f"  and {len(copies) - len(shown)} more (--all)"] if len(shown) < len(copies) else []
    return "\n".join([f"Dropped because this one has their text: {len(copies)}", *lines, *more])


def _measures(told: Explanation, everything: bool) -> str:
    if not told.limits:
        return ""
    shown = told.limits if everything else told.limits[: max(_LIMITS, sum(row.broken for row in told.limits))]
    rows = [
        ["  " + row.feature, f"{row.value:.4g}", _number(row.low), _number(row.high), "BROKEN" if row.broken else "",
         row.meaning]
        for row in shown
    ]  # fmt: skip
    left = len(told.limits) - len(shown)
    more = f"\n  and {left} that lie farther from their limits (--all)" if left else ""
    title = f"Measures against the limits of '{told.profile}', the nearest first"
    return "\n".join([title, *_table(rows)]) + more


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    every = [["  measure", "value", "least", "most", "", "what it is"], *rows]
    widths = [max(cells(row[at]) for row in every) for at in range(len(every[0]))]
    for row in every:
        aligned = (
            word.rjust(width) if at in (1, 2, 3) else word.ljust(width)
            for at, (word, width) in enumerate(zip(row, widths, strict=True))
        )  # fmt: skip
        yield "  ".join(aligned).rstrip()


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"
