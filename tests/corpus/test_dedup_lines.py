"""Boilerplate lines: cut where a host repeats them around its pages, left where they are the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from smolforge.corpus.dedup.config import LineConfig
from smolforge.corpus.dedup.lines import Boilerplate, find_boilerplate, host_of
from tests.corpus.dedup_pool import Text, pool, runner, without

CONFIG = LineConfig(documents=4, share=0.5, least_characters=30)
HEAD = ["Home - News - Contact", "", "Sign in"]
FOOT = ["Share this page", "Copyright 2021 Harbour Office"]


def body(number: int) -> list[str]:
    return [f"Story {chr(97 + number)} begins at the quay.", "## Details", f"Nobody in story {chr(97 + number)} slept."]


def page(number: int, host: str = "news.example", lines: list[str] | None = None) -> Text:
    foot = [line.replace("2021", str(2000 + number)) for line in FOOT]
    text = "\n".join([*HEAD, *(body(number) if lines is None else lines), "", *foot])
    return Text(f"{host}{number}", text, url=f"https://www.{host}/{number}")


def boilerplate(folder: Path, shards: list[list[Text]], config: LineConfig = CONFIG) -> Boilerplate:
    return Boilerplate.load(find_boilerplate(pool(folder / "in", shards), config, runner(folder / "work")), config)


@pytest.mark.parametrize("shards", [1, 3])
def test_lines_around_the_pages_go_and_headings_inside_stay(shards: int, tmp_path: Path) -> None:
    pages = [page(number) for number in range(6)]
    found = boilerplate(tmp_path, [pages[n::shards] for n in range(shards)])
    for number, each in enumerate(pages):
        assert found.cut(each.text, "news.example", "en") == ("\n".join(body(number)), 4)


def test_another_hosts_lines_are_its_own(tmp_path: Path) -> None:
    found = boilerplate(tmp_path, [[page(number) for number in range(6)], [page(7, "other.example")]])
    text = page(7, "other.example").text
    assert found.cut(text, "other.example", "en") == (text, 0)


def test_blocks_inside_go_and_code_and_tables_stay(tmp_path: Path) -> None:
    block = ["More stories", "Read the paper", "Subscribe now"]
    code = ["```", "import harbour", "```", "| name | berth |", "    return berth"]
    shared = [["One of a kind " + "abcdef"[n], *block, *code, "Last words of " + "abcdef"[n]] for n in range(6)]
    pages = [page(number, lines=shared[number]) for number in range(6)]
    text, count = boilerplate(tmp_path, [pages]).cut(pages[0].text, "news.example", "en")
    assert text.split("\n") == ["One of a kind a", *code, "Last words of a"]
    assert count == 7


def test_programs_are_left_alone(tmp_path: Path) -> None:
    pages = [page(number) for number in range(6)]
    found = boilerplate(tmp_path, [pages])
    assert found.cut(pages[0].text, "news.example", "code") == (pages[0].text, 0)


def test_a_page_of_nothing_but_boilerplate_is_told(tmp_path: Path) -> None:
    pages = [page(number) for number in range(6)]
    found = boilerplate(tmp_path, [pages])
    text, count = found.cut("\n".join([*HEAD, "404", *FOOT]), "news.example", "en")
    assert (text, count) == ("404", 4) and found.too_little(text, count)
    assert not found.too_little("short", 0), "what was short before is the rules' business"
    assert not found.too_little("\n".join(body(1)), 4)


def test_rare_lines_and_masked_documents_do_not_count(tmp_path: Path) -> None:
    given = pool(tmp_path / "in", [[page(number) for number in range(6)]])
    masked = without(given, tmp_path / "masks", {0, 1, 2})
    found = Boilerplate.load(find_boilerplate(masked, CONFIG, runner(tmp_path / "work")), CONFIG)
    assert found.cut(page(5).text, "news.example", "en")[1] == 0


def test_a_host_is_told_from_the_address() -> None:
    assert host_of("https://WWW.News.Example:8080/a?b", "web") == "news.example"
    assert host_of("notes/today.md", "notes") == "source notes"
    assert host_of("http://[broken", "web") == "source web"
