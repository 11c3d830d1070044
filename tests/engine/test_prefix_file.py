"""Saved prefixes answer after a restart, and a file that is torn, changed or foreign is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from smolforge.engine import prefix_file
from smolforge.engine.admission import Limits
from smolforge.engine.scheduler import Scheduler
from smolforge.errors import FormatError
from tests.engine.small_model import PATIENCE, VOCABULARY, SmallModel, SmallPages, Writing, greedy

PROMPT = list(range(30))


def scheduler(stored: int = 16) -> Scheduler:
    return Scheduler(SmallModel(), SmallPages(32), 150, Limits(prefix_bytes=stored * SmallPages.page_bytes))


def belongs(engine: Scheduler, **changes: str) -> dict[str, str]:
    return {**prefix_file.identity(engine.runner.store, "m" * 8, "t" * 8, "f16"), **changes}


def saved(path: Path) -> Path:
    engine = scheduler()
    for prompt in (PROMPT, [*PROMPT[:16], 5, 5, 5]):
        engine.submit(Writing(prompt, 20)).result(PATIENCE)
    pages = engine.between_steps(lambda: prefix_file.save(engine.runner.store, path, belongs(engine)))
    assert pages == len(engine.runner.store) > 6
    engine.close()
    return path


def load(engine: Scheduler, path: Path, **changes: str) -> int:
    belonging = belongs(engine, **changes)
    return engine.between_steps(lambda: prefix_file.load(engine.runner.store, path, belonging, VOCABULARY))


def test_a_restart_answers_from_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "prefixes.safetensors")
    engine = scheduler()
    assert load(engine, path) > 6
    work = Writing([*PROMPT, *greedy(PROMPT, 20)], 10)
    assert engine.submit(work).result(PATIENCE) == greedy([*PROMPT, *greedy(PROMPT, 20)], 10)
    assert work.cached >= 48
    assert load(engine, path) == 0, "what is there already is not taken again"
    engine.close()


def test_a_store_with_little_room_takes_what_fits(tmp_path: Path) -> None:
    path = saved(tmp_path / "prefixes.safetensors")
    engine = scheduler(stored=3)
    assert load(engine, path) == 3
    assert engine.submit(Writing(PROMPT, 5)).result(PATIENCE) == greedy(PROMPT, 5)
    engine.close()


@pytest.mark.parametrize(("key", "what"), [("model", "model"), ("tokenizer", "tokenizer"), ("kv", "key-value type")])
def test_a_file_of_another_model_is_refused(tmp_path: Path, key: str, what: str) -> None:
    path = saved(tmp_path / "prefixes.safetensors")
    engine = scheduler()
    with pytest.raises(FormatError, match=f"saved for another {what}"):
        load(engine, path, **{key: "other"})
    engine.close()


def test_a_torn_or_changed_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "prefixes.safetensors")
    engine, data = scheduler(), path.read_bytes()
    for broken in (data[:-1], data[:9], b"", data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]):
        path.write_bytes(broken)
        with pytest.raises(FormatError, match=str(path)):
            load(engine, path)
        assert len(engine.runner.store) == 0 and engine.runner.pool.used == 0
    engine.close()


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "prefixes.safetensors")
    before, engine = path.read_bytes(), scheduler()
    engine.submit(Writing(PROMPT, 20)).result(PATIENCE)
    monkeypatch.setattr(SmallPages, "read", lambda self, page: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.between_steps(lambda: prefix_file.save(engine.runner.store, path, belongs(engine)))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    engine.close()
