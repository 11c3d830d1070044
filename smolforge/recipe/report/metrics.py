"""The flat figures of a run: one name, one number, for machines; docs/reference/metrics.md says what each means.

Input: ``Gathered``. Output: a dictionary for ``metrics.json``; what was not measured is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from smolforge.recipe.report.gather import Gathered

# Every name below, with <…> for what varies. The reference page lists the same, and a test compares the two.
NAMES = (
    "model.parameters",
    "corpus.documents_kept",
    "corpus.bytes_kept",
    "tokenizer.vocab_size",
    "tokenizer.bytes_per_token.<language>",
    "tokenizer.tokens_per_word.<language>",
    "tokenizer.split_words.<language>",
    "tokenizer.parity.<language>",
    "tokenizer.copied_alike.<language>",
    "train.<stage>.tokens",
    "train.<stage>.seconds",
    "train.<stage>.loss",
    "train.<stage>.tokens_per_second",
    "calls.<set>.<decoding>.exact",
    "calls.<set>.<decoding>.exact_low",
    "calls.<set>.<decoding>.exact_high",
    "calls.<set>.<decoding>.exact.<language>",
    "calls.<set>.<decoding>.lowest_language",
    "calls.<set>.<decoding>.json_parses",
    "calls.<decoding>.json_parses",
    "calls.<decoding>.mode_obeyed.<mode>",
    "reasoning.exact.<mode>",
    "reasoning.exact_low.<mode>",
    "reasoning.exact_high.<mode>",
    "reasoning.tokens.<mode>",
    "reasoning.difference",
    "reasoning.difference_low",
    "reasoning.difference_high",
    "reasoning.interval_gap",
    "mode_obeyed.<mode>",
    "mode_obeyed.lowest",
    "text.bits_per_byte.<language>",
    "text.xz_bits_per_byte.<language>",
    "text.worst_ratio_to_xz",
    "needle.<stage>.<decoding>.recall",
    "needle.<stage>.<decoding>.choice",
    "export.<name>.bytes",
    "export.<name>.tokens_per_second",
    "export.<name>.calls_exact",
    "export.<name>.points_lost",
    "cost.<stage>.wall_s",
    "cost.<stage>.cpu_s",
    "cost.<stage>.energy_j",
    "cost.total.wall_s",
    "cost.total.energy_j",
    "cost.training.wall_s",
)

NOT_LANGUAGES = ("code", "math")
Figures = Iterator[tuple[str, float | int | None]]


def metrics(run: Gathered) -> dict[str, float]:
    """Return every figure that is there, rounded to six significant digits, in the order of ``NAMES``."""
    parts = (_data(run), _training(run), _calls(run), _reasoning(run), _modes(run), _text(run), _needle(run))
    found: dict[str, float] = {}
    for part in (*parts, _exports(run), _cost(run)):
        for name, value in part:
            if value is not None and math.isfinite(value):
                found[name] = value if isinstance(value, int) else float(f"{value:.6g}")
    return found


def _data(run: Gathered) -> Figures:
    for stage in ("merge", *reversed(run.logs)):
        if (count := run.artifacts[stage].manifest.counts.get("parameters")) if stage in run.artifacts else None:
            yield "model.parameters", count
            break
    funnel = run.file("corpus", "funnel.json") or []
    if funnel:
        last = [row for row in funnel if row["step"] == funnel[-1]["step"] and not row["reason"]]
        yield "corpus.documents_kept", sum(row["documents_out"] for row in last)
        yield "corpus.bytes_kept", sum(row["bytes_out"] for row in last)
    if "tokenizer" in run.artifacts:
        yield "tokenizer.vocab_size", run.artifacts["tokenizer"].manifest.counts.get("vocab_size")
    for language, row in (run.file("tokenizer", "fertility.json") or {}).items():
        for name in ("bytes_per_token", "tokens_per_word", "split_words", "parity", "copied_alike"):
            yield f"tokenizer.{name}.{language}", row.get(name)


def _training(run: Gathered) -> Figures:
    for stage, rows in run.logs.items():
        last = rows[-1]
        yield f"train.{stage}.tokens", last["tokens"]
        yield f"train.{stage}.seconds", last["seconds"]
        yield f"train.{stage}.loss", last["loss"]
        yield f"train.{stage}.tokens_per_second", last["tokens"] / last["seconds"] if last["seconds"] else None


def _calls(run: Gathered) -> Figures:
    totals: dict[str, list[int]] = {}
    obeyed: dict[tuple[str, str], list[int]] = {}
    for name, decodings in run.call_sets.items():
        for decoding, row in decodings.items():
            if not isinstance(row, dict):
                continue
            prefix, exact = f"calls.{name}.{decoding}", row["exact"]
            yield f"{prefix}.exact", exact["value"]
            yield f"{prefix}.exact_low", exact["low"]
            yield f"{prefix}.exact_high", exact["high"]
            languages = {lang: part["value"] for lang, part in row["languages"].items() if part["count"]}
            for language, value in languages.items():
                yield f"{prefix}.exact.{language}", value
            yield f"{prefix}.lowest_language", min(languages.values(), default=None)
            yield f"{prefix}.json_parses", row["json_parses"]["value"]
            _add(totals.setdefault(decoding, [0, 0]), row["json_parses"])
            for mode, part in row["mode_obeyed"].items():
                _add(obeyed.setdefault((decoding, mode), [0, 0]), part)
    for decoding, (hits, count) in totals.items():
        yield f"calls.{decoding}.json_parses", hits / count if count else None
    for (decoding, mode), (hits, count) in obeyed.items():
        yield f"calls.{decoding}.mode_obeyed.{mode}", hits / count if count else None


def _add(total: list[int], part: dict[str, Any]) -> None:
    total[0] += part["hits"]
    total[1] += part["count"]


def _reasoning(run: Gathered) -> Figures:
    summary = run.results.get("reasoning") or {}
    for mode in ("think", "no_think"):
        if mode in summary:
            exact = summary[mode]["exact"]
            yield f"reasoning.exact.{mode}", exact["value"]
            yield f"reasoning.exact_low.{mode}", exact["low"]
            yield f"reasoning.exact_high.{mode}", exact["high"]
            yield f"reasoning.tokens.{mode}", summary[mode]["tokens_per_answer"]
    if difference := summary.get("difference"):
        yield "reasoning.difference", difference["difference"]
        yield "reasoning.difference_low", difference["low"]
        yield "reasoning.difference_high", difference["high"]
        yield "reasoning.interval_gap", summary["think"]["exact"]["low"] - summary["no_think"]["exact"]["high"]


def _modes(run: Gathered) -> Figures:
    """Free answers to commands and reasoning problems together: was the mode kept?"""
    totals: dict[str, list[int]] = {}
    for decodings in run.call_sets.values():
        for mode, part in decodings.get("free", {}).get("mode_obeyed", {}).items():
            _add(totals.setdefault(mode, [0, 0]), part)
    for mode in ("think", "no_think"):
        if part := (run.results.get("reasoning") or {}).get(mode, {}).get("mode_obeyed"):
            _add(totals.setdefault(mode, [0, 0]), part)
    shares = {mode: hits / count for mode, (hits, count) in totals.items() if count}
    for mode, share in shares.items():
        yield f"mode_obeyed.{mode}", share
    yield "mode_obeyed.lowest", min(shares.values(), default=None)


def _text(run: Gathered) -> Figures:
    ratios = []
    for language, row in (run.results.get("text") or {}).items():
        if "best" in row:
            value, bar = row["models"][row["best"]]["value"], row["xz"]["with_context"]
            yield f"text.bits_per_byte.{language}", value
            yield f"text.xz_bits_per_byte.{language}", bar
            if language not in NOT_LANGUAGES:
                ratios.append(value / bar)
    yield "text.worst_ratio_to_xz", max(ratios, default=None)


def _needle(run: Gathered) -> Figures:
    for stage, tries in (run.results.get("needle") or {}).items():
        for decoding, rows in tries.items():
            if isinstance(rows, list) and rows:
                hits, count = (sum(row["recall"][key] for row in rows) for key in ("hits", "count"))
                yield f"needle.{stage}.{decoding}.recall", hits / count
                asked = [row["choice"] for row in rows if "choice" in row]
                if asked:
                    hits, count = (sum(row[key] for row in asked) for key in ("hits", "count"))
                    yield f"needle.{stage}.{decoding}.choice", hits / count


def _exports(run: Gathered) -> Figures:
    by_name = {row["name"]: row for row in run.exports}
    reference = by_name.get("reference", {}).get("calls_exact")
    for name, row in by_name.items():
        yield f"export.{name}.bytes", row.get("bytes")
        yield f"export.{name}.tokens_per_second", row.get("tokens_per_second")
        exact = row.get("calls_exact")
        yield f"export.{name}.calls_exact", exact
        if exact is not None and reference is not None and name != "reference":
            yield f"export.{name}.points_lost", 100 * (reference - exact)


def _cost(run: Gathered) -> Figures:
    for stage in run.stages:
        for key in ("wall_s", "cpu_s", "energy_j"):
            yield f"cost.{stage}.{key}", run.cost(stage).get(key)
    costs = [run.cost(stage) for stage in run.stages]
    for key in ("wall_s", "energy_j"):
        known = [cost[key] for cost in costs if key in cost]
        yield f"cost.total.{key}", sum(known) if known else None
    training = [run.cost(stage).get("wall_s", 0.0) for stage in run.logs]
    yield "cost.training.wall_s", sum(training) if training else None
