"""Someone who uses the page: what tests do with it, in a person's words, and a record of what the browser asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator

PATIENCE = 600_000.0  # milliseconds; a test machine may be slow


class Visitor:
    """One visit. ``page`` is Playwright's; ``bodies`` are what was sent to the chat, oldest first."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        context.set_default_timeout(PATIENCE)
        self.url, self.page = url, context.new_page()
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.errors: list[str] = []
        context.on("request", lambda request: self.asked.append(request.url))
        self.page.on("request", self._keep)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._hear)
        self.page.goto(url)

    def _keep(self, request: Any) -> None:
        if request.url.endswith("/v1/chat/completions"):
            self.bodies.append(request.post_data_json)

    def _hear(self, message: Any) -> None:
        refused = re.search(
            r"Failed to load resource|net::ERR_", message.text
        )  # an answer other than 200: the page says it
        if message.type in ("error", "warning") and not refused:
            self.errors.append(message.text)

    def leave(self) -> None:
        """Close the visit, and say whether it was one that a person would call clean."""
        self.page.context.close()
        elsewhere = [url for url in self.asked if not url.startswith((self.url + "/", "blob:" + self.url))]
        assert elsewhere == [], f"the page asks its own server alone, not {elsewhere}"
        assert self.errors == [], self.errors

    @property
    def message(self) -> Locator:
        """The field for the next message."""
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def answers(self) -> Locator:
        """The answers that are shown."""
        return self.page.get_by_role("article", name="Answer")

    @property
    def text(self) -> Locator:
        """What the last answer says, without its reasoning."""
        return self.answers.last.locator(".turn-body > .prose")

    @property
    def questions(self) -> Locator:
        """What the person wrote."""
        return self.page.get_by_role("article", name="You")

    def button(self, name: str) -> Locator:
        """The button of that name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def ready(self) -> Visitor:
        """Wait until the page can be used."""
        self.message.wait_for()
        return self

    def limit(self, tokens: int) -> Visitor:
        """Keep answers short, as a person would: in the settings."""
        self.ready().button("Settings").click()
        self.page.get_by_label("Longest answer").fill(str(tokens))
        self.button("Close settings and tools").click()
        return self

    def send(self, text: str) -> None:
        """Write a message and press Enter."""
        self.message.fill(text)
        self.message.press("Enter")

    def settle(self) -> str:
        """Wait until nothing is being written; return the last answer's text."""
        self.button("Send").wait_for()
        return self.text.inner_text()

    def ask(self, text: str) -> str:
        """Send a message and return the answer."""
        self.send(text)
        return self.settle()
