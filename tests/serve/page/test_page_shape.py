"""The page in both themes, on a phone, by keyboard alone, and as assistive software hears it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.serve.client import Client
from tests.serve.page.visitor import PATIENCE, Visitor

expect.set_options(timeout=PATIENCE)
Visit = Callable[..., Visitor]
ANSWER = """## Two ways
| colour | wave length |
|---|---:|
| blue | 450 |

```python
a_rather_long_line_of_code = "that is wider than any phone would like it to be, by far" + "so it scrolls"
```

- **one** [site](https://example.org), `code`

> said before
"""
INTERACTIVE = {"button", "textbox", "searchbox", "tab", "switch", "checkbox", "combobox", "spinbutton", "link", "meter"}
# WCAG 2.2: 4.5 to 1 for text (3 to 1 where it is large), of every text that can be seen, on what stands behind it.
CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const behind = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
        const over = (under, [r, g, b, a]) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
        return layers.reverse().reduce(over, [255, 255, 255]);
    };
    const light = (color) => {
        const [r, g, b] = color.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const weak = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
        const style = getComputedStyle(element);
        const [over, under] = [light(rgba(style.color)), light(behind(element))];
        const ratio = (Math.max(over, under) + 0.05) / (Math.min(over, under) + 0.05);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        if (ratio < (large ? 3 : 4.5)) weak.push(`${walker.currentNode.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return weak;
}"""


def with_everything(visitor: Visitor) -> Page:
    """Show an answer of every kind, as if it had been given before."""
    page = visitor.ready().page
    page.evaluate(
        """async (content) => {
            const { Library } = await import("/page/core/library.js");
            const { newSettings } = await import("/page/chat/request.js");
            const cost = { prompt: 90, cached: 80, completion: 40, reasoning: 12, tokensPerSecond: 31 };
            const calls = [{ id: "call_1", name: "look_up", arguments: '{"word": "sky"}' }];
            const answer = { reasoning: "First this.", reasoningSeconds: 1.5, calls, finish: "length", cost };
            const turns = [
                { id: "a", parent: "", role: "user", content: "Why?" },
                { id: "b", parent: "", role: "user", content: "Why is the sky blue?" },
                { id: "c", parent: "b", role: "assistant", content, answer },
            ];
            const library = await Library.open();
            const about = { id: "all", title: "All of it", created: 1, updated: 1 };
            await library.save({ ...about, settings: newSettings(), tree: { turns, chosen: {} } });
        }""",
        ANSWER,
    )
    page.goto(f"{visitor.url}/#/chat/all")
    page.reload()
    expect(visitor.answers).to_contain_text("Two ways")
    return page


def views(page: Page) -> list[Callable[[], Any]]:
    """What leads to each view of the page, one after the other."""
    closed = page.get_by_role("button", name="Close settings and tools")
    return [
        lambda: page.locator("summary").click(),
        lambda: page.get_by_role("button", name="Settings", exact=True).click(),
        lambda: page.get_by_role("tab", name="Tools").click(),
        lambda: (closed.click(), page.get_by_role("tab", name="Tasks").click()),
        lambda: page.get_by_role("tab", name="Classify").click(),
        lambda: page.get_by_role("tab", name="Summarize").click(),
        lambda: page.get_by_role("button", name="Keyboard shortcuts").click(),
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_in_both_themes(visit: Visit, thinking: Client, theme: str) -> None:
    page = with_everything(visit(thinking, color_scheme=theme))
    for go in views(page):
        go()
        assert page.evaluate(CONTRAST) == []


def test_the_theme_follows_the_system_until_a_person_chooses(visit: Visit, thinking: Client) -> None:
    visitor = visit(thinking, color_scheme="dark").ready()
    page = visitor.page
    background = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Theme: system").click()
    light = page.evaluate(background)
    assert dark != light
    page.emulate_media(color_scheme="light")
    assert page.evaluate(background) == light
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(background) == dark
    page.reload()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert page.evaluate(background) == dark


def test_nothing_is_wider_than_a_phone(visit: Visit, thinking: Client) -> None:
    page = with_everything(visit(thinking, viewport={"width": 390, "height": 844}))
    width = "Math.max(document.documentElement.scrollWidth, document.getElementById('thread-scroll').scrollWidth)"
    assert page.evaluate(width) <= 390
    for go in views(page):
        go()
        assert page.evaluate(width) <= 390
        shown = "[...document.querySelectorAll('main, aside, nav, dialog')].filter((e) => e.checkVisibility())"
        assert page.evaluate(f"{shown}.filter((e) => e.scrollWidth > 390).map((e) => e.id)") == []


def test_side_areas_lie_over_a_phones_page_and_close_with_escape(visit: Visit, thinking: Client) -> None:
    page = visit(thinking, viewport={"width": 390, "height": 844}).ready().page
    expect(page.get_by_role("navigation", name="Conversations")).to_be_hidden()
    opener = page.get_by_role("button", name="Conversations", exact=True)
    opener.click()
    expect(page.get_by_role("button", name="Close conversations")).to_be_focused()
    assert page.evaluate("document.getElementById('middle').inert")
    page.keyboard.press("Escape")
    expect(page.get_by_role("navigation", name="Conversations")).to_be_hidden()
    expect(opener).to_be_focused()


def test_everything_that_can_be_used_has_a_name(visit: Visit, thinking: Client) -> None:
    page = with_everything(visit(thinking))
    session = page.context.new_cdp_session(page)
    heard: set[str] = set()
    for go in views(page):
        go()
        for node in session.send("Accessibility.getFullAXTree")["nodes"]:
            role, name = node.get("role", {}).get("value"), node.get("name", {}).get("value", "")
            if role in INTERACTIVE and not node.get("ignored"):
                heard.add(role)
                assert name.strip(), node
    assert heard >= {"button", "textbox", "searchbox", "tab", "switch", "checkbox", "combobox", "spinbutton", "link"}


def test_ids_are_unique_and_what_labels_point_at_is_there(visit: Visit, thinking: Client) -> None:
    page = with_everything(visit(thinking))
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    for name in ("for", "aria-controls", "aria-labelledby", "aria-describedby"):
        named = page.evaluate(f"[...document.querySelectorAll('[{name}]')].map((e) => e.getAttribute('{name}'))")
        assert set(named) <= set(ids), name


def test_the_keyboard_reaches_everything_and_says_how(visit: Visit, thinking: Client) -> None:
    visitor = visit(thinking).ready()
    page = visitor.page
    expect(visitor.message).to_be_focused()
    visitor.message.press("Shift+Enter")
    expect(visitor.message).to_have_value("\n")
    page.keyboard.press("?")
    expect(visitor.message).to_have_value("\n?")
    visitor.message.fill("")
    page.keyboard.press("Alt+2")
    expect(page.get_by_role("tab", name="Extract")).to_be_visible()
    page.get_by_role("tab", name="Extract").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Classify")).to_be_focused()
    expect(page.get_by_role("textbox", name="Labels")).to_be_visible()
    page.keyboard.press("?")
    shortcuts = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(shortcuts).to_contain_text("Search conversations")
    page.keyboard.press("Escape")
    expect(shortcuts).to_have_count(0)
    expect(page.get_by_role("tab", name="Classify")).to_be_focused()
    page.keyboard.press("Alt+s")
    expect(page.get_by_label("System prompt")).to_be_visible()
    page.keyboard.press("Alt+t")
    expect(page.get_by_label("Definitions")).to_be_visible()
    page.keyboard.press("Alt+t")
    expect(page.get_by_label("Definitions")).to_be_hidden()
    page.keyboard.press("Alt+m")
    expect(visitor.message).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox", name="Search conversations")).to_be_focused()


def test_an_answer_is_told_to_assistive_software_sentence_by_sentence(visit: Visit, thinking: Client) -> None:
    page = visit(thinking).ready().page
    told = page.evaluate(
        """async () => {
            const { SpokenText } = await import("/page/parts/announcer.js");
            const [told, spoken, place] = [[], new SpokenText(), document.getElementById("announcer")];
            for (const [text, ended] of [["One"], ["One. Two"], ["One. Two."], ["One. Two. Three", true]]) {
                place.textContent = "";
                spoken.grow(text, ended);
                told.push(place.textContent);
            }
            return told;
        }"""
    )
    assert told == ["", "One.", "", "Two. Three"]
