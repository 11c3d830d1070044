"""What a dataset card says behind its front matter: what is in the corpus, how it was made, what was taken out.

Input: ``Facts``. Output: Markdown. Names and licences come from anywhere, so whatever Markdown or HTML could read in
them is taken out of its meaning; folders of the machine stay out.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from smolforge.corpus.card import NOT_A_LANGUAGE, UNKNOWN, Facts
from smolforge.corpus.card_steps import MEANING, SETTINGS
from smolforge.corpus.fates import KEPT, Fate, count_by, masked, passages
from smolforge.corpus.funnel import BYTES_PER_TOKEN
from smolforge.corpus.rules import fineweb
from smolforge.corpus.rules.limits import load_profile, profile_place
from smolforge.corpus.split import HELD_OUT_STEP
from smolforge.errors import ConfigError
from smolforge.printable import printable
from smolforge.store import digest_bytes

_SHOWN = 40  # rows of a table
_PATHS = ("model", "benchmarks", "rules", "indexes")
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+|~!])")


def body(facts: Facts, name: str) -> str:
    """Return the Markdown."""
    parts = [
        f"# {plain(name)}", _summary(facts), _loading(), _languages(facts), _sources(facts), _licences(facts),
        _steps(facts), _removed(facts), _personal(facts), _benchmarks(facts), _gaps(facts),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Return a text on one line that Markdown shows as it is, at most 200 characters of it."""
    line = " ".join(printable(text).split())
    return html.escape(_MARKUP.sub(r"\\\1", line if len(line) <= 200 else f"{line[:199]}…"), quote=False)


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table; numbers get their thousands set apart."""
    if not rows:
        return ""
    lines = [heads, ["---:" if isinstance(cell, int) else "---" for cell in rows[0]]]
    said = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows[:_SHOWN]]
    more = f"\n\n{len(rows) - _SHOWN} more rows are in `funnel.json`." if len(rows) > _SHOWN else ""
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *said]) + more


def _summary(facts: Facts) -> str:
    sizes = count_by(facts.ends, lambda end: end.step, bytes_too=True)
    read = sum(end.documents for end in facts.ends)
    made = "smolforge"
    if facts.manifest is not None:
        versions = facts.manifest.libraries
        used = ", ".join(f"{name} {versions[name]}" for name in ("python", "pyarrow", "numpy") if name in versions)
        made = f"smolforge {versions.get('smolforge', '')}, corpus stage {facts.manifest.version}, "
        made += f"artifact `{facts.manifest.id}`, seed {facts.manifest.seed} ({used})"
    return (
        f"{facts.documents(KEPT):,} documents to train on ({_size(sizes[KEPT])}, about "
        f"{sizes[KEPT] // BYTES_PER_TOKEN:,} tokens) and {facts.documents(HELD_OUT_STEP):,} held out "
        f"({_size(sizes[HELD_OUT_STEP])}), from {read:,} that were read. Made with {made}. The same sources, settings "
        "and seed give the same bytes again."
    )


def _loading() -> str:
    columns = [
        ("`doc_id`", "digest of source and place: the same input has the same id anywhere"),
        ("`text`", "the text, with personal data masked"),
        ("`url`", "where it was read"),
        ("`source`", "the source's name"),
        ("`licence`", "as the source or the document states it; empty where it is not known"),
        ("`language`", "as detected, or `code`, `math`"),
        ("`meta`", "JSON: rule profile, what was masked or cut, and what the source said"),
    ]
    return (
        "## Reading it\n\n```python\nfrom datasets import load_dataset\n\n"
        'data = load_dataset("path/to/this/folder")  # splits: train, test\n```\n\n'
        "`train` is `kept/`, `test` is `held_out/`: documents chosen by a hash of their id, whole groups of related "
        f"documents together, that nothing may be trained on.\n\n{table(['column', 'what it is'], columns)}"
    )


def _languages(facts: Facts) -> str:
    documents = count_by(facts.ends, lambda end: (end.language, end.step))
    sizes = count_by(facts.ends, lambda end: (end.language, end.step), bytes_too=True)
    there = count_by(_there(facts), lambda end: end.language, bytes_too=True)
    rows = [
        [plain(language), documents[language, KEPT], sizes[language, KEPT], sizes[language, KEPT] // BYTES_PER_TOKEN,
         documents[language, HELD_OUT_STEP], sizes[language, HELD_OUT_STEP]]
        for language, _ in there.most_common()
    ]  # fmt: skip
    heads = ["language", "documents", "bytes", "tokens, about", "held out", "bytes held out"]
    return f"## Languages\n\n{table(heads, rows)}"


def _sources(facts: Facts) -> str:
    stay = count_by(_there(facts), lambda end: end.source)
    rows = [
        [plain(row["name"]), plain(row["version"] or "–"), plain(row["licence"] or UNKNOWN), row["documents"],
         stay[row["name"]], row["bytes"]]
        for row in facts.sources
    ]  # fmt: skip
    heads = ["source", "version", "licence stated", "documents read", "kept or held out", "bytes read"]
    return f"## Sources\n\n{table(heads, rows)}"


def _licences(facts: Facts) -> str:
    rows = [[plain(licence), documents] for licence, documents in facts.licences.most_common()]
    said = "As stated by sources and documents; nobody checked them. Each document carries its own in `licence`."
    return f"## Licences found\n\n{said}\n\n{table(['licence', 'documents'], rows)}"


def _steps(facts: Facts) -> str:
    rows = [
        [f"`{step.step}`", MEANING.get(step.step, ""), _settings(facts, step.step), step.stopped, step.stopped_bytes,
         step.cut_bytes]
        for step in passages(facts.rows)
    ]  # fmt: skip
    heads = ["step", "what it does", "settings", "documents stopped", "bytes stopped", "bytes cut"]
    return f"## How it was made\n\nIn this order:\n\n{table(heads, rows)}{_rules(facts)}"


def _settings(facts: Facts, step: str) -> str:
    found: dict[str, Any] = {}
    for key in SETTINGS.get(step, ()):
        value = facts.config.get(key)
        found |= value if isinstance(value, dict) else {} if value is None else {key: value}
    shown = {key: _shareable(key, value) for key, value in found.items() if value is not None}
    return ", ".join(f"{key} {plain(value)}" for key, value in shown.items() if value)


def _shareable(key: str, value: Any) -> str:
    """Return a setting as text; of a path only its last part."""
    values = value if isinstance(value, list) else [value]
    return " ".join(PurePath(each).name if key in _PATHS else str(each) for each in values)


def _rules(facts: Facts) -> str:
    from smolforge.corpus.config import SourceSpec

    specs = [SourceSpec.model_validate(spec) for spec in facts.config.get("sources", ())]
    if not specs:
        return ""
    folder = facts.config.get("rules")
    names = {spec.profile for spec in specs}
    names |= {fineweb.OTHERWISE} if fineweb.PROFILE in names else set()
    said = "\n".join(f"- `{name}`{_limits(name, folder)}" for name in sorted(names))
    head = (
        "Rule profiles with the digests of their files and their limits as they are today; languages may have others:"
    )
    return f"\n\n{head}\n\n{said}"


def _limits(profile: str, folder: str | None) -> str:
    """Return a profile's digest and the limits that it has for every language."""
    try:
        digest = digest_bytes(profile_place(profile, folder).read_bytes())[:12]
        limits = load_profile(profile, folder).default
    except ConfigError:
        return ": its file is gone"
    said = [
        f"{feature}{'' if low is None else f' from {low:g}'}{'' if high is None else f' to {high:g}'}"
        for feature, (low, high) in limits.items()
        if low is not None or high is not None
    ]
    return f" ({digest}): {', '.join(said)}"


def _removed(facts: Facts) -> str:
    dropped = [end for end in facts.ends if end.is_dropped]
    sizes = count_by(dropped, lambda end: (end.step, end.reason), bytes_too=True)
    counts = count_by(dropped, lambda end: (end.step, end.reason))
    rows = [[f"`{key[0]}`", plain(key[1]), amount, sizes[key]] for key, amount in counts.most_common()]
    return f"## What was removed, and why\n\n{table(['step', 'reason', 'documents', 'bytes'], rows) or 'Nothing.'}"


def _personal(facts: Facts) -> str:
    found = masked(facts.rows)
    wanted = facts.config.get("pii", {}).get("kinds")
    searched = f"Searched for: {', '.join(wanted)}. " if wanted else ""
    rows = [[f"`{kind}`", counts.total()] for kind, counts in found.items()]
    counted = table(["kind", "masked"], rows) or "Nothing was found."
    return (
        f"## Personal data\n\n{searched}What passed its validator (checksums, number plans, public addresses) was "
        "replaced by a placeholder of the same kind; equal values have equal placeholders. Names, postal addresses, "
        "dates of birth and whatever else tells in running text who somebody is are **not** searched for."
        f"\n\n{counted}"
    )


def _benchmarks(facts: Facts) -> str:
    if facts.contamination is None:
        return "## Benchmarks\n\nNot searched for: results on public benchmarks may come from having read them."
    rows = [
        [plain(row["benchmark"]), row["items"], row["searchable"], row["hit"], row["documents"]]
        for row in facts.contamination
    ]
    heads = ["benchmark", "items", "findable", "found", "documents removed"]
    said = "Documents that held an item of these benchmarks were removed. Translated or reworded items are not found."
    return f"## Benchmarks\n\n{said}\n\n{table(heads, rows)}"


def _gaps(facts: Facts) -> str:
    return "## Known gaps\n\n" + "\n".join(f"- {gap}" for gap in _known_gaps(facts))


def _known_gaps(facts: Facts) -> Iterator[str]:
    yield f"Tokens are bytes / {BYTES_PER_TOKEN}, an estimate for English prose; languages differ by a factor of two."
    if unknown := facts.licences[UNKNOWN]:
        yield f"{unknown:,} documents have no stated licence."
    present = {end.language for end in _there(facts)}
    missing = [code for code in facts.config.get("languages", ()) if code not in present]
    if missing:
        yield f"Wanted, but not there: {', '.join(map(plain, missing))}."
    run = {row["step"] for row in facts.rows}
    off = [step for step in ("quality", "toxicity", "decontaminate") if step not in run]
    if off:
        yield f"Steps that were off: {', '.join(off)}."
    problems = sum(len(row["problems"]) for row in facts.sources)
    if problems:
        yield f"Files or parts of files that could not be read: {problems:,} (`sources.json` names each place)."
    left: Counter[str] = Counter()
    for row in facts.sources:
        left.update(row["left_out"])
    for what, amount in left.most_common():
        yield f"Left out while reading: {amount:,} {plain(what)}."
    if lost := sum(end.documents for end in facts.ends if end.step == "poisoned"):
        yield f"{lost:,} documents killed every process that touched them and were left out."
    if any(language in NOT_A_LANGUAGE for language in present):
        yield "`code` and `math` are what their sources declare; no classifier checked them."
    yield (
        "Publish `README.md`, `kept/` and `held_out/` alone: `dropped/`, `samples.jsonl` and `report.html` hold text "
        "in which nothing is masked."
    )


def _there(facts: Facts) -> list[Fate]:
    return [end for end in facts.ends if not end.is_dropped]


def _size(amount: float) -> str:
    for unit, limit in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= limit:
            return f"{amount / limit:.3g} {unit}"
    return f"{amount:.0f} bytes"
