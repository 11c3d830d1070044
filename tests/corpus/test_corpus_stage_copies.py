"""Which of several copies stays: one that passes, one of a source that goes ahead; and who is told of it."""

from __future__ import annotations

import json
from pathlib import Path
from pydoc_data.topics import topics

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Document, read_documents
from smolforge.corpus.history.document import clusters, history
from smolforge.corpus.stage import run
from smolforge.store import StageContext, StageOutcome

TEXTS = [text for _, text in sorted(topics.items()) if len(text) > 1500][:8]


def build(work: Path, sources: list[dict[str, object]], **more: object) -> StageOutcome:
    return run(CorpusConfig.model_validate({"sources": sources, "held_out": 0, **more}), StageContext(work, {}, 7))


def source(folder: Path, texts: dict[str, str], **more: object) -> dict[str, object]:
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return {"kind": "folder", "path": str(folder), "name": folder.name, "rules": "notes", **more}


def by_url(work: Path) -> dict[str, tuple[str, Document]]:
    tables = ("kept", "held_out", "dropped")
    return {document.url: (name, document) for name in tables for document in read_documents(work / name)}


def test_a_copy_that_passes_does_not_go_for_one_that_does_not(tmp_path: Path) -> None:
    """The first source declares another language, so its copy, which would stay, is dropped by the language step."""
    sources = [
        source(tmp_path / "first", {"a.txt": TEXTS[0] + "  ", "b.txt": TEXTS[1]}, language="fr"),
        source(tmp_path / "second", {"c.txt": TEXTS[0]}),
    ]
    build(tmp_path / "work", sources)
    assert {url: table for url, (table, _) in by_url(tmp_path / "work").items()} == {
        "file:a.txt": "dropped", "file:b.txt": "dropped", "file:c.txt": "kept"}  # fmt: skip


def test_a_source_ahead_stays_whatever_the_length(tmp_path: Path) -> None:
    for ahead in (False, True):
        folder = tmp_path / str(ahead)
        crawl = source(folder / "crawl", {"page.txt": TEXTS[0] + " One more sentence at the end of it."})
        books = source(folder / "books", {"book.txt": TEXTS[0]}, ahead=ahead)
        build(folder / "work", [crawl, books])
        found = {url: table for url, (table, _) in by_url(folder / "work").items()}
        assert found == {
            "file:page.txt": "dropped" if ahead else "kept",
            "file:book.txt": "kept" if ahead else "dropped",
        }


def test_history_follows_a_copy_of_a_copy_to_the_document_that_stays(tmp_path: Path) -> None:
    part = TEXTS[0][: len(TEXTS[0]) * 19 // 20]
    texts = {"whole.txt": TEXTS[0], "part.txt": part + "\n", "again.txt": part, "other.txt": TEXTS[1]}
    work = tmp_path / "work"
    build(work, [source(tmp_path / "own", texts)])
    documents = {url.removeprefix("file:"): document.doc_id for url, (_, document) in by_url(work).items()}
    stops = {name: history(work, doc_id).judgements[-1] for name, doc_id in documents.items()}
    copies = {name: stop.step for name, stop in stops.items() if not stop.passed}
    assert sorted(copies.values()) == ["exact_dedup", "near_dedup"] and set(copies) == {"part.txt", "again.txt"}
    assert {stops[name].partner for name in copies} == {documents["whole.txt"]}
    assert {stops[name].score for name in copies} == {1.0}
    went = {documents[name] for name in copies}
    assert {doc_id for doc_id, _ in history(work, documents["whole.txt"]).copies} == went
    (cluster,) = clusters(work)
    assert (cluster.kept, cluster.size) == (documents["whole.txt"], 2)
    assert {doc_id for doc_id, _, _ in cluster.dropped} == went


def test_text_that_is_lost_with_a_partner_is_counted(tmp_path: Path) -> None:
    question = "Which gas do submarine engineers scrub from cabin air with the help of lithium hydroxide?"
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "arc.jsonl").write_text(json.dumps({"id": "a1", "question": question}) + "\n")
    texts = {"leak.txt": f"{TEXTS[0]}\n\n{question}\n", "clean.txt": TEXTS[0], "same.txt": TEXTS[0] + " "}
    own = source(tmp_path / "own", texts | {"other.txt": TEXTS[1]})
    outcome = build(tmp_path / "work", [own], decontaminate={"benchmarks": str(tmp_path / "packs")})
    assert outcome.counts["dropped"] == {
        "decontaminate: holds items of arc": 1, "exact_dedup: same text": 1,
        "near_dedup: text of another document": 1}  # fmt: skip
    assert outcome.counts["copies_of_dropped"] == 2
