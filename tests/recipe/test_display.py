"""What a person reads while a recipe runs."""

from __future__ import annotations

import io
import json
import time

import pytest

from smolforge.recipe.display import JsonDisplay, TerminalDisplay, Work, choose_display, clock, shown


def test_values_read_as_people_write_them() -> None:
    assert shown("tokens_per_second", 11_234.0) == "11.2k tokens/s"
    assert shown("tokens/s", 217.7) == "218 tokens/s"
    assert shown("loss", 3.21456) == "loss 3.215"
    assert shown("phase", "decay") == "phase decay"
    assert [clock(65), clock(7380), clock(0.4)] == ["1:05", "2:03:00", "0:00"]


def test_time_left_counts_from_where_this_try_began(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    work = Work()
    work.take({"kind": "start", "total": 100, "unit": "steps"})
    work.take({"kind": "update", "done": 80, "values": {"loss": 2.0}})  # continued in the middle
    assert work.seconds_left() is None
    now = 10.0
    work.take({"kind": "update", "done": 85, "values": {"loss": 1.5}})
    assert work.seconds_left() == pytest.approx(30.0)
    assert work.line() == "85/100 steps, loss 1.5, 0:30 left"


def test_json_events_name_their_stage() -> None:
    stream = io.StringIO()
    display = choose_display(as_json=True, stream=stream)
    display.begin("sft", 8, 13, "abc")
    display.message({"kind": "note", "text": "é"})
    display.end("done", 1.0)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["kind"] for event in events] == ["begin", "note", "end"]
    assert {event["stage"] for event in events} == {"sft"} and isinstance(display, JsonDisplay)


def test_a_terminal_keeps_one_line_for_each_finished_stage() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    display = choose_display(as_json=False, stream=stream)
    assert isinstance(display, TerminalDisplay)
    display.begin("corpus", 1, 2, "abc")
    display.message({"kind": "start", "total": 4, "unit": "shards"})
    display.message({"kind": "note", "text": "a [bracketed] note"})
    display.end("cached", 0.0)
    display.close()
    text = stream.getvalue()
    assert "a [bracketed] note" in text and "· [1/2] corpus: finished earlier, kept" in text
