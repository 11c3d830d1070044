"""Extraction of web pages: what is text, what is not, and pages that try to break it."""

from __future__ import annotations

import pydoc
import sys
from collections.abc import Iterator

import pytest

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.engine import LimitedChild
from smolforge.corpus.extract.careful import better, extract_careful
from smolforge.corpus.extract.fast import decode, extract_fast, licence_hint
from smolforge.corpus.extract.one_page import IMPORTS
from smolforge.corpus.extract.pages import BATCH_PAGES, extracted
from smolforge.corpus.extract.urls import judge_url
from smolforge.corpus.rows import Page, Row
from tests.corpus.warc_bytes import SENTENCE, article

FRENCH = "Le renard brun saute par-dessus le chien paresseux, puis il rentre à la maison pour dormir. " * 6
POLISH = "Szybki brązowy lis przeskakuje nad leniwym psem, a potem wraca do domu, żeby spać całą noc. " * 6


def outcomes(pages: list[Page], **settings: object) -> list[Row]:
    """Extract pages as ingestion does."""
    config = CorpusConfig.model_validate({"sources": ["pydoc_topics"], **settings})
    rows: Iterator[tuple[str, Row]] = (
        ("f", Row(str(number), fields={"url": f"https://a.example/{number}"}, page=each))
        for number, each in enumerate(pages)
    )
    return [row for _, row in extracted(rows, config)]


def crawled(html: str | bytes, charset: str = "") -> Page:
    return Page(html if isinstance(html, bytes) else html.encode(), charset, crawled=True)


def reason(row: Row) -> str:
    return row.verdict.reason if row.verdict else ""


def test_an_article_loses_its_furniture_and_nothing_of_itself() -> None:
    (row,) = outcomes([crawled(article(3))])
    assert row.verdict is None
    assert row.fields["extractor"] == "careful"
    assert "Menu entry" not in row.text
    assert all(SENTENCE.format(300 + each).strip() in row.text for each in range(8))


def test_code_keeps_its_indents_and_tables_their_cells() -> None:
    prose = "This article shows how the sort of Python works with keys, and what it costs on lists of several sizes. "
    html = (
        f"<article><h1>Sorting</h1><p>{prose * 2}</p><pre><code>def f(words):\n    return sorted(words, key=len)\n"
        f"</code></pre><p>{prose}</p><table><tr><th>Size</th><th>Time</th></tr><tr><td>1000</td><td>0.1 ms</td></tr>"
        f"</table></article>"
    )
    text = extract_careful(html)
    assert "def f(words):\n    return sorted(words, key=len)" in text
    assert "| 1000 | 0.1 ms |" in text


def test_real_help_pages_are_text_without_markup() -> None:
    maker = pydoc.HTMLDoc()
    names = ("json", "textwrap", "bisect")
    pages = [Page(maker.page(name, maker.docmodule(__import__(name))).encode()) for name in names]
    for name, row in zip(names, outcomes(pages), strict=True):
        assert row.verdict is None
        assert len(row.text) > 1000
        assert name in row.text
        assert "<" not in row.text.replace("<=", "").replace("<https", "").split("def ")[0][:300]


@pytest.mark.parametrize("share, expected", [(1.0, "careful"), (0.5, "careful"), (0.39, "fast"), (0.0, "fast")])
def test_the_careful_text_is_believed_unless_it_lost_more_than_the_rule_allows(share: float, expected: str) -> None:
    fast = "word " * 1000
    careful = "word " * int(1000 * share)
    text, name = better(fast, careful, 0.4)
    assert name == expected
    assert text == (careful if expected == "careful" else fast)


def test_order_is_kept_among_rows_with_and_without_pages() -> None:
    config = CorpusConfig(sources=())
    count = 2 * BATCH_PAGES + 3
    rows = [
        ("f", Row(str(n), text=f"text {n}") if n % 3 else Row(str(n), page=Page(article(n, 3).encode())))
        for n in range(count)
    ]
    found = list(extracted(rows, config))
    assert [row.position for _, row in found] == [str(n) for n in range(count)]
    assert all(str(n) in row.text for n, (_, row) in enumerate(found))


@pytest.mark.parametrize(
    "encoding, header, meta",
    [
        ("utf-8", "utf-8", ""),
        ("utf-8", "", ""),
        ("iso-8859-1", "iso-8859-1", ""),
        ("windows-1252", "", '<meta charset="windows-1252">'),
        ("utf-16", "", ""),
        ("utf-8-sig", "iso-8859-1", ""),
        ("utf-8", "no-such-charset", ""),
    ],
)
def test_characters_are_read_by_mark_header_meta_or_their_looks(encoding: str, header: str, meta: str) -> None:
    html = f"<html><head>{meta}<title>t</title></head><body><p>{FRENCH}</p></body></html>"
    assert "rentre à la maison" in extract_fast(decode(html.encode(encoding), header))


def test_gates_stop_crawled_pages_and_leave_a_persons_own_alone() -> None:
    short = "<html><body><p>Just a few words.</p></body></html>"
    foreign = f"<html><body><p>{POLISH}</p></body></html>"
    found = outcomes([crawled(short), crawled(foreign), Page(short.encode()), crawled("<html></html>"), crawled("")])
    assert [reason(row) for row in found] == ["too few words", "language not wanted", "", "empty page", "empty page"]
    assert found[1].fields["language"] == "pl"
    assert "lis" in found[1].text, "a dropped page keeps its text for the dropped table"
    assert found[2].text == "Just a few words."


def test_a_wanted_language_passes_and_another_configuration_stops_it() -> None:
    french = crawled(f"<html><body><article><p>{FRENCH}</p></article></body></html>")
    assert reason(outcomes([french])[0]) == ""
    assert reason(outcomes([french], languages=["en"])[0]) == "language not wanted"


@pytest.mark.parametrize(
    "address, blocked",
    [
        ("https://example.org/health/breast-cancer-screening", False),
        ("https://school.example/sex-education/lesson-2", False),
        ("https://essex.example/sussex/middlesex.html", False),
        ("https://casino.example/free-slots", True),
        ("https://best-porno.example/", True),
        ("https://myxvideos.example/watch", True),
        ("https://news.example/2026/torrents-of-rain", False),
        ("https://[broken", False),
        ("", False),
    ],
)
def test_addresses_are_blocked_by_one_hard_or_two_soft_words(address: str, blocked: bool) -> None:
    assert (judge_url(address) is not None) == blocked


def test_a_blocked_address_is_not_even_looked_at() -> None:
    rows = [("f", Row("0", fields={"url": "https://porno.example/"}, page=crawled(article())))]
    ((_, row),) = extracted(rows, CorpusConfig(sources=()))
    assert reason(row) == "address blocked"


@pytest.mark.parametrize(
    "markup, licence",
    [
        ('<a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/">x</a>', "CC-BY-SA-4.0"),
        ("<link rel=license href='http://creativecommons.org/licenses/by/3.0/deed.de'>", "CC-BY-3.0"),
        ('<a href="https://creativecommons.org/publicdomain/zero/1.0/" rel="nofollow license">x</a>', "CC0-1.0"),
        ('<a rel="license" href="https://a.example/terms">x</a>', "https://a.example/terms"),
        ("<p>licensed under creativecommons.org/licenses/by-nc-nd/4.0 by us</p>", "CC-BY-NC-ND-4.0"),
        ("<p>All rights reserved</p>", ""),
    ],
)
def test_licence_links_of_a_page_are_its_licence(markup: str, licence: str) -> None:
    assert licence_hint(markup) == licence


HOSTILE = {
    "nul": article().replace("fox", "f\0ox").encode(),
    "deep bold": b"<b>" * 60_000 + b"words " * 60,
    "deep tables": b"<table><tr><td>" * 20_000 + b"words " * 60,
    "unclosed": b"<p" * 200_000,
    "less": b"<" * 500_000,
    "comments": b"<!--" * 100_000,
    "attributes": b"<div " + b"a=b " * 100_000 + b">" + b"<p>words of a page</p>" * 60,
    "one line": b"<p>" + b"a" * 3_000_000,
    "noise": bytes(range(256)) * 500,
    "surrogates": b"<p>" + b"\xed\xa0\x80 words " * 60,
    "entities": b"<p>" + b"&#xD800;&#0;&nbsp;words " * 60,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_have_an_outcome_and_their_neighbours_are_untouched(name: str) -> None:
    before, hostile, after = outcomes([crawled(article(1)), crawled(HOSTILE[name]), crawled(article(2))])
    assert before.verdict is after.verdict is None
    assert "number 100 " in before.text
    assert "number 200 " in after.text
    assert hostile.verdict is not None or hostile.text.strip()
    hostile.text.encode()
    assert "\0" not in hostile.text


def test_a_page_that_takes_too_long_costs_that_page_alone() -> None:
    heavy = b"<html><body>" + b"<div>" * 200_000 + b"words " * 60  # seconds in the careful extractor
    found = outcomes([crawled(article(1)), crawled(heavy), crawled(article(2))], extract={"seconds": 1})
    assert [reason(row) for row in found] == ["", "extraction out of time", ""]


@pytest.mark.slow
def test_a_page_that_takes_too_much_memory_costs_that_page_alone() -> None:
    heavy = b"<html><body>" + b"<p>word" * 200_000
    found = outcomes([crawled(article(1)), crawled(heavy), crawled(article(2))], extract={"memory_mib": 128})
    assert [reason(row) for row in found] == ["", "extraction out of memory", ""]


def loaded() -> set[str]:
    return set(sys.modules)


def test_the_child_that_extracts_holds_the_parsers_and_no_model_of_languages() -> None:
    with LimitedChild(memory_mib=256, imports=IMPORTS) as child:
        names = child.call(loaded, timeout=60)
    assert {"trafilatura", "resiliparse.parse.html"} <= names
    assert not {"py3langid", "pyarrow"} & names
