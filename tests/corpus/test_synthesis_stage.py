"""Generated sets from end to end: a scripted generator, what is kept and why not, and crashes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from smolforge.corpus.document import read_documents
from smolforge.corpus.synthesize.sources import choose
from smolforge.errors import DataError
from smolforge.tokens.template import render
from tests.corpus.scripted_server import Body, Handler, scripted
from tests.corpus.synthesis_answers import (
    FRENCH,
    ROOT,
    TIMER,
    answer,
    facts,
    good,
    prompt,
    rejected,
    settings,
)
from tests.corpus.synthesis_run import PLACES, contents, corpus, generate, towers


@pytest.fixture
def root(tmp_path: Path) -> Path:
    corpus(tmp_path / "corpus", towers(12))
    return tmp_path


def test_good_answers_of_every_kind_are_kept_with_where_they_come_from(root: Path) -> None:
    tools = root / "tools.json"
    tools.write_text(json.dumps([TIMER]))
    sets = {
        "articles": {"format": "wikipedia", "documents": 4},
        "sums": {"format": "maths", "documents": 4, "samples": 3},
        "timers": {"format": "tool_call", "documents": {"en": 4}, "tools": str(tools), "samples": 2},
        "pairs": {"format": "back_translation", "documents": 4, "to": ["fr"]},
        "exercises": {"format": "code", "documents": 4},
    }
    with scripted(good) as server:
        outcome = generate(root, settings(server, sets))
    counts = outcome.counts["generated"]
    kept = list(read_documents(root / "work/generated/kept"))
    duplicates = counts["timers"]["rejected"].pop("duplicate", 0)
    assert {name: (row["kept"], row["rejected"]) for name, row in counts.items() if name not in ("sums", "timers")} == {
        name: (4, {}) for name in ("articles", "pairs", "exercises")
    }
    assert counts["timers"]["kept"] + duplicates == 4
    sources = {document.doc_id: document for document in towers(12)}
    for document in kept:
        origin = document.meta["synthetic"]
        assert origin["generator"] == "m"
        assert origin["version"] >= 1
        assert document.source == f"synthetic/{origin['set']}"
        assert document.licence == sources[origin["source"]].licence
        assert all(re.fullmatch("[0-9a-f]{32}", key) for key in origin["requests"])
    for name in ("sums", "timers", "pairs", "exercises"):
        rows = [json.loads(line) for line in (root / f"work/{name}.jsonl").read_text("utf-8").splitlines()]
        assert len(rows) == counts[name]["kept"]
        for row in rows:
            assert render(row["messages"], mode=row["mode"], tools=row.get("tools"))
            assert row["meta"]["synthetic"]["source"] == row["group"]
    articles = [json.loads(line) for line in (root / "work/articles.docs.jsonl").read_text("utf-8").splitlines()]
    assert len(articles) == 4
    assert all(row["text"].startswith(PLACES) for row in articles)


def test_samples_that_agree_are_kept_and_the_share_is_recorded(root: Path) -> None:
    with scripted(good) as server:
        generate(root, settings(server, {"sums": {"format": "maths", "documents": 12, "samples": 3}}))
    rows = [json.loads(line) for line in (root / "work/sums.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 12
    for row in rows:
        assert row["messages"][-1]["content"].endswith("Answer: 36")
        assert row["meta"]["synthetic"]["measures"]["agreement"] == 0.6667
        assert len(row["meta"]["synthetic"]["requests"]) == 4


def test_every_rejected_sample_says_which_check_and_shows_the_evidence(root: Path) -> None:
    def spoiled(handler: Handler, body: Body) -> None:
        place, text = facts(prompt(body))[0].split()[0], answer(body)
        match place:
            case "Aveiro":
                handler.say(f"Sure, here is the article: {text}")
            case "Bergen":
                handler.say(prompt(body).split("<text>")[1].split("</text>")[0])
            case "Cadiz":
                handler.say(FRENCH.format(*facts(prompt(body))))
            case "Dunkirk":
                handler.say("The tower is high. " * 20)
            case "Esbjerg":
                handler.say("")
            case "Faro":
                handler.send(400, b'{"error": {"message": "the prompt is too long"}}')
            case "Genoa":
                choice = {"message": {"content": text}, "finish_reason": "length"}
                handler.send(200, json.dumps({"choices": [choice]}).encode())
            case "Hastings":
                handler.say("A beacon stands near the water, and ships see it.")
            case "Ischia":
                handler.say("The same words about no tower at all, " + text.split(" ", 2)[2])
            case _:
                handler.say(text)

    with scripted(spoiled) as server:
        outcome = generate(root, settings(server, {"articles": {"format": "wikipedia", "documents": 12}}))
    row = outcome.counts["generated"]["articles"]
    assert row["documents"] == 12
    assert row["kept"] == 12 - sum(row["rejected"].values())
    by_check: dict[str, list[str]] = {}
    for rejected_row in rejected(root):
        by_check.setdefault(rejected_row["reason"], []).append(rejected_row["detail"])
        assert rejected_row["step"] == "synthesize/articles"
        assert rejected_row["detail"].startswith(f"{rejected_row['reason']}: ")
        assert json.loads(rejected_row["meta"])["synthetic"]["requests"]
    assert Counter({check: len(details) for check, details in by_check.items()}) == Counter(row["rejected"])
    assert "Sure, here" in by_check["meta_talk"][0]
    assert "source's" in by_check["copy_rate"][0]
    assert "reads as fr" in by_check["language"][0]
    assert "are repeats" in by_check["repetition"][0]
    assert "the prompt is too long" in by_check["request"][0]
    assert any("cut off" in detail for detail in by_check["finished"])
    report = json.loads((root / "work/generated/report.json").read_text("utf-8"))["sets"]["articles"]
    assert report["examples"]["copy_rate"][0]["evidence"] in by_check["copy_rate"][0]


def test_a_judge_has_the_last_word_and_is_quoted(root: Path) -> None:
    with scripted(good) as server:
        judge = {"model": "j", "base_url": server.base_url}
        articles = {"articles": {"format": "wikipedia", "documents": 12}}
        generate(root, settings(server, articles, judge=judge))
    assert [row["detail"] for row in rejected(root)] == ["judge: score 2 of 5: as the source has it"] * 2
    assert all(
        document.meta["synthetic"]["measures"]["judge"] == 5
        for document in read_documents(root / "work/generated/kept")
    )


def test_bytes_depend_neither_on_how_many_are_asked_at_a_time_nor_on_the_address(root: Path) -> None:
    sets = {
        "articles": {"format": "wikipedia", "documents": 12},
        "sums": {"format": "maths", "documents": 12, "samples": 3},
    }
    results = []
    for concurrency in (1, 7):
        shutil.rmtree(root / "work", ignore_errors=True)
        (root / "requests.sqlite").unlink(missing_ok=True)
        with scripted(good) as server:
            config = settings(server, sets)
            config["generator"]["concurrency"] = concurrency
            generate(root, config)
        results.append(contents(root))
    assert results[0] == results[1]
    assert len(results[0]) == 6


def test_kill_9_in_the_middle_repeats_no_answered_request_and_leaves_the_same_bytes(root: Path) -> None:
    sets = {
        "articles": {"format": "wikipedia", "documents": 12},
        "sums": {"format": "maths", "documents": 12, "samples": 3},
    }
    seven, hold = threading.Event(), threading.Event()

    def stop_at_seven(handler: Handler, body: Body) -> None:
        if len(server.bodies) > 7:
            seven.set()
            hold.wait(600)
        good(handler, body)

    with scripted(stop_at_seven) as server:
        config = settings(server, sets)
        config["generator"]["concurrency"] = 1
        script = [sys.executable, str(Path(__file__).with_name("synthesis_run.py")), str(root), json.dumps(config)]
        child = subprocess.Popen(script, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert seven.wait(600)
        child.send_signal(signal.SIGKILL)
        child.wait()
        hold.set()
    answered = [json.dumps(body, sort_keys=True) for body in server.bodies[:7]]
    with scripted(good) as after:
        generate(root, settings(after, sets))
    asked_again = [json.dumps(body, sort_keys=True) for body in after.bodies]
    assert not set(answered) & set(asked_again)
    interrupted = contents(root)
    shutil.rmtree(root / "work")
    (root / "requests.sqlite").unlink()
    with scripted(good) as whole:
        generate(root, settings(whole, sets))
    assert contents(root) == interrupted
    assert len(whole.bodies) == len(answered) + len(asked_again)


def test_a_second_run_asks_nothing_and_a_changed_limit_neither(root: Path) -> None:
    with scripted(good) as server:
        generate(root, settings(server, {"articles": {"format": "wikipedia", "documents": 6}}))
    with scripted(good) as server:
        stricter = {"articles": {"format": "wikipedia", "documents": 6, "limits": {"least_characters": 5000}}}
        outcome = generate(root, settings(server, stricter))
    assert not server.bodies
    assert outcome.counts["generated"]["articles"]["rejected"] == {"finished": 6}


def test_documents_are_chosen_by_hash_up_to_each_quota_whatever_their_order(tmp_path: Path) -> None:
    documents = towers(40)
    corpus(tmp_path / "one", documents)
    corpus(tmp_path / "two", documents[::-1])
    chosen = choose(tmp_path / "one/kept", {"en": 9}, 3, "a", 100)
    assert len(chosen) == 9
    assert chosen == choose(tmp_path / "two/kept", {"en": 9}, 3, "a", 100)
    assert chosen != choose(tmp_path / "one/kept", {"en": 9}, 3, "b", 100)
    assert chosen < choose(tmp_path / "one/kept", {"en": 10}, 3, "a", 100)
    assert len(choose(tmp_path / "one/kept", {"en": 99}, 3, "a", 100)) == 40
    with pytest.raises(DataError, match="no document is in 'fr'"):
        choose(tmp_path / "one/kept", {"fr": 1}, 3, "a", 100)
