"""The mixture plan as a page of text: a table for each phase, with bars, and the sources that are read most.

Input is a ``MixturePlan``; output is lines. A bar is a source's share of its phase; a second one, its epochs so far
against four, which is about what repeating is worth.
"""

from __future__ import annotations

from itertools import groupby

from smolforge.recipe.quantities import quantity
from smolforge.tokens.mixture_plan import WORTHWHILE_EPOCHS, MixturePlan, SourceDemand

_EIGHTHS = " ▏▎▍▌▋▊▉"
_SHARE_CELLS, _EPOCH_CELLS = 20, 8
MOST_READ = 8


def bar(value: float, full: float, cells: int) -> str:
    """Return ``value`` of ``full`` as blocks; what is beyond ``full`` ends in an arrow."""
    if value > full * (1 + 1e-9):
        return "█" * (cells - 1) + "▶"
    eighths = round(8 * cells * value / full)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).strip() or ("▏" if value > 0 else "")


def render(plan: MixturePlan, origin: str) -> str:
    """Return the whole page. ``origin``: where sizes come from (``counted``, ``stated``, ``unknown``)."""
    said = {
        "counted": "tokens there were counted by the tokenize stage",
        "stated": "tokens there are as the recipe states them; a dash is a source nobody has counted",
        "unknown": "nothing is counted or stated yet: run the recipe up to tokenize, or state plan.tokens",
    }[origin]
    lines = [said]
    for (stage, phase), group in groupby(plan.rows, key=lambda row: (row.stage, row.phase)):
        rows = sorted(group, key=lambda row: -row.share)
        total = sum(row.wanted for row in rows)
        width = max(24, *(len(row.source) for row in rows))
        lines += [
            "",
            f"{stage} · {phase}: {quantity(total)} tokens from {len(rows)} source{'s' if rows[1:] else ''}",
            f"  {'source':<{width}}{'share':>8}{'wanted':>10}{'there':>10}{'epochs':>8}{'in all':>8}{'cap':>6}",
        ]
        lines += [_line(row, width, max(each.share for each in rows)) for row in rows]
    for title, found in (("notes", plan.notes), ("problems", plan.problems)):
        if found:
            lines += ["", f"{title}:", *(f"  - {line}" for line in found)]
    return "\n".join(lines)


def _line(row: SourceDemand, width: int, largest: float) -> str:
    there = "–" if row.there is None else quantity(row.there)
    cap = "" if row.cap is None else f"{row.cap:g}"
    shown = (
        f"{row.share:>8.2%}{quantity(row.wanted):>10}{there:>10}{_times(row.epochs):>8}{_times(row.epochs_so_far):>8}"
    )
    epochs = "" if row.epochs_so_far is None else bar(row.epochs_so_far, WORTHWHILE_EPOCHS, _EPOCH_CELLS)
    shares = bar(row.share, largest, _SHARE_CELLS)
    return f"  {row.source:<{width}}{shown}{cap:>6}  {shares:<{_SHARE_CELLS}}  {epochs}".rstrip()


def _times(epochs: float | None) -> str:
    if epochs is None:
        return "–"
    return f"{epochs:.2f}" if epochs < 10 else f"{epochs:.0f}"


def most_read(plan: MixturePlan) -> list[str]:
    """Return a line for each of the sources read most often over the whole run; none where nothing is counted."""
    last = {row.source: row for row in plan.rows if row.epochs_so_far is not None}
    ranked = sorted(last.values(), key=lambda row: -(row.epochs_so_far or 0))[:MOST_READ]
    return [
        f"  {row.source:<26}{quantity(row.there or 0):>11}{_times(row.epochs_so_far):>9} times  "
        + bar(row.epochs_so_far or 0, WORTHWHILE_EPOCHS, _EPOCH_CELLS)
        for row in ranked
    ]
