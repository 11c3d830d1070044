"""The ``synthesize`` stage: write every set, the tool definitions and the counts.

Input: the configuration and the seed. Output: ``<set>.jsonl``, ``<set>.docs.jsonl``, ``tools.json`` and ``counts.json`` in the
work folder. Same seed, same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from smolforge.corpus.synthesize.commands import SETS, LanguageCommands, SetName, build_language
from smolforge.corpus.synthesize.config import SynthesizeConfig
from smolforge.corpus.synthesize.conversation import Mode, Row, command_row, spoken, write_jsonl
from smolforge.corpus.synthesize.copying import copying_documents, document, needle_documents
from smolforge.corpus.synthesize.hassil_sampler import Draw
from smolforge.corpus.synthesize.keyed import fraction
from smolforge.corpus.synthesize.preferences import preference_rows
from smolforge.corpus.synthesize.reasoning import build_reasoning
from smolforge.corpus.synthesize.tool_schema import Tools, build_tools
from smolforge.corpus.synthesize.verify import check_row
from smolforge.store import StageContext, StageOutcome, write_json


def run(config: SynthesizeConfig, context: StageContext) -> StageOutcome:
    """Build all sets into ``context.work``; every command row is verified before it is written."""
    context.progress.start(len(config.languages) + 3, "sets")
    sets, documents, draws, dropped = _commands(config, context)
    tools = build_tools(draws)
    write_json(context.work / "tools.json", tools)
    checker = Tools(tools)
    for rows in sets.values():
        for row in rows:
            check_row(row, checker)
    seed, languages = context.seed, config.languages
    sets["preferences"] = _shuffled(documents.pop("preferences"), seed)
    sets.update(build_reasoning(config.reasoning, languages, seed))
    context.progress.update(len(languages) + 1)
    share = config.commands.held_out_values
    documents["copying"] = copying_documents(config.copying, languages, share, seed)
    documents["needle_test"] = needle_documents(config.copying, languages, share, seed)
    counts: dict[str, Any] = {name: _write(context.work, f"{name}.jsonl", rows) for name, rows in sets.items()}
    counts.update(
        {f"{name}.docs": _write(context.work, f"{name}.docs.jsonl", rows) for name, rows in documents.items()}
    )
    counts["dropped"] = dropped
    write_json(context.work / "counts.json", counts)
    context.progress.update(len(languages) + 3)
    return StageOutcome(counts=counts)


def _commands(
    config: SynthesizeConfig, context: StageContext
) -> tuple[dict[str, list[Row]], dict[str, list[Row]], list[Draw], dict[str, dict[str, int]]]:
    """Return command rows by set, documents by set, all draws, and what fell out per language."""
    sets: dict[str, list[Row]] = {f"commands_{name}": [] for name in SETS}
    documents: dict[str, list[Row]] = {"commands": [], "preferences": []}
    draws: list[Draw] = []
    dropped: dict[str, dict[str, int]] = {}
    for number, language in enumerate(config.languages):
        built = build_language(language, config.commands, context.seed)
        dropped[language] = dict(sorted(built.dropped.items()))
        for name in SETS:
            spoken_draws = [spoken(c, config.commands.capitalize_share, context.seed) for c in built.sets[name]]
            draws += spoken_draws
            styles = [command.style for command in built.sets[name]]
            sets[f"commands_{name}"] += _command_rows(config, context.seed, language, name, spoken_draws, styles)
            if name == "train":
                documents["commands"] += _command_documents(language, spoken_draws, config.commands.documents)
                count = config.preferences // len(config.languages)
                documents["preferences"] += preference_rows(language, spoken_draws, count, context.seed, config.system)
        context.progress.update(number + 1, language=language)
    sets["commands_train"] = _shuffled(sets["commands_train"], context.seed)
    return sets, documents, draws, dropped


def _command_rows(
    config: SynthesizeConfig, seed: int, language: str, name: SetName, draws: list[Draw], styles: list[Any]
) -> list[Row]:
    share = config.commands.think_share if name == "train" else config.commands.held_out_think_share
    rows = []
    for draw, style in zip(draws, styles, strict=True):
        mode: Mode = "think" if fraction(seed, "mode", language, draw.text) < share else "no_think"
        rows.append(command_row(f"commands_{name}", language, draw, style, mode, config.system))
    return rows


def _command_documents(language: str, draws: list[Draw], count: int) -> list[Row]:
    """Write commands and calls as plain text, one pair a document."""
    rows = []
    for number, draw in enumerate(draws[:count]):
        call = json.dumps({"name": draw.intent, "arguments": draw.arguments}, ensure_ascii=False)
        meta: dict[str, object] = {"intent": draw.intent}
        rows.append(document(f"commands/{language}/{number}", f"{draw.text}\n{call}", "commands", language, meta))
    return rows


def _shuffled(rows: list[Row], seed: int) -> list[Row]:
    return sorted(rows, key=lambda row: fraction(seed, row["id"]))


def _write(folder: Path, name: str, rows: list[Row]) -> dict[str, Any]:
    """Write one set and count it by language and, for commands, by intent."""
    counts: dict[str, Any] = {"rows": write_jsonl(folder / name, rows)}
    counts["languages"] = dict(sorted(Counter(row["language"] for row in rows).items()))
    intents = Counter(
        row["meta"]["intent"] for row in rows if isinstance(row["meta"], dict) and "intent" in row["meta"]
    )
    if intents:
        counts["intents"] = dict(sorted(intents.items()))
    return counts
