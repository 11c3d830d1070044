"""A document's history, clusters of duplicates, samples, and what later data repeats of an earlier corpus."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from smolforge.cli.main import main
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Document, read_documents, read_rows
from smolforge.corpus.history.document import clusters, history
from smolforge.corpus.rules.retune import retune
from smolforge.corpus.stage import run
from smolforge.errors import DataError
from smolforge.store import StageContext

TEXTS = [text for _, text in sorted(topics.items()) if len(text) > 1500][:14]
BANNER = "The reference of the language, page by page, for readers who like paper"


def config_of(folder: Path, **more: object) -> CorpusConfig:
    source = {"kind": "folder", "path": str(folder), "name": "own", "rules": "notes"}
    return CorpusConfig.model_validate({"sources": [source], "held_out": 0.2, **more})


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    for number, text in enumerate(TEXTS):
        (folder / f"page-{number:02d}.txt").write_text(f"{BANNER}\n\n{text}")
    (folder / "again.txt").write_text(f"{BANNER}\n{TEXTS[0]}\n")
    (folder / "part.txt").write_text(TEXTS[0][: len(TEXTS[0]) * 19 // 20])
    (folder / "mail.txt").write_text(f"{TEXTS[3][:900]}\nWrite to ines.moreau@harbour-office.fr about it.")
    (folder / "tiny.txt").write_text("Too small a text.")
    work = tmp_path_factory.mktemp("history") / "work"
    run(config_of(folder, line_dedup={}, save_index="first"), StageContext(work, {}, 7))
    return work


def document(work: Path, url: str) -> Document:
    found = [d for name in ("kept", "held_out", "dropped") for d in read_documents(work / name) if d.url == url]
    assert len(found) == 1
    return found[0]


def test_history_tells_every_step_to_the_one_that_stopped_a_document(work: Path) -> None:
    steps = list(dict.fromkeys(row["step"] for row in json.loads((work / "funnel.json").read_text())))
    for name in ("kept", "held_out", "dropped"):
        for each in read_documents(work / name):
            told = history(work, each.doc_id)
            assert (told.table, told.url, told.source) == (name, each.url, "own")
            judged = [judgement.step for judgement in told.judgements]
            assert judged == steps[: len(judged)]
            assert [judgement.passed for judgement in told.judgements[:-1]] == [True] * (len(judged) - 1)
            assert told.judgements[-1].passed == (name == "kept")


def test_history_names_the_partner_of_a_copy_and_the_copies_of_a_partner(work: Path) -> None:
    page, again, part = (document(work, f"file:{name}.txt") for name in ("page-00", "again", "part"))
    stops = {each.url: history(work, each.doc_id).judgements[-1] for each in (page, again, part)}
    assert stops[part.url].step == "near_dedup"
    assert stops[part.url].score == 1.0
    kept = next(each for each in (page, again) if history(work, each.doc_id).table != "dropped")
    other = again if kept is page else page
    assert stops[other.url].partner == kept.doc_id
    assert {doc_id for doc_id, _ in history(work, kept.doc_id).copies} == {part.doc_id, other.doc_id}
    (cluster,) = clusters(work)
    assert (cluster.kept, cluster.size) == (kept.doc_id, 2)
    assert {doc_id for doc_id, _, _ in cluster.dropped} == {part.doc_id, other.doc_id}


def test_history_says_what_was_cut_and_masked(work: Path) -> None:
    assert history(work, document(work, "file:page-05.txt").doc_id).changes == {"boilerplate_lines": 1}
    told = history(work, document(work, "file:mail.txt").doc_id)
    assert told.changes == {"masked": {"email": 1}}
    assert told.measures["label"] == "en"
    assert told.measures["words"] > 100
    assert BANNER not in document(work, "file:page-05.txt").text


def test_funnel_counts_the_bytes_of_what_was_cut(work: Path) -> None:
    rows = json.loads((work / "funnel.json").read_text())
    cut = [row for row in rows if row["step"] == "line_dedup" and not row["reason"]]
    missing = sum(row["bytes_in"] - row["bytes_out"] for row in cut)
    assert 12 * len(BANNER) <= missing <= 15 * (len(BANNER) + 4)
    kept = sum(document.bytes for document in read_documents(work / "kept"))
    assert sum(row["bytes_out"] for row in rows if row["step"] == "budget" and not row["reason"]) == kept
    assert all(row["estimated_tokens_out"] == row["bytes_out"] // 4 for row in rows)


def test_samples_show_what_each_reason_dropped(work: Path) -> None:
    samples = [json.loads(line) for line in (work / "samples.jsonl").read_text().split("\n") if line]
    dropped = [row for path in (work / "dropped").iterdir() for row in read_rows(path, ("doc_id", "step", "reason"))]
    assert {row["doc_id"] for row in samples} == {row["doc_id"] for row in dropped}, "twenty of each reason fit"
    assert Counter(row["reason"] for row in samples) == Counter(row["reason"] for row in dropped)
    assert all(row["text"] and row["detail"] for row in samples)


def test_an_unknown_document_is_an_error_that_says_what_an_id_is(work: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hexadecimal"):
        history(work, "page-00")
    with pytest.raises(DataError, match="not the folder of a finished corpus stage"):
        history(tmp_path, "0" * 32)


def test_later_data_loses_what_a_saved_index_holds(work: Path, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    folder.mkdir()
    (folder / "old.txt").write_text(TEXTS[4])
    (folder / "new.txt").write_text(topics["yield"])
    run(config_of(folder, indexes=[str(work / "index")]), StageContext(tmp_path / "work", {}, 7))
    told = history(tmp_path / "work", document(tmp_path / "work", "file:old.txt").doc_id)
    assert told.table == "dropped"
    assert told.judgements[-1].partner == f"first:{document(work, 'file:page-04.txt').doc_id}"
    assert history(tmp_path / "work", document(tmp_path / "work", "file:new.txt").doc_id).table != "dropped"
    assert [cluster.kept.split(":")[0] for cluster in clusters(tmp_path / "work")] == ["first"]


def test_other_limits_are_tried_without_the_texts(work: Path, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    same = retune(work, config)
    assert same
    assert all((row.now, row.fresh, row.now_bytes) == (row.then, 0, row.then_bytes) for row in same)
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "notes.json").write_text(json.dumps({"default": {"words": [1_000_000, None]}}))
    strict = {row.reason: row for row in retune(work, config.model_copy(update={"rules": str(rules)}))}
    row = strict["words too low"]
    judged = [row for row in json.loads((work / "funnel.json").read_text()) if row["step"] == "rules"]
    assert row.now == sum(each["documents_in"] for each in judged)
    assert row.now_bytes == sum(each["bytes_in"] for each in judged)
    assert row.fresh == row.now - row.then > 10


def test_the_command_tries_limits_and_names_wrong_keys(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpus", "retune", str(work), "--set", "language.confidence=1.0", "--json"]) == 0
    rows = {(row["step"], row["reason"]): row for row in json.loads(capsys.readouterr().out)}
    row = rows["language", "language unclear"]
    assert row["now"] > row["then"] and row["fresh_bytes"] > 0
    assert main(["corpus", "retune", str(work), "--set", "language.confidence=1.0"]) == 0
    assert f"{row['now']:,}" in capsys.readouterr().out
    assert main(["corpus", "retune", str(work), "--set", "language.confidense=1.0"]) == 2
    assert "corpus.language.confidense: unknown key (did you mean 'confidence'?)" in capsys.readouterr().err
    assert main(["corpus", "retune", str(work), "--set", "language.confidence=7"]) == 2
    assert "less than or equal to 1" in capsys.readouterr().err
