"""A wave gives the same bytes however many run it and whatever is killed; what cannot be survived is listed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import corpus_engine_jobs as jobs
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smolforge.corpus.config import EngineConfig
from smolforge.corpus.engine import Part, Poisoned, Runner, Task, kept_batches, parquet_parts
from smolforge.corpus.engine.bisect import JobAtFault, find_poisoned, most_poisoned, without
from smolforge.corpus.engine.inline import InlineLauncher
from smolforge.errors import ConfigError, DataError
from smolforge.store import QuietProgress

ROWS, GROUP = 90, 8


def table(path: Path, harms: dict[int, str] | None = None) -> Path:
    """Write a Parquet file of ``ROWS`` texts; ``harms`` says which rows do harm."""
    texts = [(harms or {}).get(row, f"row {row} of the table") for row in range(ROWS)]
    pq.write_table(pa.table({"text": texts, "n": range(ROWS)}), path, row_group_size=GROUP)
    return path


def tasks(path: Path, rows: int = 30) -> list[Task]:
    parts = parquet_parts(path, rows)
    return [Task(f"part-{i:05d}", (part,), part.last - part.first) for i, part in enumerate(parts)]


def config(workers: int = 1, timeout: float = jobs.PATIENCE, memory_mib: int = 512) -> EngineConfig:
    return EngineConfig(workers=workers, task_timeout=timeout, memory_mib=memory_mib)


def runner(folder: Path, settings: EngineConfig | None = None) -> Runner:
    return Runner(folder, settings or config(), QuietProgress())


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below ``folder`` but the plans."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "plan.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def inline(folder: Path, job: Callable[..., None], work: list[Task], argument: object = None) -> dict[str, bytes]:
    with Runner(folder, config(), QuietProgress(), InlineLauncher()) as run:
        run.wave("wave", job, work, argument)
    return contents(folder)


def test_parts_of_a_table_cover_each_row_once_in_whole_row_groups(tmp_path: Path) -> None:
    parts = parquet_parts(table(tmp_path / "t"), 30)
    assert [(part.first, part.last) for part in parts] == [(0, 32), (32, 64), (64, 90)]
    one_group = parquet_parts(tmp_path / "t", 1)
    assert [part.first for part in one_group] == list(range(0, ROWS, GROUP))


def test_rows_kept_are_those_of_the_ranges_with_their_numbers(tmp_path: Path) -> None:
    task = Task("t", (Part(table(tmp_path / "t"), 20, 70),), 50).only([(0, 3), (11, 12), (40, 50)])
    kept = [(first + i, row) for first, batch in kept_batches(task, task.inputs[0], ["n"], rows=5)
            for i, row in enumerate(batch.column(0).to_pylist())]  # fmt: skip
    numbers = [0, 1, 2, 11, *range(40, 50)]
    assert kept == [(number, number + 20) for number in numbers]
    assert [number for number in range(50) if number in task] == numbers
    assert not list(kept_batches(task.only([]), task.inputs[0]))


def test_a_torn_table_is_named(tmp_path: Path) -> None:
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(table(tmp_path / "t").read_bytes()[:-20])
    with pytest.raises(DataError, match=r"torn\.parquet: not a readable Parquet file"):
        parquet_parts(torn, 10)
    with pytest.raises(DataError, match=r"torn\.parquet: not a readable Parquet file"):
        list(kept_batches(Task("t", (), 10), Part(torn, 0, 10)))


def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    work = tasks(table(tmp_path / "t"), 10)
    expected = inline(tmp_path / "inline", jobs.shout, work)
    assert len(expected) == 6
    for workers in (1, 2, 4):
        with runner(tmp_path / str(workers), config(workers)) as run:
            outputs = run.wave("wave", jobs.shout, work)
        assert [output.name for output in outputs] == [task.name for task in work]
        assert contents(tmp_path / str(workers)) == expected


def test_the_largest_tasks_begin_first_and_outputs_keep_their_order(tmp_path: Path) -> None:
    work = [replace(task, size=size) for task, size in zip(tasks(table(tmp_path / "t")), (5, 0, 9), strict=True)]
    (tmp_path / "notes").mkdir()
    with Runner(tmp_path / "work", config(), QuietProgress(), InlineLauncher()) as run:
        outputs = run.wave("wave", jobs.shout_logged, work, tmp_path / "notes")
    assert (tmp_path / "notes" / "log").read_text().split() == [work[at].name for at in (2, 0, 1)]
    assert [output.name for output in outputs] == [task.name for task in work]


def test_workers_work_at_the_same_time(tmp_path: Path) -> None:
    (tmp_path / "met").mkdir()
    with runner(tmp_path / "work", config(2)) as run:
        run.wave("meet", jobs.meet, [Task(name, (), 2) for name in ("a", "b")], tmp_path / "met")


def test_a_killed_worker_costs_nothing_but_its_task_s_time(tmp_path: Path) -> None:
    work, notes = tasks(table(tmp_path / "t")), tmp_path / "notes"
    notes.mkdir()
    expected = inline(tmp_path / "inline", jobs.shout_logged, work, notes)
    (notes / "hold-part-00001").touch()
    with runner(tmp_path / "work", config(2)) as run, jobs.Killer(notes, "part-00001", which=0):
        run.wave("wave", jobs.shout_logged, work, notes)
    assert contents(tmp_path / "work") == expected
    assert not run.poisoned


DRIVER = """
import sys, pathlib, corpus_engine_jobs as jobs, test_corpus_engine_waves as here
table, work, notes, job, workers, *cluster = sys.argv[1:]
settings = here.EngineConfig(workers=int(workers), cluster=cluster[0] if cluster else None)
with here.Runner(pathlib.Path(work), settings, here.QuietProgress()) as run:
    run.wave("wave", getattr(jobs, job), here.tasks(pathlib.Path(table)), pathlib.Path(notes))
"""


def driver(*arguments: Path | str) -> subprocess.Popen[bytes]:
    """Run a wave in a process of its own, which can be killed."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen([sys.executable, "-c", DRIVER, *map(str, arguments)], env=environment)


def check_killed_driver(tmp_path: Path, *arguments: str) -> None:
    """Kill a driver while the last of three tasks is at work, run it again, and compare with an undisturbed run."""
    notes = tmp_path / "notes"
    notes.mkdir()
    expected = inline(tmp_path / "inline", jobs.shout_logged, tasks(table(tmp_path / "t")), notes)
    (notes / "log").unlink()
    (notes / "hold-part-00002").touch()
    everything = (tmp_path / "t", tmp_path / "work", notes, "shout_logged", *arguments)
    first = driver(*everything)
    finished = [tmp_path / "work" / "wave" / name for name in ("part-00000", "part-00001")]
    jobs.until((notes / "pids-part-00002").exists, "the last task to begin")
    jobs.until(lambda: all(path.exists() for path in finished), "the first tasks to be finished")
    first.kill()
    first.wait()
    worker = int((notes / "pids-part-00002").read_text().split()[0])
    jobs.until(lambda: jobs.gone(worker), "the end of the worker, which nobody told")
    assert not (tmp_path / "work" / "wave" / "part-00002").exists()
    (notes / "hold-part-00002").unlink()
    assert driver(*everything).wait() == 0
    assert contents(tmp_path / "work") == expected
    assert sorted((notes / "log").read_text().split()) == ["part-00000", "part-00001", "part-00002", "part-00002"]


def test_a_killed_driver_goes_on_where_it_was(tmp_path: Path) -> None:
    check_killed_driver(tmp_path, "1")


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    running = driver(table(tmp_path / "t"), tmp_path / "work", notes, "write_pid", "2")
    jobs.until(lambda: len(list(notes.iterdir())) == 2, "both workers to begin")
    running.send_signal(signal.SIGINT)
    assert running.wait() != 0
    assert all(jobs.gone(int(path.name)) for path in notes.iterdir())


def test_another_plan_does_not_take_old_outputs(tmp_path: Path) -> None:
    work = tasks(table(tmp_path / "t"))
    before = inline(tmp_path / "work", jobs.shout, work, "!")
    after = inline(tmp_path / "work", jobs.shout, work, "?")
    assert before.keys() == after.keys()
    assert all(b"!" not in data and b"?" in data for data in after.values())


def test_a_changed_input_or_an_earlier_wave_makes_a_wave_new(tmp_path: Path) -> None:
    def waves(path: Path, first: str) -> list[str]:
        (tmp_path / "notes" / "log").unlink(missing_ok=True)
        with Runner(tmp_path / "work", config(), QuietProgress(), InlineLauncher()) as run:
            run.wave("first", jobs.shout, tasks(path), first)
            run.wave("second", jobs.shout_logged, tasks(path), tmp_path / "notes")
        log = tmp_path / "notes" / "log"
        return log.read_text().split() if log.exists() else []

    (tmp_path / "notes").mkdir()
    path = table(tmp_path / "t")
    assert len(waves(path, "a")) == 3
    assert waves(path, "a") == []
    assert len(waves(path, "b")) == 3
    os.utime(path, ns=(1, 1))
    assert len(waves(path, "b")) == 3


def test_poisoned_rows_are_found_and_listed_and_all_others_kept(tmp_path: Path) -> None:
    clean = inline(tmp_path / "clean", jobs.shout, tasks(table(tmp_path / "t")))
    harms = {0: "exit", 17: "segv", 18: "raise", 40: "balloon", 63: "exit"}
    work = tasks(table(tmp_path / "t", harms))
    with runner(tmp_path / "work", config(2, memory_mib=128)) as run:
        run.wave("wave", jobs.shout, work)
    found = {(int(each.task[-1]) * 32 + each.item): each.why for each in run.poisoned}
    assert found == {
        0: "its process ended itself with code 3",
        17: "its process died of SIGSEGV",
        18: "KeyError: 'x'",
        40: "took more than 128 MiB of memory",
        63: "its process ended itself with code 3",
    }
    assert [(each.wave, each.task, each.item) for each in run.poisoned][2:4] == [
        ("wave", "part-00000", 18), ("wave", "part-00001", 8)]  # fmt: skip
    lines = {name: data.decode().splitlines() for name, data in clean.items()}
    for number, name in enumerate(sorted(lines)):
        kept = [row for item, row in enumerate(lines[name]) if item + number * 32 not in found]
        assert (tmp_path / "work" / name).read_text().splitlines() == kept
    listed = json.loads((tmp_path / "work" / "wave" / "part-00001.poisoned.json").read_text())
    assert [row["item"] for row in listed] == [8, 31]
    assert not (tmp_path / "work" / "wave" / "part-00002.poisoned.json").exists()


def test_poisoned_rows_are_the_same_after_an_interruption(tmp_path: Path) -> None:
    """Between the list and the output: the search is not repeated, the list stands."""
    work = tasks(table(tmp_path / "t", {5: "exit"}))
    with runner(tmp_path / "work") as run:
        output = run.wave("wave", jobs.shout, work)[0]
    expected = contents(tmp_path / "work")
    output.unlink()
    list_file = output.with_name("part-00000.poisoned.json")
    list_file.write_text(list_file.read_text().replace("code 3", "a list that is kept"))
    with runner(tmp_path / "work") as run:
        run.wave("wave", jobs.shout, work)
    assert contents(tmp_path / "work") == expected | {f"wave/{list_file.name}": list_file.read_bytes()}
    assert [(each.item, each.why) for each in run.poisoned] == [
        (5, "its process ended itself with a list that is kept")
    ]


@pytest.mark.slow
def test_a_row_that_hangs_is_found(tmp_path: Path) -> None:
    path = tmp_path / "two"
    pq.write_table(pa.table({"text": ["hang", "good"]}), path)
    with runner(tmp_path / "work", config(timeout=6.0)) as run:
        output = run.wave("wave", jobs.shout, [Task("part", (Part(path, 0, 2),), 2)])[0]
    assert run.poisoned == [Poisoned("wave", "part", 0, "ran longer than 6 s")]
    assert output.read_text() == "1 GOOD\n"


@settings(deadline=None)
@given(st.integers(1, 500), st.data())
def test_the_search_finds_exactly_the_poisoned_items(items: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, items - 1))
    poisoned = data.draw(st.sets(st.integers(first, items - 1), min_size=1, max_size=30))
    task = Task("part", (), items).only([(first, items)])

    def trial(pieces: Sequence[Task]) -> list[str]:
        return ["killed" if any(item in piece for item in poisoned) else "" for piece in pieces]

    if len(poisoned) > most_poisoned(items):
        with pytest.raises(JobAtFault):
            find_poisoned([task], trial)
        return
    assert find_poisoned([task], trial) == {"part": dict.fromkeys(poisoned, "killed")}
    rest = task.only(without(task.ranges, poisoned))
    assert {item for item in range(items) if item in rest} == set(range(first, items)) - poisoned


class Notes(QuietProgress):
    """Keeps what a person would be told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize("launcher", [InlineLauncher, None])
@pytest.mark.parametrize("size", [5, 5000])
def test_a_job_that_fails_on_every_row_is_at_fault_itself(tmp_path: Path, launcher: type | None, size: int) -> None:
    path, notes = tmp_path / "t", Notes()
    pq.write_table(pa.table({"text": ["raise"] * size}), path)
    with (
        Runner(tmp_path / "work", config(), notes, launcher and launcher()) as run,
        pytest.raises(DataError, match=rf"^wave/only: more than \d+ of its {size} items die.*KeyError: 'x'; the job"),
    ):
        run.wave("wave", jobs.shout, [Task("only", (Part(path, 0, size),), size)])
    assert any("Traceback" in note and "in fail" in note for note in notes.said)
    assert not run.poisoned


def test_too_little_memory_for_any_row_says_to_raise_it(tmp_path: Path) -> None:
    path = tmp_path / "t"
    pq.write_table(pa.table({"text": ["balloon"] * 8}), path)
    with (
        runner(tmp_path / "work", config(memory_mib=128)) as run,
        pytest.raises(DataError, match=r"wave/only: more than 4 of its 8 items .*128 MiB.*; raise corpus\.memory_mib"),
    ):
        run.wave("wave", jobs.shout, [Task("only", (Part(path, 0, 8),), 8)])


def test_many_small_tasks_that_fail_end_the_wave_before_all_were_tried(tmp_path: Path) -> None:
    path, notes = tmp_path / "t", Notes()
    pq.write_table(pa.table({"text": ["raise"] * 400}), path, row_group_size=1)
    work = [Task(f"part-{row:05d}", (Part(path, row, row + 1),), 1) for row in range(400)]
    with (
        Runner(tmp_path / "work", config(), notes, InlineLauncher()) as run,
        pytest.raises(DataError, match=r"^wave: \d+ of 400 items die.*KeyError: 'x'; the job is at fault"),
    ):
        run.wave("wave", jobs.shout, work)
    assert not any("part-00030" in note for note in notes.said)


def test_one_bad_row_in_each_of_many_tasks_costs_only_itself(tmp_path: Path) -> None:
    texts = ["raise" if row % 300 == 7 else "good" for row in range(6000)]
    path = tmp_path / "t"
    pq.write_table(pa.table({"text": texts}), path, row_group_size=300)
    with Runner(tmp_path / "work", config(), QuietProgress(), InlineLauncher()) as run:
        outputs = run.wave("wave", jobs.shout, tasks(path, 300))
    assert [(each.task, each.item) for each in run.poisoned] == [(f"part-{i:05d}", 7) for i in range(20)]
    assert sum(len(output.read_text().splitlines()) for output in outputs) == 6000 - 20


def test_a_task_of_poison_alone_still_has_an_output(tmp_path: Path) -> None:
    path = tmp_path / "one"
    pq.write_table(pa.table({"text": ["segv"]}), path)
    with runner(tmp_path / "work") as run:
        output = run.wave("wave", jobs.shout, [Task("only", (Part(path, 0, 1),), 1)])[0]
    assert run.poisoned == [Poisoned("wave", "only", 0, "its process died of SIGSEGV")]
    assert output.read_bytes() == b""


@pytest.mark.parametrize("launcher", [InlineLauncher, None])
def test_an_error_for_a_person_is_raised_at_once_with_the_task(tmp_path: Path, launcher: type | None) -> None:
    with (
        Runner(tmp_path, config(), QuietProgress(), launcher and launcher()) as run,
        pytest.raises(DataError, match=r"^read/part-00000: pages\.warc: torn at byte 17$"),
    ):
        run.wave("read", jobs.torn, [Task("part-00000", (), 10)])


def test_a_defect_is_not_mistaken_for_poison(tmp_path: Path) -> None:
    with runner(tmp_path) as run:
        with pytest.raises(DataError, match=r"dies even with none of its 10 items \(AttributeError: a defect"):
            run.wave("wave", jobs.defect, [Task("part-00000", (), 10)])
        with pytest.raises(DataError, match=r"wave/part-00000: AttributeError: a defect.* cannot be cut; the job"):
            run.wave("wave", jobs.defect, [Task("part-00000", (), 0)])


def test_a_task_too_large_for_its_limits_says_which_setting_helps(tmp_path: Path) -> None:
    with runner(tmp_path, config(memory_mib=128)) as run:
        assert run.wave("fits", jobs.greedy, [Task("a", (), 4)], 20)
        with pytest.raises(DataError, match=r"took more than 128 MiB.*corpus\.memory_mib"):
            run.wave("large", jobs.greedy, [Task("a", (), 4)], 40)


def test_jobs_and_tasks_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    with runner(tmp_path) as run:
        with pytest.raises(TypeError, match="top of a module"):
            run.wave("wave", lambda task, output, argument: None, [])
        with pytest.raises(ValueError, match="2 tasks of one wave have the name 'a'"):
            run.wave("wave", jobs.torn, [Task("a", (), 1), Task("a", (), 2)])
        with pytest.raises(TypeError, match="cannot hold a object"):
            run.wave("wave", jobs.torn, [], object())


def test_a_cluster_that_is_not_there_is_an_error_for_the_person(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    nowhere = EngineConfig(cluster="nowhere")
    with Runner(tmp_path, nowhere, QuietProgress()) as run, pytest.raises(ConfigError, match="'nowhere'"):
        run.wave("wave", jobs.torn, [Task("a", (), 1)])


def test_a_larger_task_has_more_time(tmp_path: Path) -> None:
    work = [Task("part-00000", (), 1, times=jobs.PATIENCE / 0.2)]
    with runner(tmp_path, config(timeout=0.2)) as run:
        (output,) = run.wave("wave", jobs.rest_a_second, work)
        assert output.read_text() == "rested" and not run.poisoned
