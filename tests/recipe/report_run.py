"""A small finished run on disk, with every file the report knows, for the tests of the report room."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from smolforge.evaluate.statistics import paired_difference, wilson
from smolforge.store import Artifact, Manifest, write_json
from smolforge.store.artifact import finish

LANGUAGES = ("en", "fr", "es", "de", "it", "pt", "ar", "zh", "ru")
TRAINING = {
    "pretrain": (["stable 1", "stable 2", "decay"], 300, 6.0),
    "long_context": (["longer"], 40, 2.6),
    "midtrain": (["traces"], 60, 2.4),
    "sft": (["dual mode"], 200, 1.6),
    "preference": (["apo_zero"], 20, 0.5),
}


def write_run(folder: Path) -> dict[str, Artifact]:
    """Write every artifact below ``folder``; return them by stage name."""
    files: dict[str, dict[str, Any]] = {
        "corpus": {"funnel.json": _funnel(), "sources.json": _sources()},
        "synthesize": {},
        "tokenizer": {"fertility.json": _fertility()},
        **{stage: {"log.jsonl": _log(stage)} for stage in TRAINING},
        "merge": {},
        "evaluate": {"results.json": _results()},
        "export": {"exports.json": _exports()},
    }
    counts: dict[str, Any] = {
        "synthesize": {"commands_train": 58500, "commands_seen": 1800, "reasoning_test": 300},
        "tokenizer": {"vocab_size": 4096},
        "merge": {"parameters": 5_046_784},
    }
    return {stage: _write(folder, stage, content, counts.get(stage, {})) for stage, content in files.items()}


def _write(folder: Path, stage: str, content: dict[str, Any], counts: dict[str, Any]) -> Artifact:
    work = folder / "work" / stage
    work.mkdir(parents=True)
    for name, value in content.items():
        if name.endswith(".jsonl"):
            (work / name).write_text("".join(json.dumps(row) + "\n" for row in value))
        else:
            write_json(work / name, value)
    seconds = {"pretrain": 240.0, "sft": 150.0}.get(stage, 21.5)
    cost = {
        "wall_s": seconds,
        "cpu_s": 1.9 * seconds,
        "peak_rss_bytes": 900_000_000,
        "energy_j": 19 * seconds,
        "energy_method": "estimate: CPU seconds x 10 W per busy core (no readable RAPL counter)",
        "machine": {"processor": "A processor", "cores": 2},
    }
    config = {"phases": TRAINING[stage][0]} if stage in TRAINING else {"languages": list(LANGUAGES)}
    libraries = {"python": "3.12.4", "numpy": "2.1.0"} | ({"torch": "2.13.0"} if stage in TRAINING else {})
    manifest = Manifest(stage, "0" * 16, "1", config, {}, 7, counts=counts, libraries=libraries, cost=cost)
    return finish(work, folder / "artifacts" / stage, manifest)


def _funnel() -> list[dict[str, Any]]:
    rows, documents = [], 21000
    for step, reasons in (
        ("ingest", {}),
        ("exact_dedup", {"same text": 2400}),
        ("language", {"not one of the languages": 900, "too short to tell": 310}),
        ("rules", {"mostly symbols": 700, "repeated lines": 450, "too short": 1300}),
        ("near_dedup", {"near copy": 1900}),
        ("pii", {}),
        ("held_out", {"held out": 800}),
        ("budget", {"over the byte budget": 2600}),
    ):
        for reason, dropped in reasons.items():
            rows.append(_step(step, "en", reason, dropped, 0))
            documents -= dropped
        rows += [_step(step, language, "", documents // 9, documents // 9) for language in LANGUAGES]
    return rows


def _step(step: str, language: str, reason: str, entered: int, left: int) -> dict[str, Any]:
    place = {"step": step, "source": "django", "language": language, "reason": reason}
    return place | {"documents_in": entered, "documents_out": left, "bytes_in": 90 * entered, "bytes_out": 90 * left}


def _sources() -> list[dict[str, Any]]:
    return [
        {"name": "django", "version": "5.2", "licence": "BSD-3-Clause", "bytes": 3_100_000, "documents": 14000},
        {"name": "python", "version": "3.12.4", "licence": "PSF-2.0", "bytes": 9_000_000, "documents": 6900},
        {"name": "notes <mine>", "version": "", "licence": "", "bytes": 41_000, "documents": 100},
    ]


def _fertility() -> dict[str, Any]:
    return {
        language: {"bytes_per_token": 3.9 - 0.2 * i, "tokens_per_word": 1.5 + 0.1 * i,
                   "split_words": 0.3, "parity": 1 + 0.07 * i}
        for i, language in enumerate(LANGUAGES)
    }  # fmt: skip


def _log(stage: str) -> list[dict[str, Any]]:
    phases, steps, start = TRAINING[stage]
    rows = []
    for step in range(5, steps + 1, 5):
        share = step / steps
        loss = start * (0.35 + 0.65 * math.exp(-4 * share)) + 0.04 * math.sin(step)
        rows.append(
            {"stage": stage, "phase": phases[min(int(share * len(phases)), len(phases) - 1)], "step": step,
             "tokens": 8192 * step, "loss": loss, "lr": 3e-3 * min(1, 10 * share, 1.6 * (1.02 - share)),
             "grad_norm": 0.8, "tokens_per_second": 11000.0, "seconds": 0.74 * step}
        )  # fmt: skip
    return rows


def _call_summary(hits: int, count: int, spread: int) -> dict[str, Any]:
    each = count // len(LANGUAGES)
    languages = {
        lang: wilson(min(each, max(0, hits // len(LANGUAGES) + (i - 4) * spread)), each).as_json()
        for i, lang in enumerate(LANGUAGES)
    }
    obeyed = {"no_think": wilson(count - 5, count).as_json(), "think": wilson(198, 200).as_json()}
    names = ("no_call", "wrong_function", "wrong_slots", "wrong_closed_value", "wrong_copied_value")
    return {
        "exact": wilson(hits, count).as_json(),
        "languages": languages,
        "modes": {mode: wilson(hits * n // 5, count * n // 5).as_json() for mode, n in (("no_think", 4), ("think", 1))},
        "json_parses": wilson(count - 1, count).as_json(),
        "mode_obeyed": obeyed,
        "errors": {name: (count - hits) * share // 15 for name, share in zip(names, (1, 2, 3, 4, 5), strict=True)},
        "tokens_per_answer": 13.4,
    }  # fmt: skip


def _results() -> dict[str, Any]:
    scores = {"commands_seen": (1670, 1710), "commands_templates": (1540, 1590), "commands_values": (720, 1240)}
    judged = {
        name: {"free": _call_summary(free, 1800, 3), "constrained": _call_summary(held, 1800, 2), "unreachable": 3}
        for name, (free, held) in scores.items()
    }
    earlier = {name: {"free": _call_summary(free - 40, 1800, 3)} for name, (free, _) in scores.items()}
    think, no_think = [i % 10 < 8 for i in range(300)], [i % 10 < 5 for i in range(300)]
    reasoning: dict[str, Any] = {
        mode: {"exact": wilson(sum(right), 300).as_json(), "mode_obeyed": wilson(297, 300).as_json(),
               "tokens_per_answer": tokens}
        for mode, right, tokens in (("think", think, 61.0), ("no_think", no_think, 3.2))
    }  # fmt: skip
    reasoning["difference"] = vars(paired_difference(think, no_think))
    kinds = {"slot_logic": (190, 110, 240), "arithmetic": (50, 40, 60)}
    reasoning["kinds"] = {
        name: {"think": wilson(a, n).as_json(), "no_think": wilson(b, n).as_json()} for name, (a, b, n) in kinds.items()
    }
    return {
        "subject": "merge",
        "calls": {"merge": judged, "sft": earlier},
        "reasoning": reasoning,
        "text": {language: _text_row(i) for i, language in enumerate(LANGUAGES)},
        "needle": {"long_context": _needle()},
    }


def _text_row(index: int) -> dict[str, Any]:
    value = 1.9 + 0.05 * index
    measured = {
        "value": value,
        "low": value - 0.06,
        "high": value + 0.07,
        "bytes": 60000,
        "documents": 200,
        "tokens": 19000,
    }
    xz = {"alone": 3.2, "with_context": 2.3, "context_bytes": 1_900_000, "held_out_bytes": 60000}
    return {"models": {"pretrain": measured}, "best": "pretrain", "xz": xz}


def _needle() -> dict[str, Any]:
    def rows(points: list[tuple[int, int]]) -> list[dict[str, Any]]:
        return [
            {
                "characters": 4 * tokens,
                "tokens": tokens,
                "windows": tokens / 512,
                "recall": wilson(hits, 24).as_json(),
                "choice": wilson(hits, 24).as_json(),
                "chance": 0.25,
            }
            for tokens, hits in points
        ]

    plain, yarn = rows([(700, 6), (1000, 2)]), rows([(700, 18), (1000, 15)])
    within = rows([(130, 24), (260, 23), (500, 21)])
    return {"window": 512, "left_out": 24, "within": within, "beyond_plain": plain, "beyond_yarn": yarn}


def _exports() -> list[dict[str, Any]]:
    table = [
        ("reference", 20_200_000, 310.0, 0.858),
        ("hf", 20_300_000, None, 0.858),
        ("gguf-f16", 10_400_000, 720.0, 0.858),
        ("gguf-q8_0", 5_800_000, 910.0, 0.857),
        ("gguf-q4_0", 3_400_000, 1150.0, 0.846),
    ]
    return [
        {"name": name, "path": name, "type": name, "bytes": size, "tokens_per_second": speed, "calls_exact": exact,
         "prompt_tokens_per_second": None if speed is None else 9 * speed, "calls_items": 450, "same_tokens": None,
         "parity": {}}
        for name, size, speed, exact in table
    ]  # fmt: skip
