"""The chapters about training and cost: loss curves, the learning rate, and time and energy of every stage.

Input: ``Gathered``. Output: ``Section``s.
"""

from __future__ import annotations

from typing import Any

from smolforge.recipe.report.blocks import Cell, Chart, Note, Section, Table, count, fixed, num, seconds, size
from smolforge.recipe.report.charts import Bar, Line, Mark, bar_chart, line_chart
from smolforge.recipe.report.gather import Gathered


def training_section(run: Gathered) -> Section:
    """Loss and learning rate of all training stages over one axis of tokens."""
    section = Section("training", "Training", "The recipe has no training stage.")
    if not run.logs:
        return section
    losses, rates, marks = _curves(run.logs)
    caption = "Mean loss per logged stretch. Preference tuning has another kind of loss: compare it with itself only."
    tokens = "tokens trained on"
    chart = line_chart(losses, x_label=tokens, y_label="loss (nats per token)", log_y=True, marks=marks)
    section.add(Chart(chart, caption))
    chart = line_chart(rates, x_label=tokens, y_label="learning rate", marks=marks, height=250)
    section.add(Chart(chart, "Learning rate of each stage's schedule."))
    return section.add(_stage_table(run))


def _curves(logs: dict[str, list[dict[str, Any]]]) -> tuple[list[Line], list[Line], list[Mark]]:
    """Lay the stages end to end: tokens of a stage are counted from the end of the stage before."""
    losses, rates, marks = [], [], []
    before = 0.0
    for colour, (stage, rows) in enumerate(logs.items()):
        xs = [before + row["tokens"] for row in rows]
        losses.append(Line(stage, xs, [row["loss"] for row in rows], colour))
        rates.append(Line(stage, xs, [row["lr"] for row in rows], colour))
        marks += _marks(stage, rows, before)
        before = xs[-1]
    return losses, rates, marks


def _marks(stage: str, rows: list[dict[str, Any]], before: float) -> list[Mark]:
    """Mark where the stage begins and where each later phase of it does."""
    marks, phase, start = [Mark(before, stage, strong=True)], rows[0].get("phase"), before
    for row in rows:
        if row.get("phase") != phase:
            phase = row.get("phase")
            marks.append(Mark(start, str(phase)))
        start = before + row["tokens"]
    return marks


def _stage_table(run: Gathered) -> Table:
    rows = []
    for stage, log in run.logs.items():
        last = log[-1]
        speed = last["tokens"] / last["seconds"] if last["seconds"] else None
        phases = ", ".join(dict.fromkeys(str(row.get("phase")) for row in log))
        cells = [count(last["step"]), num(last["tokens"]), fixed(last["loss"], 3), num(speed), seconds(last["seconds"])]
        rows.append([Cell(stage, "code"), Cell(phases), *cells])
    return Table(["stage", "phases", "steps", "tokens", "last loss", "tokens/s", "time"], rows)


def cost_section(run: Gathered) -> Section:
    """Wall time, processor time, memory and energy of every stage."""
    section = Section("cost", "Time and energy", "No stage has finished.")
    costs = {stage: run.cost(stage) for stage in run.stages}
    bars = [Bar(stage, cost["wall_s"], colour=0) for stage, cost in costs.items() if "wall_s" in cost]
    section.add(Chart(bar_chart([("", bars)], x_label="seconds"), "Wall time of each stage."))
    rows = [_cost_row(Cell(stage, "code"), cost) for stage, cost in costs.items()]
    if rows:
        keys = ("wall_s", "cpu_s", "energy_j")
        total: dict[str, Any] = {key: sum(cost.get(key) or 0.0 for cost in costs.values()) for key in keys}
        peaks = [cost["peak_rss_bytes"] for cost in costs.values() if cost.get("peak_rss_bytes")]
        rows.append(_cost_row(Cell("all stages"), total | {"peak_rss_bytes": max(peaks, default=None)}))
    section.add(Table(["stage", "wall", "CPU", "peak memory", "energy (kJ)", "energy (Wh)"], rows))
    methods = dict.fromkeys(str(cost["energy_method"]) for cost in costs.values() if cost.get("energy_method"))
    return section.add(*(Note(f"Energy: {method}.") for method in methods))


def _cost_row(name: Cell, cost: dict[str, Any]) -> list[Cell]:
    joules = cost.get("energy_j")
    energy = [num(None if joules is None else joules / unit) for unit in (1000.0, 3600.0)]
    return [name, seconds(cost.get("wall_s")), seconds(cost.get("cpu_s")), size(cost.get("peak_rss_bytes")), *energy]
