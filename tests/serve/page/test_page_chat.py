"""A person chats: answers stream in, can be stopped, asked for again, branched and found again after a reload."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import expect

from smolforge.serve.run import Server
from smolforge.serve.settings import Settings
from tests.serve.client import Client
from tests.serve.page.cable import Cable
from tests.serve.page.visitor import PATIENCE, Visitor

expect.set_options(timeout=PATIENCE)
Visit = Callable[..., Visitor]
Serve = Callable[[Settings], AbstractContextManager[tuple[Client, Server]]]
WORDS = re.compile(r"\w+ \w+")
STORY = "Tell me a very long story about a lighthouse, with many chapters."
# The last turn of the newest conversation, as it stands in the browser's database.
STORED = """async () => {
    const { Library } = await import("/page/core/library.js");
    return (await Library.open()).list()[0].tree.turns.at(-1).content;
}"""


@pytest.fixture
def held(client: Client) -> Iterator[Client]:
    """A way to the server on which the middle of the first answer is reached, and never its end."""
    cable = Cable(client)
    yield cable.client
    cable.cut()


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
def test_a_stopped_answer_is_kept(visit: Visit, held: Client, how: str) -> None:
    visitor = visit(held).ready()
    visitor.send(STORY)
    expect(visitor.text).to_have_text(WORDS)
    if how == "Escape":
        visitor.page.keyboard.press("Escape")
    else:
        visitor.button("Stop").click()
    expect(visitor.answers).to_contain_text("Stopped.")
    text = visitor.settle()
    visitor.page.reload()
    expect(visitor.text).to_have_text(text, use_inner_text=True)
    assert visitor.limit(8).ask("Say yes.").strip()


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


def test_a_busy_server_is_asked_again_when_it_says(visit: Visit, serve: Serve) -> None:
    with serve(Settings(port=0, open=8, arrival=600)) as (client, _):
        visitor = visit(client).limit(8)
        visitor.page.evaluate(
            """() => {
                const note = () => document.querySelector(".turn-note")?.textContent;
                window.notes = [];
                const watch = { childList: true, subtree: true, characterData: true };
                new MutationObserver(() => window.notes.push(note())).observe(document.getElementById("thread"), watch);
            }"""
        )
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {client.host}:{client.port}\r\nContent-Length: 9\r\n\r\n"
        others = [socket.create_connection((client.host, client.port)) for _ in range(8)]
        for other in others:
            other.sendall(head.encode())  # and never the body
        while client.get("/v1/models").status != 429:
            time.sleep(0.1)
        with visitor.page.expect_response(lambda response: response.status == 429):
            visitor.send("Hello")
        for other in others:
            other.close()
        visitor.settle()
        expect(visitor.answers.locator(".figures")).to_be_visible()
        expect(visitor.answers).not_to_contain_text("busy")
        assert "The server is busy. Trying again in 1 s." in visitor.page.evaluate("window.notes")


def test_a_lost_connection_keeps_what_had_arrived(visit: Visit, client: Client) -> None:
    cable = Cable(client)
    visitor = visit(cable.client).ready()
    visitor.send(STORY)
    expect(visitor.text).to_have_text(WORDS)
    cable.cut()
    expect(visitor.answers.get_by_role("alert")).to_contain_text("The connection was lost")
    assert WORDS.search(visitor.settle())
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


def test_an_answer_cut_off_by_closing_the_page_is_kept_and_says_so(visit: Visit, held: Client) -> None:
    visitor = visit(held).ready()
    visitor.send(STORY)
    expect(visitor.text).to_have_text(WORDS)
    for _ in range(600):
        if WORDS.search(visitor.page.evaluate(STORED)):
            break
        visitor.page.wait_for_timeout(300)  # milliseconds
    visitor.page.reload()
    expect(visitor.answers).to_contain_text("The page was closed while this was written.")
    expect(visitor.text).to_have_text(WORDS)
