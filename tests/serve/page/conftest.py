"""A real Chromium on the real server's page. Without Chromium these tests are skipped; `.ci/run` installs it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from smolforge import Engine
from tests.engine.tiny_model import write_tiny_model
from tests.serve.client import Client
from tests.serve.conftest import serving
from tests.serve.page.visitor import PATIENCE, Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPENS_THE_BLOCK = """{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}<|im_start|>assistant
<think>
{{ "" if enable_thinking else "\n</think>\n" }}"""
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip


@pytest.fixture(scope="module")  # closed before tests of another file run: it keeps an event loop in this thread
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (on Debian: apt install chromium)")
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=CHROMIUM, args=QUIET, timeout=PATIENCE)
        yield launched
        launched.close()


@pytest.fixture
def visit(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visitor]]:
    """A function that opens the page as a new visitor, with options of a browser context; ``at``: another server.

    At the end of a test no script may have failed, and nothing may have been asked of any other address.
    """
    visitors: list[Visitor] = []

    def opened(at: Client | None = None, **options: Any) -> Visitor:
        client = at or request.getfixturevalue("client")
        visitors.append(Visitor(browser.new_context(**options), client.url))
        return visitors[-1]

    yield opened
    for visitor in visitors:
        visitor.leave()


@pytest.fixture(scope="session")
def thinking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server whose model always reasons when it is told to; its words mean nothing."""
    folder = write_tiny_model(tmp_path_factory.mktemp("thinking") / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}  # a family whose files bring the template
    del config["no_rope_layers"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text(OPENS_THE_BLOCK)
    with Engine.open(folder, cache=False, kv_bytes=64 << 20, threads=1) as engine, serving(engine) as (client, _):
        yield client
