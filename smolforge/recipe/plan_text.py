"""The plan as a page of text, for `smolforge plan` and `run --dry-run`."""

from __future__ import annotations

from smolforge.recipe.mixture_text import most_read
from smolforge.recipe.plan import Plan, StagePlan
from smolforge.recipe.quantities import duration, energy, quantity

BASE_STAGES = ("pretrain", "long_context")


def render(plan: Plan) -> str:
    """Return the plan as text: assumptions, a line per stage and phase, totals, notes, problems."""
    hardware = plan.assumptions
    lines = [
        f"plan of recipe '{plan.name}': {plan.parameters:,} parameters",
        f"reckoned with {hardware['accelerator']}: {hardware['peak_tflops']:g} TFLOP/s peak, "
        f"{hardware['mfu']:.1%} of it used (MFU), {hardware['watts']:g} W each",
        "",
        f"{'stage':<26}{'steps':>11}{'context':>9}{'batch':>9}{'tokens':>10}{'FLOPs':>10}"
        f"{'units':>7}{'GiB each':>10}{'time':>10}{'energy':>13}",
    ]
    for stage in plan.stages:
        lines += _stage_lines(stage)
    if all(name in {stage.name for stage in plan.stages if stage.phases} for name in BASE_STAGES):
        lines.append(_sum_line("pretrain + long_context", plan.total(BASE_STAGES)))
    lines.append(_sum_line("total", plan.total()))
    memory = {stage.name: stage.memory for stage in plan.stages if stage.memory}
    if memory:
        lines += ["", "memory per accelerator, GiB"]
        lines += [
            f"  {name:<14}" + ", ".join(f"{what} {size / 2**30:.2f}" for what, size in parts.items())
            for name, parts in memory.items()
        ]
    if reads := most_read(plan.mixture):
        lines += ["", "sources read most, over all stages ('smolforge corpus plan' shows every phase)", *reads]
    for title, found in (("notes", plan.notes), ("problems", plan.problems)):
        if found:
            lines += ["", f"{title}:", *(f"  - {line}" for line in found)]
    lines += ["", "nothing was run" if not plan.problems else f"{len(plan.problems)} problems; nothing was run"]
    return "\n".join(lines)


def _stage_lines(stage: StagePlan) -> list[str]:
    kept = ", finished" if stage.finished else ""
    if not stage.phases:
        return [f"{stage.name:<26}{'-':>11}{kept.removeprefix(', '):>9}"]
    several = len(stage.phases) > 1
    first = stage.phases[0]
    head = (
        f"{stage.name + kept:<26}{sum(p.steps for p in stage.phases):>11,}"
        f"{first.sequence_length if not several else '':>9}{quantity(first.batch_tokens):>9}"
        f"{quantity(stage.tokens):>10}{stage.flops:>10.2e}{stage.accelerators:>7}"
        f"{sum(stage.memory.values()) / 2**30:>10.1f}{duration(stage.days):>10}{energy(stage.energy_kwh):>13}"
    )
    rows = [
        f"  {p.name:<24}{p.steps:>11,}{p.sequence_length:>9}{quantity(p.batch_tokens):>9}{quantity(p.tokens):>10}"
        f"{p.flops:>10.2e}   theta {p.rope_theta:,.0f}"
        for p in stage.phases
    ]
    return [head, *(rows if several else [])]


def _sum_line(name: str, total: dict[str, float]) -> str:
    return (
        f"{name:<26}{'':>11}{'':>9}{'':>9}{quantity(total['tokens']):>10}{total['flops']:>10.2e}{'':>7}{'':>10}"
        f"{duration(total['days']):>10}{energy(total['energy_kwh']):>13}"
    )
