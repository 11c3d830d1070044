"""`smolforge corpus why`: finding a document, telling its history, comparing it with the one that stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smolforge.cli.columns import beside, cells
from smolforge.cli.main import main
from smolforge.corpus.history.compare import Comparison, compare
from smolforge.corpus.history.explain import explain
from smolforge.corpus.history.lookup import find, stored
from smolforge.errors import DataError
from tests.corpus.finished_corpus import ADDRESS, TEXTS, build


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("why"))


@pytest.fixture(scope="module")
def corpus(run: Path) -> Path:
    (folder,) = (run / "artifacts").glob("corpus-*")
    return folder


def text_of(found: Comparison) -> tuple[str, str]:
    kept, removed = ("".join(part.text for part in parts) for parts in (found.kept, found.removed))
    return kept, removed


def differing(found: Comparison) -> tuple[list[str], list[str]]:
    kept, removed = ([part.text.strip() for part in parts if part.differs] for parts in (found.kept, found.removed))
    return kept, removed


def test_a_document_is_found_by_its_id_its_beginning_and_its_address(corpus: Path) -> None:
    name = find(corpus, "file:near.txt")
    assert name.source == "own"
    assert find(corpus, name.doc_id) == name
    assert find(corpus, name.doc_id[:12].upper()) == name
    ((table, document),) = stored(corpus, {name.doc_id}).values()
    assert (table, document.url) == ("dropped", "file:near.txt")


def test_an_unknown_document_is_answered_with_the_nearest_ones(corpus: Path) -> None:
    with pytest.raises(DataError, match=r"near it: [0-9a-f]{32} \(file:near.txt\)"):
        find(corpus, "near.txt")
    with pytest.raises(DataError, match=r"near it: .*file:question.txt"):
        find(corpus, "file:qestion.txt")
    with pytest.raises(DataError, match="32 hexadecimal digits"):
        find(corpus, "0" * 32)


def test_the_beginning_of_several_ids_lists_them(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smolforge.corpus.history.lookup.SHORTEST_PREFIX", 0)
    with pytest.raises(DataError, match=r"'' is \d+ documents; give the id of one: .* and \d+ more"):
        find(corpus, "")


def test_differences_are_shown_from_just_before_the_first(corpus: Path) -> None:
    explained = explain(corpus, find(corpus, "file:near.txt").doc_id)
    assert explained.partner is not None and explained.partner.comparison is not None
    assert explained.partner.url == "file:page-01.txt"
    removed = differing(explained.partner.comparison)[1]
    assert removed == ["elsewhere"]


def test_a_text_that_is_all_there_differs_nowhere() -> None:
    found = compare(f"A header of its own\n\n{TEXTS[5]}", TEXTS[5][: len(TEXTS[5]) // 2].rsplit(" ", 1)[0])
    assert not found.differs
    kept, removed = text_of(found)
    assert kept[:200] == removed[:200] == TEXTS[5].strip()[:200]


def test_every_shown_word_is_of_its_text_in_any_script() -> None:
    chinese = "港口小镇的冬天很长，船只很少进港。" * 3
    for kept, removed in (
        (chinese, chinese.replace("冬天", "夏天", 1)),
        ("", "a b"),
        ("a" * 900, "a" * 901),
        (" ", "\n"),
    ):
        found = compare(kept, removed)
        for shown, text in zip(text_of(found), (kept, removed), strict=True):
            assert shown in text
    assert differing(compare(chinese, chinese.replace("冬天", "夏天", 1))) == (["冬"], ["夏"])


def test_columns_count_wide_characters_as_two_cells() -> None:
    lines = beside("船只很少进港" * 5, "ordinary words that go on and on for more than a line", 40).split("\n")
    assert all(cells(line) <= 40 for line in lines)
    assert len({cells(line.split("│")[0]) for line in lines}) == 1
    assert "".join(line.split("│")[0].strip() for line in lines) == "船只很少进港" * 5


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["corpus", "why", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_the_history_of_a_copy_says_what_stays_and_where_it_differs(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = told(capsys, "file:near.txt", "--run", str(run))
    assert "dropped by near_dedup" in out
    assert "STOPPED  text of another document" in out
    assert "file:page-01.txt" in out
    assert "⟦elsewhere⟧" in out
    assert "confidence" in out and "(at least 0.65)" in out
    same = told(capsys, "file:same.txt", "--run", str(run))
    page = told(capsys, "file:page-00.txt", "--run", str(run))
    both = (same, page)
    assert ["exact_dedup  STOPPED" in " ".join(out.split("\n")) for out in both].count(True) == 1
    assert sum("Dropped because this one has their text: 1" in out for out in both) == 1


def test_a_broken_limit_is_shown_first(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "file:again.txt", "--run", str(run))
    assert "dropped by rules" in out
    assert "limits of 'notes'" in out
    first, *others = out.partition("the nearest first\n")[2].splitlines()[1:]
    assert "BROKEN" in first and "BROKEN" not in others[-1]
    assert "limits of" not in told(capsys, "file:hostile.txt", "--run", str(run)), "it never came to the rules"


def test_masking_and_benchmarks_are_told(run: Path, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "file:mail.txt", "--corpus", str(corpus))
    assert "masked: 1 email" in out and ADDRESS not in out
    assert "holds items of help" in told(capsys, "file:question.txt", "--run", str(run))


def test_control_characters_of_a_document_do_not_reach_the_terminal(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = told(capsys, "file:hostile.txt", "--run", str(run))
    assert "␛[31m" in out
    assert not any(character in out for character in "\x1b\x07\u202e")


def test_json_carries_the_whole_history(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(told(capsys, "file:near.txt", "--run", str(run), "--json"))
    assert value["table"] == "dropped"
    assert value["partner"]["comparison"]["differs"] is True
    assert value["judgements"][-1]["partner"] == value["partner"]["doc_id"]
    assert {"profile", "limits"} == set(value["rules"])
    assert any(row["feature"] == "words" and row["low"] == 10 for row in value["rules"]["limits"])


def test_the_newest_run_is_meant_where_none_is_named(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parent.parent)
    assert "file:page-03.txt" in told(capsys, "file:page-03.txt")
    monkeypatch.chdir(run)
    assert main(["corpus", "why", "file:page-03.txt"]) == 2
    assert "--corpus FOLDER" in capsys.readouterr().err


def test_a_folder_that_is_no_corpus_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["why", "x", "--corpus"], ["report"], ["card"]):
        assert main(["corpus", *words, str(tmp_path)]) == 2
        assert "neither a finished corpus" in capsys.readouterr().err
