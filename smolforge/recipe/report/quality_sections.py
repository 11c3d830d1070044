"""The chapters about what the model can do: targets, function calls, thinking, needles, text, exports.

Input: ``Gathered`` and the flat metrics. Output: ``Section``s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smolforge.recipe.report.blocks import Cell, Chart, Note, Section, Table, count, fixed, num, percent, size
from smolforge.recipe.report.charts import Bar, Line, bar_chart, line_chart
from smolforge.recipe.report.config import Target
from smolforge.recipe.report.gather import Gathered
from smolforge.recipe.report.scales import number

DECODINGS = (("free", 0), ("constrained", 1))
SET_TITLES = {
    "commands_seen": "new sentences of trained templates",
    "commands_templates": "held-out templates",
    "commands_values": "slot values never trained",
}
NEEDLE_TITLES = {"within": "within the window", "beyond_plain": "beyond, as trained", "beyond_yarn": "beyond, YaRN"}


def targets_section(targets: Sequence[Target], figures: Mapping[str, float]) -> Section:
    """What was to be reached, what was reached."""
    section = Section("targets", "Targets", "The recipe states no targets.")
    rows = []
    for target in targets:
        sign, bound = target.bound
        value = figures.get(target.metric)
        verdict = Cell("not measured", "text")
        if value is not None:
            verdict = Cell("yes", "good") if target.reached(value) else Cell("no", "bad")
        name = Cell(target.label or target.metric, "text", target.metric)
        rows.append([name, Cell(f"{sign} {number(bound, 4)}", "number"), num(value, 4), verdict])
    return section.add(Table(["target", "asked", "measured", "reached"], rows))


def calls_section(run: Gathered) -> Section:
    """Exact match of whole calls per set, language and decoding, and what kinds of mistakes there are."""
    section = Section("calls", "Function calls", "No command set was evaluated.")
    if not run.call_sets:
        return section
    section.add(Note("Exact match of the whole call, in percent with 95% Wilson intervals. Constrained decoding can "
                     "only write legal calls, and copies free slots from the command."))  # fmt: skip
    groups = []
    for name, decodings in run.call_sets.items():
        bars = [_bar(d, decodings[d]["exact"], c) for d, c in DECODINGS if d in decodings]
        groups.append((SET_TITLES.get(name, name), bars))
    section.add(Chart(bar_chart(groups, x_label="exact match", limit=1.0, percent=True, names=DECODINGS)))
    section.add(_language_table(run.call_sets), *_set_tables(run.call_sets), _compared(run))
    missing = {name: row["unreachable"] for name, row in run.call_sets.items() if row.get("unreachable")}
    for name, items in missing.items():
        section.add(Note(f"{name}: the constraint cannot write the wanted call of {items} items."))
    return section


def _bar(label: str, share: Mapping[str, Any], colour: int) -> Bar:
    value = float("nan") if share["value"] is None else share["value"]
    return Bar(label, value, share["low"], share["high"], colour, f"of {share['count']}")


def _share(row: Mapping[str, Any] | None) -> Cell:
    return percent(row["value"], row["low"], row["high"]) if row else percent(None)


def _language_table(sets: Mapping[str, Mapping[str, Any]]) -> Table:
    columns = [(name, d) for name, decodings in sets.items() for d, _ in DECODINGS if d in decodings]
    languages = list(dict.fromkeys(lang for name, d in columns for lang in sets[name][d]["languages"]))
    rows = [
        [Cell(lang, "code"), *(_share(sets[name][d]["languages"].get(lang)) for name, d in columns)]
        for lang in languages
    ]
    rows.append([Cell("all"), *(_share(sets[name][d]["exact"]) for name, d in columns)])
    heads = ["language", *(f"{name.removeprefix('commands_')}, {d}" for name, d in columns)]
    return Table(heads, rows, "Exact match by language.")


def _set_tables(sets: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Return validity and mistakes: one row per set and decoding."""
    validity, mistakes = [], []
    kinds: list[str] = []
    for name, decodings in sets.items():
        for decoding, _ in DECODINGS:
            if decoding not in decodings:
                continue
            row = decodings[decoding]
            head = [Cell(name, "code"), Cell(decoding)]
            modes = [_share(row["mode_obeyed"].get(mode)) for mode in ("no_think", "think")]
            exact = [_share(row["modes"].get(mode)) for mode in ("no_think", "think")]
            tokens = fixed(row["tokens_per_answer"], 1)
            validity.append([*head, _share(row["json_parses"]), *modes, *exact, tokens])
            kinds = list(row["errors"])
            mistakes.append([*head, *(count(row["errors"][kind]) for kind in kinds)])
    heads = ["JSON parses", "no_think obeyed", "think obeyed", "exact in no_think", "exact in think", "tokens"]
    return [
        Table(["set", "decoding", *heads], validity, "Validity, mode, and both modes' exact match."),
        Table(["set", "decoding", *(k.replace("_", " ") for k in kinds)], mistakes, "The first thing that is wrong."),
    ]


def _compared(run: Gathered) -> Table:
    """Return free exact match of earlier models beside the judged one."""
    by_model: dict[str, Any] = run.results.get("calls", {})
    names = list(run.call_sets)
    rows = [
        [Cell(model, "code"), *(_share(sets.get(name, {}).get("free", {}).get("exact")) for name in names)]
        for model, sets in by_model.items()
    ]
    return Table(["model", *names], rows if len(rows) > 1 else [], "The same commands, free decoding, by stage.")


def reasoning_section(run: Gathered) -> Section:
    """Think against no_think on the same problems."""
    section = Section("reasoning", "Think against no_think", "No reasoning problems were evaluated.")
    summary: dict[str, Any] = run.results.get("reasoning") or {}
    if "think" not in summary:
        return section
    groups = [("all problems", [_bar(m, summary[m]["exact"], c) for m, c in (("think", 3), ("no_think", 4))])]
    for kind, row in summary.get("kinds", {}).items():
        if len(summary["kinds"]) > 1:
            groups.append((kind or "other", [_bar(m, row[m], c) for m, c in (("think", 3), ("no_think", 4))]))
    section.add(Chart(bar_chart(groups, x_label="right answers", limit=1.0, percent=True)))
    if difference := summary.get("difference"):
        low, high = 100 * difference["low"], 100 * difference["high"]
        section.add(Note(
            f"Thinking changes right answers by {100 * difference['difference']:+.1f} points (95% interval "
            f"{low:+.1f} to {high:+.1f}, paired); {difference['only_a']} problems were right only in think mode, "
            f"{difference['only_b']} only in no_think (McNemar p = {difference['p_value']:.2g})."))  # fmt: skip
    rows = [
        [
            Cell(m, "code"),
            _share(summary[m]["exact"]),
            _share(summary[m]["mode_obeyed"]),
            fixed(summary[m]["tokens_per_answer"], 1),
        ]
        for m in ("think", "no_think")
    ]
    return section.add(Table(["mode", "right answers", "mode obeyed", "tokens per answer"], rows))


def needle_section(run: Gathered) -> Section:
    """Recall of a value far back in the context, over the length of the context."""
    section = Section("needle", "Long context", "No needle test was run.")
    for stage, tries in (run.results.get("needle") or {}).items():
        lines = []
        for colour, (label, title) in enumerate(NEEDLE_TITLES.items()):
            rows = tries.get(label) or []
            lines.append(Line(title, [r["tokens"] for r in rows], [r["recall"]["value"] for r in rows], colour))
        section.add(Note(f"{stage}: trained window {tries.get('window', 0):,} tokens."))
        section.add(Chart(line_chart(lines, x_label="tokens in the prompt", y_label="recall", height=240)))
        cells = [
            [
                Cell(title),
                count(row["tokens"]),
                fixed(row["windows"], 2),
                _share(row["recall"]),
                _share(row.get("choice")),
                fixed(row.get("chance"), 2),
            ]
            for label, title in NEEDLE_TITLES.items()
            for row in tries.get(label) or []
        ]
        section.add(Table(["decoding", "tokens", "windows", "recall", "likeliest of the values", "chance"], cells))
        if tries.get("left_out"):
            section.add(Note(f"{tries['left_out']} documents were longer than the extended window and left out."))
    return section


def text_section(run: Gathered) -> Section:
    """Bits per byte on held-out text beside xz."""
    section = Section("text", "Held-out text", "No held-out text was measured.")
    groups, rows = [], []
    for language, row in (run.results.get("text") or {}).items():
        if "best" not in row:
            continue
        best, xz = row["models"][row["best"]], row["xz"]
        bars = [Bar("model", best["value"], best["low"], best["high"], 0), Bar("xz -9e", xz["with_context"], colour=5)]
        groups.append((language, bars))
        below = Cell("yes", "good") if best["value"] < xz["with_context"] else Cell("no", "bad")
        head = [Cell(language, "code"), Cell(row["best"], "code"), fixed(best["value"], 3)]
        sizes = [size(xz["held_out_bytes"]), size(xz["context_bytes"])]
        rows.append([*head, fixed(xz["with_context"], 3), fixed(xz["alone"], 3), below, *sizes])
    section.add(Chart(bar_chart(groups, x_label="bits per byte (less is better)")))
    heads = [
        "language",
        "model",
        "bits per byte",
        "xz with context",
        "xz alone",
        "below xz",
        "held-out text",
        "xz context",
    ]
    caption = (
        "xz -9e is given the same training text as context: 8 · (|xz(training + held-out)| − |xz(training)|) / bytes."
    )
    return section.add(Table(heads, rows, caption))


def exports_section(run: Gathered) -> Section:
    """Size, speed and accuracy of each export."""
    section = Section("exports", "Exports", "The recipe has no export stage, or it wrote no table.")
    speeds = [
        Bar(row["name"], row["tokens_per_second"], colour=6) for row in run.exports if row.get("tokens_per_second")
    ]
    sizes = [Bar(row["name"], row["bytes"] / 1e6, colour=0) for row in run.exports if row.get("bytes")]
    section.add(Chart(bar_chart([("", sizes)], x_label="megabytes"), "Size on disk."))
    section.add(Chart(bar_chart([("", speeds)], x_label="tokens per second"), "Decoding speed, one prompt at a time."))
    rows = [
        [
            Cell(row["name"], "code"),
            size(row.get("bytes")),
            num(row.get("tokens_per_second")),
            num(row.get("prompt_tokens_per_second")),
            percent(row.get("calls_exact")),
            count(row.get("calls_items")),
            num(row.get("same_tokens")),
        ]
        for row in run.exports
    ]
    heads = ["export", "size", "decode tokens/s", "prompt tokens/s", "exact calls", "of commands", "same greedy tokens"]
    return section.add(Table(heads, rows))
