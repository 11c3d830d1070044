"""Tasks on the page: JSON with the places its values came from, scores as bars, summaries; and tool calls in a chat."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.serve.page.visitor import PATIENCE, Visitor

expect.set_options(timeout=PATIENCE)
Visit = Callable[..., Visitor]
TEXT = "😀 Order 17 of Ana Silva, Porto: two kettles, 49.90 euros."
TOOLS = [
    {
        "name": "set_light",
        "description": "Turn a light on or off",
        "parameters": {
            "type": "object",
            "properties": {"room": {"enum": ["kitchen", "hall"]}, "on": {"type": "boolean"}},
            "required": ["room", "on"],
        },
    }
]


def test_extracted_values_are_linked_to_the_places_they_came_from(visit: Visit) -> None:
    visitor = visit().ready()
    page = visitor.page
    page.get_by_role("tab", name="Tasks").click()
    page.get_by_role("textbox", name="Text", exact=True).fill(TEXT)
    page.get_by_label("What to find").fill("customer span, city span, kind: receipt or order")
    page.keyboard.press("Control+Enter")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.get_by_role("heading", name="JSON")).to_be_visible()
    value = json.loads(re.sub(r"inferred", "", outcome.locator("pre.json").inner_text()))
    assert list(value) == ["customer", "city", "kind"]
    for name in ("customer", "city"):
        assert value[name] in TEXT, "a span is a piece of the text"
    field = outcome.get_by_role("button", name=f'customer: "{value["customer"]}", show in the text')
    field.focus()
    marked = outcome.locator("mark.is-linked")
    assert "".join(marked.all_inner_texts()) == value["customer"], "also behind a character of two UTF-16 units"
    field.press("Enter")
    expect(marked.first).to_be_focused()
    marked.first.press("Enter")
    expect(outcome.locator("button.json-value.is-linked")).to_have_count(1)
    outcome.get_by_role("heading", name="JSON").hover()
    assert outcome.locator("p.source-text").inner_text() == TEXT


def test_a_schema_that_is_wrong_is_said_so(visit: Visit) -> None:
    visitor = visit().ready()
    page = visitor.page
    page.get_by_role("tab", name="Tasks").click()
    page.get_by_role("textbox", name="Text", exact=True).fill(TEXT)
    schema = page.get_by_label("What to find")
    schema.fill('{"type": "object",')
    expect(schema).to_have_attribute("aria-invalid", "true")
    expect(schema).to_have_accessible_description("This is not JSON yet.")
    schema.fill("age integerish")
    page.get_by_role("button", name="Extract", exact=True).click()
    expect(page.get_by_role("region", name="Outcome").get_by_role("alert")).to_contain_text("integerish")


def test_every_label_has_a_bar_as_long_as_its_probability(visit: Visit) -> None:
    visitor = visit().ready()
    page = visitor.page
    page.get_by_role("button", name=re.compile("Sort a text by labels")).click()
    page.get_by_role("button", name="Classify", exact=True).click()
    bars = page.get_by_role("meter")
    expect(bars).to_have_count(5)
    scores = [float(bar.get_attribute("aria-valuenow") or "") for bar in bars.all()]
    assert scores == sorted(scores, reverse=True) and abs(sum(scores) - 1) < 1e-3
    widths = page.evaluate("[...document.querySelectorAll('.bar > span')].map((span) => parseFloat(span.style.width))")
    assert [round(width / 100, 3) for width in widths] == [round(score, 3) for score in scores]
    expect(page.locator(".chosen")).to_have_text(bars.first.get_attribute("aria-label") or "")
    page.get_by_label("No label below a probability of").fill("1")
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(page.locator(".chosen")).to_have_text("No label reaches the threshold.")


def test_a_text_is_summarized(visit: Visit) -> None:
    visitor = visit().ready()
    page = visitor.page
    page.get_by_role("tab", name="Tasks").click()
    page.get_by_role("tab", name="Summarize").click()
    page.get_by_role("textbox", name="Text", exact=True).fill(
        "The lighthouse was built in 1820. It burnt down in 1903 and was rebuilt in stone."
    )
    page.get_by_label("Words at most").fill("12")
    page.get_by_role("button", name="Summarize", exact=True).click()
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.locator(".prose")).to_have_text(re.compile(r"\w+"))
    expect(outcome.locator(".cost")).to_contain_text("tokens read")


def test_a_call_is_shown_and_its_result_carries_the_conversation_on(visit: Visit) -> None:
    visitor = visit().limit(200)
    page = visitor.page
    visitor.button("Tools").click()
    definitions = page.get_by_label("Definitions")
    definitions.fill("[{")
    expect(definitions).to_have_accessible_description(re.compile("This is not JSON yet"))
    definitions.fill(json.dumps(TOOLS))
    expect(page.get_by_text("Defined: set_light.")).to_be_visible()
    page.get_by_label("The model").select_option("must call")
    visitor.send("Turn on the light in the kitchen.")
    visitor.settle()
    call = visitor.answers.get_by_role("region", name="Call of set_light").first
    expect(call).to_be_visible()
    arguments = json.loads(call.get_by_role("region", name="Arguments").inner_text())
    assert arguments["room"] in ("kitchen", "hall") and isinstance(arguments["on"], bool)
    page.get_by_label("The model").select_option("must not call")
    call.get_by_role("button", name="Give its result").click()
    results = page.get_by_role("textbox", name="Result of set_light")
    expect(results.first).to_be_focused()
    calls = results.count()  # a small model may ask for the same thing more than once
    for left in range(calls, 0, -1):
        expect(results).to_have_count(left)
        expect(visitor.answers).to_have_count(1)
        results.first.fill('{"done": true}')
        visitor.button("Give this result").first.click()
    expect(visitor.answers).to_have_count(2)
    visitor.settle()
    first, second = visitor.bodies
    assert first["tools"] == [{"type": "function", "function": TOOLS[0]}] and first["tool_choice"] == "required"
    assistant, *tools = second["messages"][1:]
    assert [made["function"]["name"] for made in assistant["tool_calls"]] == ["set_light"] * calls
    assert tools == [
        {"role": "tool", "content": '{"done": true}', "tool_call_id": made["id"]} for made in assistant["tool_calls"]
    ]
    expect(page.get_by_role("article", name="Result")).to_have_count(calls)
