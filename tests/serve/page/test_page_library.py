"""Conversations stay in the browser: found, renamed, deleted, exported, and read back with every field checked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.serve.client import Client
from tests.serve.page.visitor import PATIENCE, Visitor

expect.set_options(timeout=PATIENCE)
Visit = Callable[..., Visitor]


def turn(identity: str, parent: str, role: str, content: str) -> dict[str, Any]:
    answer = {"reasoning": "", "reasoningSeconds": 0, "calls": [], "finish": "stop", "cost": None}
    return {"id": identity, "parent": parent, "role": role, "content": content} | (
        {"answer": answer} if role == "assistant" else {}
    )


def conversation(identity: str, title: str, *texts: str) -> dict[str, Any]:
    roles = ["user", "assistant"] * len(texts)
    turns = [turn(f"{identity}{i}", f"{identity}{i - 1}" if i else "", roles[i], text) for i, text in enumerate(texts)]
    settings = {"system": "", "think": False, "numbers": {"temperature": 0.5}, "tools": "", "toolChoice": "auto"}
    return {
        "id": identity, "title": title, "created": 1, "updated": 1, "settings": settings,
        "tree": {"turns": turns, "chosen": {}},
    }  # fmt: skip


def file_of(*conversations: dict[str, Any]) -> bytes:
    return json.dumps({"format": "smolforge-conversations", "version": 1, "conversations": conversations}).encode()


WHALES = conversation(
    "whales", "On whales", "How large is a blue whale?", "About **thirty** metres; see the café's poster."
)
CHESS = conversation("chess", "Chess openings", "Name an opening.", "The Sicilian.")


def give(visitor: Visitor, content: bytes) -> None:
    file = {"name": "conversations.json", "mimeType": "application/json", "buffer": content}
    visitor.page.locator("#import-file").set_input_files(files=[file])  # type: ignore[list-item]


def rows(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("list", name="Conversations kept in this browser").get_by_role("listitem")


@pytest.fixture
def visitor(visit: Visit, thinking: Client) -> Visitor:
    """A visitor with two conversations."""
    made = visit(thinking).ready()
    give(made, file_of(WHALES, CHESS))
    expect(rows(made)).to_have_count(2)
    return made


def test_search_finds_words_of_titles_and_turns_whatever_their_accents(visitor: Visitor) -> None:
    visitor.page.keyboard.press("Control+k")
    search = visitor.page.get_by_role("searchbox", name="Search conversations")
    expect(search).to_be_focused()
    for query, title in {"CAFE thirty": "On whales", "sicilian": "Chess openings", "chess": "Chess openings"}.items():
        search.fill(query)
        expect(rows(visitor)).to_have_count(1)
        expect(rows(visitor)).to_contain_text(title)
    search.fill("zebra")
    expect(rows(visitor)).to_have_count(0)
    expect(visitor.page.get_by_text("Nothing found.")).to_be_visible()
    search.fill("whale")
    search.press("Enter")
    expect(visitor.text.locator("strong")).to_have_text("thirty")


def test_a_conversation_is_opened_renamed_and_deleted(visitor: Visitor) -> None:
    rows(visitor).get_by_role("button", name="Chess openings").first.click()
    expect(visitor.questions).to_contain_text("Name an opening.")
    rows(visitor).filter(has_text="Chess").hover()
    visitor.button("Rename Chess openings").click()
    visitor.page.get_by_role("textbox", name="Title").fill("Openings")
    visitor.page.keyboard.press("Enter")
    expect(rows(visitor).filter(has_text="Openings")).to_have_count(1)
    rows(visitor).filter(has_text="Openings").hover()
    visitor.button("Delete Openings").click()
    dialog = visitor.page.get_by_role("dialog", name="Delete this conversation?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(rows(visitor)).to_have_count(2)
    rows(visitor).filter(has_text="Openings").hover()
    visitor.button("Delete Openings").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(rows(visitor)).to_have_count(1)
    expect(visitor.answers).to_have_count(0)
    visitor.page.reload()
    expect(rows(visitor)).to_have_count(1)


def test_what_is_exported_is_what_another_browser_imports(
    visitor: Visitor, visit: Visit, thinking: Client, tmp_path: Path
) -> None:
    with visitor.page.expect_download() as download:
        visitor.button("Export").click()
    assert re.fullmatch(r"smolforge-\d{4}-\d\d-\d\d\.json", download.value.suggested_filename)
    download.value.save_as(tmp_path / "out.json")
    content = (tmp_path / "out.json").read_bytes()
    assert json.loads(content)["conversations"] == [WHALES, CHESS]
    other = visit(thinking).ready()
    give(other, content)
    expect(rows(other)).to_have_count(2)
    give(other, content)
    expect(rows(other)).to_have_count(4)
    rows(other).get_by_role("button", name="On whales").first.click()
    expect(other.text).to_contain_text("About thirty metres")


WRONG = {
    "not JSON": (b"hello", "This file is not JSON."),
    "another format": (b'{"a": 1}', "This is not a file of smolforge conversations."),
    "a role nobody has": (
        file_of({**CHESS, "tree": {"turns": [turn("a", "", "wizard", "")], "chosen": {}}}),
        'conversations[0].tree.turns[0].role is "wizard", expected user, assistant, tool.',
    ),
    "a parent that is not there": (
        file_of(WHALES, {**CHESS, "tree": {"turns": [turn("a", "b", "user", "")], "chosen": {}}}),
        'conversations[1].tree.turns[0].parent is "b", expected the id of a turn before it.',
    ),
    "a branch that is not there": (
        file_of({**CHESS, "tree": {"turns": [turn("a", "", "user", "")], "chosen": {"": "b"}}}),
        'conversations[0].tree.chosen. is "b", expected the id of one of its branches.',
    ),
    "a text that is a number": (file_of({**CHESS, "title": 3}), "conversations[0].title is 3, expected a text."),
    "a number that is a text": (
        file_of({**CHESS, "settings": {**CHESS["settings"], "numbers": {"temperature": "hot"}}}),
        'conversations[0].settings.numbers.temperature is "hot", expected a number.',
    ),
}


def test_a_file_with_something_wrong_is_refused_whole_and_says_where(visitor: Visitor) -> None:
    for content, message in WRONG.values():
        give(visitor, content)
        expect(visitor.page.get_by_role("alert")).to_have_text(f"Nothing was imported. {message}")
        expect(rows(visitor)).to_have_count(2)


def test_unknown_fields_of_a_file_are_left_out(visit: Visit, thinking: Client) -> None:
    visitor = visit(thinking).ready()
    settings = {**CHESS["settings"], "numbers": {"temperature": 0.5, "logit_bias": 3}, "extra": 1}
    give(visitor, file_of({**CHESS, "settings": settings, "extra": 1}))
    with visitor.page.expect_download() as download:
        visitor.button("Export").click()
    assert json.loads(Path(download.value.path()).read_bytes())["conversations"] == [CHESS]
