"""A task over a table: killed anywhere it goes on where it was, nothing twice, and failed rows keep their reason."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smolforge.cli.main import main
from smolforge.engine.engine import Engine
from smolforge.errors import ConfigError, DataError
from smolforge.store.tables import open_table, write_rows
from smolforge.tasks.apply import Applied, apply
from smolforge.tasks.apply_journal import ROWS, Journal
from tests.engine.tiny_model import write_tiny_model

CHILD = """
import sys
from smolforge.engine.engine import Engine
from smolforge.tasks.apply import apply

def wait(done, total):
    print(done, flush=True)
    if not sys.stdin.readline():
        raise SystemExit(3)

model, source, target = sys.argv[1:]
with Engine.open(model, threads=1, cache=False) as engine:
    done = apply(engine, "chat", source, target, prompt="{text}", max_tokens=6, progress=wait)
print("tried", done.tried, flush=True)
"""
COUNT = 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[Engine]:
    with Engine.open(model, threads=1, cache=False) as opened:
        yield opened


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [
        {"id": i, "text": f"turn on light {i}" if i % 7 else "", "where": {"room": ["hall", i]}} for i in range(COUNT)
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chat(engine: Engine, source: Path, target: Path, **options: Any) -> Applied:
    return apply(engine, "chat", source, target, **{"prompt": "{text}", "max_tokens": 6, **options})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run_until(model: Path, source: Path, target: Path, rows: int | None) -> tuple[list[int], str]:
    """Run the job in a process of its own, which is killed when ``rows`` are answered in this run (None: never).

    Return the counts it reported, and what it said at its end.
    """
    command = [sys.executable, "-c", CHILD, str(model), str(source), str(target)]
    reported: list[int] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for line in child.stdout:
            if not line.strip().isdigit():
                return reported, line.strip()
            reported.append(int(line))
            if len(reported) == rows:
                child.kill()  # while it waits to be told to go on, with other rows on their way
                return reported, "killed"
            child.stdin.write("go\n")
            child.stdin.flush()
    raise AssertionError("the job ended without a word")


@pytest.mark.parametrize(
    ("kind", "kills"),
    [("jsonl", (1, 16, COUNT - 17)), ("parquet", (9,))],  # the third: everything is answered, nothing is joined
)
def test_killed_at_several_points_the_result_is_that_of_one_run_and_no_row_is_answered_twice(
    engine: Engine, model: Path, source: Path, tmp_path: Path, kind: str, kills: tuple[int, ...]
) -> None:
    chat(engine, source, tmp_path / f"whole.{kind}")
    target = tmp_path / f"killed.{kind}"
    journal = tmp_path / f"killed.{kind}.work" / ROWS
    answered = 0
    for rows in kills:
        reported, end = run_until(model, source, target, rows)
        assert end == "killed"
        assert reported == list(range(answered + 1, answered + rows + 1))
        answered += rows
        assert len(journal.read_bytes().splitlines()) == answered
        assert not target.exists()
    reported, end = run_until(model, source, target, None)
    assert reported == list(range(answered + 1, COUNT + 1))
    assert end == f"tried {COUNT - answered}"
    if kind == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        assert parquet.read_table(target).equals(parquet.read_table(tmp_path / "whole.parquet"))
    else:
        assert target.read_bytes() == (tmp_path / f"whole.{kind}").read_bytes()


@pytest.mark.parametrize("torn", [1, 20, 200])
def test_a_torn_end_costs_its_own_rows_only(engine: Engine, source: Path, tmp_path: Path, torn: int) -> None:
    first = chat(engine, source, tmp_path / "out.jsonl")
    assert first.tried == COUNT
    whole = (tmp_path / "out.jsonl").read_bytes()
    journal = tmp_path / "out.jsonl.work" / ROWS  # kept, because rows have failed
    kept = journal.read_bytes()[:-torn]
    journal.write_bytes(kept + b"\x00\x00")
    (tmp_path / "out.jsonl").unlink()
    again = chat(engine, source, tmp_path / "out.jsonl")
    assert again.tried == COUNT - kept.count(b"\n")
    assert (tmp_path / "out.jsonl").read_bytes() == whole


def test_a_failed_row_keeps_its_error_and_is_tried_again_on_request_only(
    engine: Engine, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.jsonl"
    done = chat(engine, source, target)
    failed = [row for row in lines(target) if row["error"]]
    assert [row["id"] for row in failed] == list(range(0, COUNT, 7))
    assert done.failed == len(failed)
    assert all(row["answer"] is None and row["error"] == "column 'text' is empty" for row in failed)
    assert all(row["answer"] for row in lines(target) if not row["error"])
    assert chat(engine, source, target).tried == 0
    assert chat(engine, source, target, retry_failed=True).tried == len(failed)


def test_without_failures_nothing_stays_but_the_result(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('text\n"turn on, please"\n')
    chat(engine, tmp_path / "in.csv", tmp_path / "out.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]
    with pytest.raises(ConfigError, match="exists already"):
        chat(engine, tmp_path / "in.csv", tmp_path / "out.csv")
    assert chat(engine, tmp_path / "in.csv", tmp_path / "out.csv", overwrite=True).tried == 1


def test_a_later_outcome_of_a_failed_row_replaces_the_earlier_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "work", {"task": "x"})
    journal.add(0, "no")
    journal.add(1, {"a": 1})
    journal.add(0, {"a": 0})
    journal.close()
    again = Journal(tmp_path / "work", {"task": "x"})
    assert list(again.outcomes()) == [{"a": 0}, {"a": 1}]
    assert (again.rows, again.failed) == (2, set())
    again.close()


def test_another_job_or_another_process_is_kept_out(engine: Engine, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    chat(engine, source, target)
    with pytest.raises(ConfigError, match="another options was begun"):
        chat(engine, source, target, max_tokens=7)
    source.write_text(source.read_text().replace("light 3", "light three"))
    with pytest.raises(ConfigError, match="another input was begun"):
        chat(engine, source, target)
    held = Journal(tmp_path / "held.work", {})
    with pytest.raises(ConfigError, match="another process is at work"):
        Journal(tmp_path / "held.work", {})
    held.close()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"prompt": "say {txt}"}, "no column 'txt' .did you mean 'text'"),
        ({"prompt": "say"}, "names no column"),
        ({"max_token": 3}, "unknown option 'max_token'"),
        ({"think": True, "thinking_budget": -1}, "thinking budget is -1"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_answered(
    engine: Engine, source: Path, tmp_path: Path, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        chat(engine, source, tmp_path / "out.jsonl", **options)
    assert not (tmp_path / "out.jsonl").exists()


def test_wrong_tasks_and_columns_are_refused_by_name(engine: Engine, source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such task .did you mean 'embed'"):
        apply(engine, "embd", source, tmp_path / "out.jsonl")
    with pytest.raises(ConfigError, match="labels"):
        apply(engine, "classify", source, tmp_path / "out.jsonl")
    (tmp_path / "labelled.csv").write_text("text,label\nturn on,light\n")
    with pytest.raises(ConfigError, match="has a column 'label' already; give a prefix"):
        apply(engine, "classify", tmp_path / "labelled.csv", tmp_path / "out.csv", labels=["on", "off"])
    done = apply(
        engine, "classify", tmp_path / "labelled.csv", tmp_path / "out.csv", labels=["on", "off"], prefix="my_"
    )
    assert done.failed == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "text,label,my_label,my_score,my_scores,my_error"


def test_every_task_adds_its_columns_and_fails_row_by_row(engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    texts = ["turn on the light", None, "light " * 600, "the hall"]  # the third is longer than the context
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    tool = {"name": "set", "parameters": {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}}
    asked: dict[str, tuple[dict[str, Any], str]] = {
        "classify": ({"labels": ["on", "off"]}, "label"),
        "call": ({"tools": [tool], "parallel": False}, "calls"),
        "embed": ({}, "embedding"),
        "extract": ({"schema": "what span", "max_tokens": 64}, "extracted"),
    }
    for task, (options, column) in asked.items():
        target = tmp_path / f"{task}.jsonl"
        apply(engine, task, source, target, **options)
        rows = lines(target)
        good = [bool(row[column]) and row["error"] is None for row in rows]
        assert good[:2] + good[3:] == [True, False, True], (task, rows)
        assert rows[1]["error"] == "column 'text' is empty"
        if task != "extract":  # which reads a long text in sections
            assert not good[2]
            assert "512" in rows[2]["error"]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_tables_keep_what_rows_hold(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    rows: list[dict[str, Any]] = [
        {"s": 'a "b",\nc', "i": 1, "f": 0.5, "b": True, "j": {"x": [1, "ü"]}},
        {"s": None, "i": None, "f": 2.0, "b": None, "j": None},
    ]
    path = tmp_path / f"t.{kind}"
    write_rows(
        path, [dict(row) for row in rows], {"s": "text", "i": "integer", "f": "number", "b": "truth", "j": "json"}
    )
    table = open_table(path)
    assert table.rows == 2
    assert list(table.columns) == ["s", "i", "f", "b", "j"]
    found = list(table.each())
    if kind == "jsonl":
        assert found == rows
    elif kind == "parquet":
        assert found == [{**rows[0], "j": '{"x": [1, "ü"]}'}, rows[1]]
    else:
        assert found[0] == {"s": 'a "b",\nc', "i": "1", "f": "0.5", "b": "true", "j": '{"x": [1, "ü"]}'}
        assert found[1] == {"s": "", "i": "", "f": "2.0", "b": "", "j": ""}
    assert list(table.each(1)) == found[1:]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.jsonl", '{"text": "x"}\n{"text"}\n', "line 2: not valid JSON"),
        ("a.jsonl", "[1]\n", "line 1: list, expected an object"),
        ("a.csv", "a,b\n1,2,3\n", "line 2: more cells than columns"),
        ("a.csv", "a,a\n1,2\n", "two columns have the same name"),
        ("a.csv", "a,b\n", "the table has no rows"),
        ("a.parquet", "PAR1", "not a Parquet file"),
    ],
)
def test_a_wrong_table_is_named_with_its_place(tmp_path: Path, name: str, text: str, expected: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=expected):
        open_table(tmp_path / name)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_large_table_is_not_held_in_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"large.{kind}"
    rows = ({"text": "x" * 20_000, "n": i} for i in range(400))
    tracemalloc.start()
    write_rows(path, rows, {"text": "text", "n": "integer"})
    count = sum(1 for _ in open_table(path).each(200))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 200
    assert path.stat().st_size > 8_000_000
    assert peak < 2_000_000


def test_the_verb_writes_the_table_and_says_how_many_failed(
    model: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.csv"
    words = ["apply", "classify", str(source), str(target), "--labels", "on,off", "-m", str(model), "--threads", "1"]
    assert main([*words, "--json", "--prefix", "my_"]) == 0
    captured = capsys.readouterr()
    counts = json.loads(captured.out)
    assert (counts["rows"], counts["answered"], counts["failed"], counts["tried"]) == (COUNT, COUNT - 6, 6, COUNT)
    assert "6 of 40 rows failed; the column my_error says why" in captured.err
    assert target.read_text().splitlines()[0] == "id,text,where,my_label,my_score,my_scores,my_error"
    assert main([*words, "--column", "txt"]) == 2
    assert "no column 'txt'" in capsys.readouterr().err
    words = ["apply", "extract", str(source), str(tmp_path / "o.csv"), "--schema", "name", "--section-tokens"]
    assert main([*words, "0", "-m", str(model)]) == 2
    assert "--section-tokens is 0, expected 1 or more" in capsys.readouterr().err
    assert main([*words, "7000", "-m", str(model), "--threads", "1"]) == 2
    assert "are left for a section of text" in capsys.readouterr().err
    assert main(["apply", "embed", str(source), str(tmp_path / "out.xlsx"), "-m", str(model)]) == 2
    assert "expected a name that ends in .jsonl, .csv, .parquet" in capsys.readouterr().err
