"""The page's files are served with their types, an ETag and a policy that keeps everything else out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smolforge.serve.routes.page import FOLDER, TYPES, bundle
from tests.serve.client import Client

SCRIPTS = sorted(path for path in bundle() if path.endswith(".js"))


def test_the_page_comes_with_a_policy_that_lets_nothing_else_in(client: Client) -> None:
    reply = client.get("/")
    assert reply.status == 200 and reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(rule.strip().split(" ", 1) for rule in reply.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'" and policy["trusted-types"] == "'none'"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", sorted(bundle()))
def test_each_file_comes_whole_with_its_type_and_not_again_while_it_is_the_same(client: Client, path: str) -> None:
    reply = client.get(f"/page/{path}")
    assert reply.status == 200 and reply.body == (FOLDER / path).read_bytes()
    assert reply.headers["content-type"] == TYPES[Path(path).suffix]
    again = client.get(f"/page/{path}", {"If-None-Match": f'"other", W/{reply.headers["etag"]}'})
    assert again.status == 304 and again.body == b"" and again.headers["etag"] == reply.headers["etag"]
    assert client.get(f"/page/{path}", {"If-None-Match": '"other"'}).status == 200


def test_the_head_of_a_file_says_how_long_it_is(client: Client) -> None:
    reply = client.ask("HEAD", "/")
    assert reply.status == 200 and reply.body == b""
    assert int(reply.headers["content-length"]) == len((FOLDER / "index.html").read_bytes())


@pytest.mark.parametrize("path", ["nothing.js", "../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "core", ""])
def test_nothing_but_the_pages_files_is_served(client: Client, path: str) -> None:
    assert client.get(f"/page/{path}").status == 404


def test_every_file_that_is_named_is_there() -> None:
    page = (FOLDER / "index.html").read_text()
    named = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert len(named) > 5 and all(name.removeprefix("page/") in bundle() for name in named)
    for script in SCRIPTS:
        for name in re.findall(r'from "(\.[^"]+)"', (FOLDER / script).read_text()):
            assert (FOLDER / script).parent.joinpath(name).resolve().relative_to(FOLDER).as_posix() in bundle(), script


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_makes_markup_or_code_of_text_or_names_another_host(script: str) -> None:
    text = (FOLDER / script).read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc", text)
    hosts = set(re.findall(r"https?://([\w.-]+)", text))
    assert hosts <= {"www.w3.org", "html.spec.whatwg.org"}, "the name of a format, and a page about one"
