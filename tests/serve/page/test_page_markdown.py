"""What a model writes becomes elements, never markup: run in the browser, on the page's own modules."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.serve.client import Client
from tests.serve.page.visitor import Visitor

SHOW = """async (text) => {
    const { showMarkdown } = await import("/page/parts/markdown.js");
    const place = document.createElement("div");
    showMarkdown(place, text);
    for (const figure of place.querySelectorAll("figcaption")) figure.remove();
    const named = ["tabindex", "role", "aria-label"];
    for (const element of place.querySelectorAll("[tabindex]")) named.forEach((name) => element.removeAttribute(name));
    return place.innerHTML.replaceAll(' target="_blank" rel="noopener noreferrer"', "");
}"""
GROW = """async (text) => {
    const { showMarkdown } = await import("/page/parts/markdown.js");
    const [growing, whole] = [document.createElement("div"), document.createElement("div")];
    for (let end = 0; end <= text.length; end++) showMarkdown(growing, text.slice(0, end));
    showMarkdown(whole, text);
    return [growing.innerHTML, whole.innerHTML];
}"""
TEXTS = {
    "**bold** and *italic*, __both__ ways, ~~not~~": (
        "<p><strong>bold</strong> and <em>italic</em>, <strong>both</strong> ways, <s>not</s></p>"
    ),
    "a **bold *and italic* text**": "<p>a <strong>bold <em>and italic</em> text</strong></p>",
    "snake_case_name, 2 * 3 * 4, \\*not this\\*": "<p>snake_case_name, 2 * 3 * 4, *not this*</p>",
    "`a < b` and ``a ` b``": "<p><code>a &lt; b</code> and <code>a ` b</code></p>",
    "an unclosed `tick and **star": "<p>an unclosed `tick and **star</p>",
    "# One\n\n## Two\ntext": "<h3>One</h3><h3>Two</h3><p>text</p>",
    "one\ntwo": "<p>one<br>two</p>",
    "- a\n- b\n  - c\n\ntext": "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul><p>text</p>",
    "3. a\n4. b": '<ol start="3"><li>a</li><li>b</li></ol>',
    "1. a\n\n   more\n\n2. b": "<ol><li>amore</li><li>b</li></ol>",
    "> quoted\n> text\n\n---": "<blockquote><p>quoted<br>text</p></blockquote><hr>",
    "```py\nx = '<b>'\n```\nafter": (
        "<figure class=\"code\"><pre><code>x = '&lt;b&gt;'</code></pre></figure><p>after</p>"
    ),
    "```\nnever closed": '<figure class="code"><pre><code>never closed</code></pre></figure>',
    "| a | b |\n|---|--:|\n| 1 | `2` |": (
        '<div class="table"><table><thead><tr><th scope="col" data-align="left">a</th>'
        '<th scope="col" data-align="right">b</th></tr></thead><tbody><tr><td data-align="left">1</td>'
        '<td data-align="right"><code>2</code></td></tr></tbody></table></div>'
    ),
    "[a *site*](https://example.org/x)": '<p><a href="https://example.org/x">a *site*</a></p>',
    "see https://example.org/a.": '<p>see <a href="https://example.org/a">https://example.org/a</a>.</p>',
}
HOSTILE = [
    "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>",
    "[click](javascript:window.hit=1)",
    "[click](JaVaScRiPt:window.hit=1) [x](data:text/html,<script>hit=1</script>) [y](vbscript:x) [z](//elsewhere)",
    "![image](https://elsewhere.invalid/pixel.png)",
    '<https://example.org/"onmouseover=hit=1>',
    '```"><img src=x onerror=hit=1>\ncode\n```',
    "| <img src=x onerror=hit=1> |\n|---|\n| <svg onload=hit=1> |",
]


@pytest.fixture
def visitor(visit: Callable[..., Visitor], thinking: Client) -> Visitor:
    return visit(thinking).ready()


def test_each_kind_of_mark_becomes_its_element(visitor: Visitor) -> None:
    assert {text: visitor.page.evaluate(SHOW, text) for text in TEXTS} == TEXTS


def test_nothing_a_model_writes_runs_loads_or_leads_anywhere_but_http(visitor: Visitor) -> None:
    for text in HOSTILE:
        shown = visitor.page.evaluate(
            """async (text) => {
                const { showMarkdown } = await import("/page/parts/markdown.js");
                const place = document.createElement("div");
                document.body.append(place);
                showMarkdown(place, text);
                for (const own of place.querySelectorAll("figcaption")) own.remove();
                const all = [...place.querySelectorAll("*")];
                place.remove();
                return all.flatMap((e) => [e.localName, ...[...e.attributes].map((a) => a.name + "=" + a.value)]);
            }""",
            text,
        )
        assert not {"script", "img", "svg", "iframe"} & set(shown), text
        assert not [part for part in shown if part.startswith("on")], text
        links = [part for part in shown if part.startswith("href=")]
        assert all(link.startswith(("href=https://", "href=http://")) for link in links), text
        assert shown.count("a") == shown.count("rel=noopener noreferrer") == shown.count("target=_blank")
    assert visitor.page.evaluate("window.hit") is None


def test_an_answer_that_grew_letter_by_letter_looks_like_the_whole(visitor: Visitor) -> None:
    for text in ["\n\n".join(TEXTS), *TEXTS]:
        growing, whole = visitor.page.evaluate(GROW, text)
        assert growing == whole


def test_a_text_made_to_be_slow_is_shown_all_the_same(visitor: Visitor) -> None:
    for piece in ["[", "*a", "`", "``a`", "_a _", "**a*", "<http", "> ", "- ", "|a|\n|-|\n", "1. "]:
        assert visitor.page.evaluate(SHOW, piece * 10_000), piece
