"""The runner: kept work, cache hits, ids, the lock, and what a failure leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smolforge.errors import ArtifactError, ConfigError
from smolforge.recipe.display import JsonDisplay, PlainDisplay
from smolforge.recipe.load import load_recipe
from smolforge.recipe.lock import hold
from smolforge.recipe.process import StageCrash, StageError
from smolforge.recipe.runner import RunResult, run_recipe
from smolforge.recipe.schema import Recipe, identify
from smolforge.store.artifact import MANIFEST
from tests.recipe.toy_stages import TOY_STAGES

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600.0  # seconds; other processes may have the machine


@pytest.fixture(autouse=True)
def _workers_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def toy(tmp_path: Path, *overrides: str, text: str = "write: {}\ncount: {}\njoin: {}\n") -> Recipe:
    path = tmp_path / "toy.yaml"
    path.write_text(f"name: toy\noutput: {tmp_path}/out\nseed: 5\n{text}")
    return load_recipe(path, overrides, TOY_STAGES)


def go(recipe: Recipe, **options: str) -> RunResult:
    return run_recipe(recipe, JsonDisplay(sys.stderr), **options)


def ids(recipe: Recipe) -> dict[str, str]:
    return {step.stage.name: step.id for step in identify(recipe)}


def test_a_run_writes_every_stage_with_a_manifest_and_its_cost(tmp_path: Path) -> None:
    result = go(toy(tmp_path))
    joined = result.artifacts["join"]
    joined.verify()
    assert (joined.path / "joined.txt").read_text() == "one0\n1\n2\n"
    manifest = joined.manifest
    assert manifest.inputs == {name: result.artifacts[name].manifest.id for name in ("write", "count")}
    assert manifest.metrics == {"seed": 5.0} and manifest.counts == {"characters": 9}
    assert manifest.libraries["python"] == sys.version.split()[0] and "pydantic" in manifest.libraries
    assert manifest.cost["wall_s"] > 0 and manifest.cost["peak_rss_bytes"] > 1 << 20 and manifest.cost["tries"] == 1
    assert manifest.cost["energy_method"] and manifest.cost["machine"]["cores"] >= 1
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["complete"] and run["stages"]["join"] == f"artifacts/join-{manifest.id}"
    assert not list((tmp_path / "out" / "work").iterdir())


def test_a_second_run_keeps_everything(tmp_path: Path) -> None:
    first = go(toy(tmp_path))
    marks = {name: (a.path / "manifest.json").stat().st_mtime_ns for name, a in first.artifacts.items()}
    second = go(toy(tmp_path))
    assert second.cached == ["write", "count", "join"]
    assert marks == {name: (a.path / "manifest.json").stat().st_mtime_ns for name, a in second.artifacts.items()}


def test_editing_a_stage_makes_it_and_what_reads_it_new_and_nothing_else(tmp_path: Path) -> None:
    before, after = ids(toy(tmp_path)), ids(toy(tmp_path, "write.words+=two"))
    assert before["write"] != after["write"] and before["join"] != after["join"]
    assert before["count"] == after["count"]


def test_ids_do_not_depend_on_key_order_comments_or_spelled_out_defaults(tmp_path: Path) -> None:
    plain = ids(toy(tmp_path))
    spelled = "join: {fail: ''}\n# a comment\ncount: {seconds_per_step: 0, steps: 3}\nwrite:\n  words: [one]\n"
    assert plain == ids(toy(tmp_path, text=spelled))


def test_the_seed_is_part_of_every_id(tmp_path: Path) -> None:
    assert not set(ids(toy(tmp_path)).values()) & set(ids(toy(tmp_path, "seed=6")).values())


def test_a_change_outside_the_recipe_makes_the_stage_that_reads_it_new(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("a")
    before = ids(toy(tmp_path, f"write.outside={tmp_path}/notes"))
    (tmp_path / "notes").write_text("b")
    after = ids(toy(tmp_path, f"write.outside={tmp_path}/notes"))
    assert before["write"] != after["write"] and before["count"] == after["count"]


def test_until_stops_and_from_runs_again(tmp_path: Path) -> None:
    assert list(go(toy(tmp_path), until="count").artifacts) == ["write", "count"]
    assert not json.loads((tmp_path / "out" / "run.json").read_text())["complete"]
    result = go(toy(tmp_path), from_stage="count")
    assert result.cached == ["write"]
    assert (result.artifacts["count"].path / "tries.txt").read_text() == "0\n"


@pytest.mark.parametrize("option", ["until", "from_stage"])
def test_an_unknown_stage_is_refused_with_the_nearest_name(tmp_path: Path, option: str) -> None:
    with pytest.raises(ConfigError, match="did you mean 'count'"):
        go(toy(tmp_path), **{option: "cont"})


def test_a_refusal_by_a_stage_is_one_line_and_leaves_nothing_final(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"^join: words.txt:1: expected a longer word$"):
        go(toy(tmp_path, "join.fail=person"))
    assert [path.name.split("-")[0] for path in sorted((tmp_path / "out" / "artifacts").iterdir())] == [
        "count",
        "write",
    ]


def test_a_defect_in_a_stage_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(StageCrash, match="RuntimeError: this is a defect"):
        go(toy(tmp_path, "join.fail=defect"))


def test_a_full_disk_is_one_line_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"joined\.txt: No space left on device") as caught:
        go(toy(tmp_path, "join.fail=full"))
    assert caught.value.exit_code == 2


def test_what_only_a_resume_needs_is_not_part_of_the_finished_stage(tmp_path: Path) -> None:
    counted = go(toy(tmp_path)).artifacts["count"]
    assert not (counted.path / "resume").exists() and "count.txt" in counted.manifest.files


def test_a_stage_killed_after_its_manifest_is_finished_by_the_next_run(tmp_path: Path) -> None:
    counted = go(toy(tmp_path)).artifacts["count"]
    before = (counted.path / MANIFEST).read_bytes()
    work = tmp_path / "out" / "work" / counted.path.name
    counted.path.rename(work)
    (work / "resume").mkdir()
    (work / "resume" / "state.txt").write_text("left by the kill")
    again = go(toy(tmp_path))
    assert "count" in again.cached and not work.exists()
    assert (counted.path / MANIFEST).read_bytes() == before and not (counted.path / "resume").exists()


def test_a_killed_stage_says_so(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="ended by SIGKILL"):
        go(toy(tmp_path, "join.fail=killed"))


def test_a_second_run_of_the_same_output_is_told_who_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smolforge.recipe.lock.PATIENCE_SECONDS", 0.1)
    with hold(tmp_path / "out"), pytest.raises(ArtifactError, match=rf"process {os.getpid()} on .* since 20"):
        go(toy(tmp_path))


def test_kill_9_of_the_runner_ends_its_stage_and_the_next_run_goes_on(tmp_path: Path) -> None:
    recipe = toy(tmp_path, text=f"write: {{}}\ncount: {{steps: 4, gate: {tmp_path}/gate}}\njoin: {{}}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.recipe.toy_stages", str(recipe.source)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + PATIENCE
    while not any(log.read_text() == "0\n1\n" for log in (tmp_path / "out" / "work").glob("count-*/count.txt")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "out" / "artifacts").glob("count-*"))
    (tmp_path / "gate").touch()
    result = go(recipe)  # takes the lock: the orphaned stage process is gone, or this would be refused
    assert result.cached == ["write"]
    assert (result.artifacts["count"].path / "count.txt").read_text() == "0\n1\n2\n3\n"
    assert (result.artifacts["count"].path / "tries.txt").read_text() == "0\n2\n"


def test_stdout_of_a_stage_goes_to_its_log_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = run_recipe(toy(tmp_path), PlainDisplay(sys.stderr))
    out, err = capfd.readouterr()
    assert out == "" and "chatter" not in err
    assert "[1/3] write: writing 1 words" in err and "[3/3] join: done in 0:0" in err
    log = tmp_path / "out" / "logs" / f"{result.artifacts['join'].path.name}.log"
    assert "chatter on stdout" in log.read_text()
