"""A person chats: answers stream in, can be stopped, asked for again, branched and found again after a reload."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import expect

from smolforge import Engine
from smolforge.engine.admission import Overloaded
from smolforge.engine.answer import AnswerStream
from smolforge.serve.run import Server
from smolforge.serve.settings import Settings
from tests.serve.client import Client
from tests.serve.page.visitor import PATIENCE, Visitor

expect.set_options(timeout=PATIENCE)
Visit = Callable[..., Visitor]
Serve = Callable[[Settings], AbstractContextManager[tuple[Client, Server]]]
STORY = "Tell me a very long story about a lighthouse, with many chapters."


def test_an_answer_streams_in_and_says_what_it_cost(visit: Visit) -> None:
    visitor = visit().limit(24)
    expect(visitor.page.get_by_role("heading", name="A small model, close to you")).to_be_visible()
    answer = visitor.ask("What is the capital of France?")
    assert answer.strip()
    expect(visitor.page.get_by_role("heading", name="A small model, close to you")).to_be_hidden()
    figures = visitor.answers.locator(".figures").inner_text()
    assert re.search(r"\d+ tokens.*\d+ tok/s.*\d+ of \d+ cached.*context \d", figures, re.DOTALL)
    second = visitor.ask("And of Spain?")
    assert second.strip()
    cached = re.search(r"(\d+) of (\d+) cached", visitor.answers.last.locator(".figures").inner_text())
    assert cached and int(cached[1]) > 0, "the second turn begins with what the first has read"
    assert [row["role"] for row in visitor.bodies[1]["messages"]] == ["user", "assistant", "user"]
    assert visitor.bodies[1]["messages"][1]["content"] == answer.strip() or len(answer.splitlines()) > 1
    assert visitor.bodies[0]["max_tokens"] == 24 and visitor.bodies[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("how", ["Escape", "button"])
def test_a_stopped_answer_is_kept_and_frees_the_server(visit: Visit, served: tuple[Client, Server], how: str) -> None:
    visitor = visit().ready()
    visitor.send(STORY)
    expect(visitor.text).to_contain_text(re.compile(r"\w+ \w+"))
    if how == "Escape":
        visitor.page.keyboard.press("Escape")
    else:
        visitor.button("Stop").click()
    expect(visitor.answers).to_contain_text("Stopped.")
    text = visitor.settle()
    visitor.page.reload()
    expect(visitor.text).to_have_text(text, use_inner_text=True)
    assert visitor.ask("Say yes.").strip()


def test_regenerating_and_editing_make_branches_that_can_be_switched(visit: Visit) -> None:
    visitor = visit().limit(12)
    visitor.ask("Name a fruit.")
    visitor.answers.get_by_role("button", name="Regenerate").click()
    expect(visitor.answers.get_by_role("group", name="Versions")).to_contain_text("2/2")
    visitor.settle()
    visitor.questions.get_by_role("button", name="Edit").click()
    visitor.page.get_by_role("textbox", name="Your message").fill("Name a colour.")
    visitor.page.keyboard.press("Enter")
    expect(visitor.questions).to_have_text(re.compile("Name a colour."))
    expect(visitor.questions.get_by_role("group", name="Versions")).to_contain_text("2/2")
    visitor.settle()
    assert visitor.bodies[2]["messages"] == [{"role": "user", "content": "Name a colour."}]
    expect(visitor.answers.get_by_role("group", name="Versions")).to_have_count(0)
    visitor.questions.get_by_role("button", name="Version before").click()
    expect(visitor.questions).to_have_text(re.compile("Name a fruit."))
    expect(visitor.answers.get_by_role("group", name="Versions")).to_contain_text("2/2")
    expect(visitor.questions.get_by_role("button", name="Version after")).to_be_focused()
    visitor.answers.get_by_role("button", name="Version before").click()
    expect(visitor.answers.get_by_role("group", name="Versions")).to_contain_text("1/2")
    visitor.page.reload()
    expect(visitor.answers.get_by_role("group", name="Versions")).to_contain_text("1/2")


def test_leaving_an_edit_changes_nothing(visit: Visit) -> None:
    visitor = visit().limit(8)
    visitor.ask("Name a fruit.")
    visitor.page.keyboard.press("Alt+e")
    visitor.page.get_by_role("textbox", name="Your message").fill("Something else")
    visitor.page.keyboard.press("Escape")
    expect(visitor.questions).to_have_text(re.compile("Name a fruit."))
    assert len(visitor.bodies) == 1


def test_settings_are_sent_and_kept_with_the_conversation(visit: Visit) -> None:
    visitor = visit().limit(8)
    visitor.button("Settings").click()
    visitor.page.get_by_label("System prompt").fill("Answer like a pirate.")
    for name, value in {"Temperature": "0", "Top p": "0.9", "Top k": "40", "Min p": "0.05", "Seed": "7"}.items():
        visitor.page.get_by_label(name).fill(value)
    for name, value in {"Repetition": "1.1", "Presence": "0.5", "Frequency": "-0.5"}.items():
        visitor.page.get_by_label(f"{name} penalty").fill(value)
    visitor.page.get_by_label("Temperature").fill("9")
    expect(visitor.page.get_by_label("Temperature")).to_have_attribute("aria-invalid", "true")
    visitor.page.get_by_label("Temperature").fill("0.5")
    first = visitor.ask("Who are you?")
    body = visitor.bodies[0]
    assert body["messages"][0] == {"role": "system", "content": "Answer like a pirate."}
    sent = {name: body[name] for name in ("temperature", "top_p", "top_k", "min_p", "seed", "max_tokens")}
    assert sent == {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "seed": 7, "max_tokens": 8}
    assert (body["repetition_penalty"], body["presence_penalty"], body["frequency_penalty"]) == (1.1, 0.5, -0.5)
    visitor.page.reload()
    visitor.ready().button("Settings").click()
    expect(visitor.page.get_by_label("System prompt")).to_have_value("Answer like a pirate.")
    visitor.answers.get_by_role("button", name="Regenerate").click()
    expect(visitor.answers).to_contain_text("2/2")
    assert visitor.settle() == first, "the same seed gives the same answer"


def test_the_think_switch_says_why_it_is_off(visit: Visit) -> None:
    visitor = visit().ready()
    switch = visitor.page.get_by_role("switch", name="Think")
    expect(switch).to_have_attribute("aria-disabled", "true")
    expect(switch).to_have_accessible_description("This model has no think mode.")
    switch.press("Space")
    expect(switch).to_have_attribute("aria-checked", "false")


def test_what_the_server_refuses_is_said_in_its_words(visit: Visit) -> None:
    visitor = visit().ready()
    visitor.send("word " * 5000)
    expect(visitor.answers.get_by_role("alert")).to_contain_text("2048 positions")
    visitor.settle()
    assert visitor.answers.get_by_role("button", name="Regenerate").is_enabled()


def test_a_busy_server_is_asked_again_when_it_says(visit: Visit, engine: Engine) -> None:
    visitor = visit().limit(8)
    running: list[AnswerStream] = []
    try:
        while True:
            running.append(engine.stream(STORY, max_tokens=1500))
    except Overloaded:
        visitor.send("Hello")
        expect(visitor.answers).to_contain_text(re.compile(r"The server is busy. Trying again in \d+ s."))
    finally:
        for stream in running:
            stream.cancel()
    visitor.settle()
    expect(visitor.answers.locator(".figures")).to_be_visible()
    expect(visitor.answers).not_to_contain_text("busy")


def test_a_lost_connection_keeps_what_had_arrived(visit: Visit, serve: Serve) -> None:
    with serve(Settings(port=0)) as (client, server):
        visitor = visit(client).ready()
        visitor.send(STORY)
        expect(visitor.text).to_contain_text(re.compile(r"\w+ \w+"))
        server.should_exit = server.force_exit = True
        expect(visitor.answers.get_by_role("alert")).to_contain_text("The connection was lost")
        assert re.search(r"\w+ \w+", visitor.settle())
        visitor.send("Are you there?")
        expect(visitor.answers.last.get_by_role("alert")).to_contain_text("The server cannot be reached")


def test_a_server_with_a_key_is_asked_after_the_person_gave_it(visit: Visit, serve: Serve) -> None:
    key = "a-key-for-the-tests-alone"
    with serve(Settings(port=0, keys=(key,))) as (client, _):
        visitor = visit(client)
        dialog = visitor.page.get_by_role("dialog", name="API key")
        dialog.get_by_label("API key").fill("not-the-key")
        dialog.get_by_role("button", name="Use this key").click()
        expect(dialog).to_contain_text("did not accept this key")
        dialog.get_by_label("API key").fill(key)
        visitor.page.keyboard.press("Enter")
        assert visitor.limit(8).ask("Hello").strip()
        visitor.page.reload()
        visitor.ready()
        expect(visitor.answers).to_have_count(1)
        stored = visitor.page.evaluate("[JSON.stringify(localStorage), document.cookie].join()")
        assert key not in stored, "the key goes with the tab"


def test_an_answer_cut_off_by_closing_the_page_is_kept_and_says_so(visit: Visit) -> None:
    visitor = visit().ready()
    visitor.send(STORY)
    expect(visitor.text).to_contain_text(re.compile(r"(\w+\W+){40}"))
    visitor.page.reload()
    expect(visitor.answers).to_contain_text("The page was closed while this was written.")
