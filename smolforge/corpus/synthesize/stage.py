"""The ``synthesize`` stage: write every set, the tool definitions and the counts.

Input: the configuration, the seed, and the corpus where the recipe has one (copying is practised on its words,
generated sets are made of its documents). Output: ``<set>.jsonl``, ``<set>.docs.jsonl``, ``tools.json``,
``counts.json`` and ``generated/`` in the work folder. Same input, same bytes.
"""

from __future__ import annotations

import gc
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smolforge.corpus.synthesize.commands import SETS, LanguageCommands, SetName, build_language
from smolforge.corpus.synthesize.config import SynthesizeConfig
from smolforge.corpus.synthesize.conversation import Mode, Row, command_row, spoken, write_jsonl
from smolforge.corpus.synthesize.copying import copying_documents, document, needle_documents, writers
from smolforge.corpus.synthesize.generated_stage import OpenBackend, run_generated
from smolforge.corpus.synthesize.hassil_sampler import Draw, SlotKind
from smolforge.corpus.synthesize.keyed import fraction
from smolforge.corpus.synthesize.lexicon import count_words
from smolforge.corpus.synthesize.preferences import preference_rows
from smolforge.corpus.synthesize.reasoning import build_reasoning
from smolforge.corpus.synthesize.tool_schema import Tools, build_tools
from smolforge.corpus.synthesize.verify import check_row
from smolforge.errors import ConfigError
from smolforge.store import StageContext, StageOutcome, write_json


def run(config: SynthesizeConfig, context: StageContext, open_backend: OpenBackend | None = None) -> StageOutcome:
    """Build all sets into ``context.work``. ``open_backend``: see ``generated_stage.run_generated``."""
    for leftover in context.work.iterdir():  # of a try that was killed; what a generator answered is not among it
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    counts = _write_templates(config, context) if config.templates else {}
    if config.generated is not None:
        if "corpus" not in context.inputs:
            raise ConfigError("synthesize.generated: sets are made of documents; give the recipe a corpus section")
        documents = context.inputs["corpus"].path / "kept"
        counts["generated"] = run_generated(config.generated, documents, context, open_backend)
    write_json(context.work / "counts.json", counts)
    return StageOutcome(counts=counts)


def _write_templates(config: SynthesizeConfig, context: StageContext) -> dict[str, Any]:
    """Write the sets made of templates; every command row is verified before it is written."""
    with _no_garbage_collection():
        built = _Commands(config, context.seed)
        counts_of = count_words(context.inputs["corpus"].path / "kept") if "corpus" in context.inputs else {}
        context.progress.start(len(config.languages) + 2, "parts")
        for number, language in enumerate(config.languages):
            built.add(build_language(language, config.commands, context.seed, counts_of.get(language)))
            context.progress.update(number + 1, language=language)
        tools = build_tools(built.kinds, built.combinations)
        _verify(built.sets, Tools(tools))
        sets = {**built.sets, **build_reasoning(config.reasoning, config.languages, context.seed)}
        context.progress.update(len(config.languages) + 1, language="reasoning")
        sets["preferences"] = built.preferences
        for name in ("commands_train", "preferences"):
            sets[name] = sorted(sets[name], key=lambda row: fraction(context.seed, row["id"]))
        drills = writers(config.copying, built.words, config.commands.held_out_values)
        documents = {
            "commands": built.documents,
            **copying_documents(config.copying, drills, context.seed),
            "needle_test": needle_documents(config.copying, drills, context.seed),
        }
        counts: dict[str, Any] = {name: _write(context.work, f"{name}.jsonl", rows) for name, rows in sets.items()}
        for name, rows in documents.items():
            counts[f"{name}.docs"] = _write(context.work, f"{name}.docs.jsonl", rows)
        words = {language: len(known) for language, known in built.words.items()}
        counts.update(dropped=built.dropped, templates=built.templates, words=words)
        write_json(context.work / "tools.json", tools)
        context.progress.update(len(config.languages) + 2, language="files")
    return counts


@dataclass
class _Commands:
    """Gathers what the languages give, row by row."""

    config: SynthesizeConfig
    seed: int
    sets: dict[str, list[Row]] = field(default_factory=lambda: {f"commands_{name}": [] for name in SETS})
    documents: list[Row] = field(default_factory=list)
    preferences: list[Row] = field(default_factory=list)
    kinds: dict[str, set[SlotKind]] = field(default_factory=dict)
    combinations: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    templates: dict[str, dict[str, int]] = field(default_factory=dict)
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, built: LanguageCommands) -> None:
        """Turn one language's commands into rows, documents and preference pairs."""
        language, config = built.language, self.config
        self.words[language] = built.words
        for intent, kinds in built.kinds.items():
            self.kinds.setdefault(intent, set()).update(kinds)
        for intent, names in built.combinations.items():
            self.combinations.setdefault(intent, set()).update(names)
        self.dropped[language] = dict(sorted(built.dropped.items()))
        self.templates[language] = dict(built.templates)
        draws: dict[SetName, list[Draw]] = {}
        for name, commands in built.sets.items():
            draws[name] = [spoken(command.draw, config.commands, self.seed) for command in commands]
            rows = self.sets[f"commands_{name}"]
            for draw, command in zip(draws[name], commands, strict=True):
                mode = self._mode(name, language, draw.text)
                rows.append(command_row(f"commands_{name}", language, draw, command.style, mode, config.system))
        self.documents += _documents(language, draws["train"][: config.commands.documents])
        pairs = config.preferences // len(config.languages)
        self.preferences += preference_rows(language, draws["train"], pairs, self.seed, config.system)

    def _mode(self, name: SetName, language: str, text: str) -> Mode:
        commands = self.config.commands
        share = commands.think_share if name == "train" else commands.held_out_think_share
        return "think" if fraction(self.seed, "mode", language, text) < share else "no_think"


def _documents(language: str, draws: list[Draw]) -> Iterator[Row]:
    """Yield commands and calls as plain text, one pair a document."""
    for number, draw in enumerate(draws):
        call = json.dumps({"name": draw.intent, "arguments": draw.arguments}, ensure_ascii=False)
        yield document(
            f"commands/{language}/{number}", f"{draw.text}\n{call}", "commands", language, {"intent": draw.intent}
        )


def _verify(sets: dict[str, list[Row]], tools: Tools) -> None:
    for rows in sets.values():
        for row in rows:
            check_row(row, tools)


def _write(folder: Path, name: str, rows: list[Row]) -> dict[str, Any]:
    """Write one set and count it by language and, for commands, by intent."""
    counts: dict[str, Any] = {"rows": write_jsonl(folder / name, rows)}
    counts["languages"] = dict(sorted(Counter(row["language"] for row in rows).items()))
    metas = [row["meta"] for row in rows if isinstance(row["meta"], dict)]
    for key in ("intent", "values", "kind", "mistake"):
        if found := Counter(meta[key] for meta in metas if key in meta):
            counts[key] = dict(sorted(found.items()))
    return counts


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Millions of small objects that all stay alive make the collector a third of the run, and it finds nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
