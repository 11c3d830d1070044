"""A model with a think mode: the switch, the budget, and the reasoning in a block of its own."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.serve.client import Client
from tests.serve.page.visitor import PATIENCE, Visitor

expect.set_options(timeout=PATIENCE)
REASONED = re.compile(r"^Reasoned · (\d|1[0-3]) tokens")  # the budget, and the line end that closes the block


def test_reasoning_has_a_block_with_its_tokens_and_closes_when_the_answer_begins(
    visit: Callable[..., Visitor], thinking: Client
) -> None:
    visitor = visit(thinking).limit(40)
    visitor.button("Settings").click()
    visitor.page.get_by_label("Temperature").fill("0")
    visitor.button("Close settings and tools").click()
    visitor.page.get_by_role("switch", name="Think").click()
    visitor.page.get_by_label("Most tokens to think").fill("12")
    visitor.page.get_by_label("Most tokens to think").blur()
    visitor.send("turn on the kitchen light")
    visitor.settle()
    assert visitor.bodies[0]["chat_template_kwargs"] == {"enable_thinking": True}
    assert visitor.bodies[0]["reasoning_budget"] == 12
    reasoning = visitor.answers.locator("details.reasoning")
    expect(reasoning.locator("summary")).to_have_text(REASONED)
    expect(reasoning.locator(".reasoning-text")).to_be_hidden()
    reasoning.locator("summary").press("Enter")
    expect(reasoning.locator(".reasoning-text")).to_be_visible()
    assert reasoning.locator(".reasoning-text").inner_text().strip()
    visitor.page.reload()
    expect(visitor.answers.locator("summary")).to_have_text(REASONED)
    expect(visitor.page.get_by_role("switch", name="Think")).to_have_attribute("aria-checked", "true")


def test_without_the_switch_nothing_is_reasoned(visit: Callable[..., Visitor], thinking: Client) -> None:
    visitor = visit(thinking).limit(10)
    visitor.send("turn on the kitchen light")
    visitor.settle()
    assert visitor.bodies[0]["chat_template_kwargs"] == {"enable_thinking": False}
    expect(visitor.answers.locator("details.reasoning")).to_be_hidden()


def test_a_model_that_only_reasons_is_shown_with_its_reasoning_alone(
    visit: Callable[..., Visitor], thinking: Client
) -> None:
    visitor = visit(thinking).limit(3)
    visitor.page.get_by_role("switch", name="Think").click()
    visitor.send("turn on the kitchen light")
    assert visitor.settle() == ""
    expect(visitor.answers.locator("summary")).to_have_text(re.compile(r"^Reasoned · 3 tokens"))
    expect(visitor.answers).to_contain_text("The answer reached its longest length.")
