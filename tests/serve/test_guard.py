"""Who may ask: names, origins and keys, before anything is read or computed."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from smolforge.cli.main import main
from smolforge.errors import ConfigError
from smolforge.serve.run import Server
from smolforge.serve.serving import Serving
from smolforge.serve.settings import Settings, read_keys
from tests.serve.client import PATIENCE, Client, eventually

KEY, OTHER = "a-key-of-sufficient-length", "another-key-of-good-length"
Serve = Callable[[Settings], AbstractContextManager[tuple[Client, Server]]]


def host(client: Client, name: str) -> dict[str, str]:
    return {"Host": f"{name}:{client.port}"}


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_this_machines_names_are_answered(client: Client, name: str) -> None:
    assert client.get("/health", host(client, name)).status == 200
    assert client.get("/health", {"Host": name}).status == 200


@pytest.mark.parametrize(
    "name", ["evil.example", "localhost.evil.example", "192.168.1.5", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_was_pointed_here_is_refused(client: Client, name: str) -> None:
    reply = client.get("/v1/models", host(client, name))
    assert reply.status == 403 and reply.error["code"] == "host_not_allowed"


def test_a_further_name_can_be_allowed(serve: Serve) -> None:
    with serve(Settings(port=0, allow_hosts=("box.local",))) as (client, _):
        assert client.get("/v1/models", host(client, "box.local")).status == 200
        assert client.get("/v1/models", host(client, "other.local")).status == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "file://"])
@pytest.mark.parametrize("path", ["/v1/models", "/health", "/"])
def test_pages_of_other_origins_are_refused_and_told_nothing(client: Client, origin: str, path: str) -> None:
    reply = client.get(path, {"Origin": origin})
    assert reply.status == 403
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_a_preflight_of_another_origin_is_refused(client: Client) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    reply = client.ask("OPTIONS", "/v1/chat/completions", None, asked)
    assert reply.status == 403 and "access-control-allow-origin" not in reply.headers


def test_a_picture_or_script_of_another_page_is_refused_a_link_is_not(client: Client) -> None:
    site = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert client.get("/metrics", site).status == 403
    assert client.get("/health", {**site, "Sec-Fetch-Mode": "navigate"}).status == 200


def test_the_servers_own_pages_may_ask(client: Client) -> None:
    assert client.get("/v1/models", {"Origin": client.url}).status == 200


def test_an_allowed_origin_may_ask_without_credentials(serve: Serve) -> None:
    origin = "http://box.local:3000"
    with serve(Settings(port=0, allow_origins=(origin,))) as (client, _):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = client.ask("OPTIONS", "/v1/chat/completions", None, asked)
        assert preflight.status == 204 and preflight.headers["access-control-allow-origin"] == origin
        reply = client.get("/v1/models", {"Origin": origin})
        assert reply.status == 200 and reply.headers["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in reply.headers
        assert client.get("/v1/models", {"Origin": "http://box.local:3001"}).status == 403


def test_a_key_is_needed_where_there_is_one(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    with serve(Settings(port=0, keys=(KEY, OTHER))) as (client, _):
        for header in ({}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": KEY}, {"X-Api-Key": KEY[:-1]}):
            reply = client.get("/v1/models", header)
            assert reply.status == 401 and reply.headers["www-authenticate"] == "Bearer"
        for header in ({"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {OTHER}"}, {"X-Api-Key": KEY}):
            assert client.get("/v1/models", header).status == 200
        assert client.get("/health").status == 200  # a load balancer has no key
        assert client.get("/").status == 200  # and a person needs the page to type it into
        assert client.get(f"/v1/models?key={KEY}").status == 401
        assert client.get("/metrics").status == client.get("/props").status == 401
    assert KEY not in "".join(capfd.readouterr())


def test_a_key_shows_in_no_settings() -> None:
    assert KEY not in repr(Settings(keys=(KEY,)))


def test_a_public_address_needs_a_key(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMOLFORGE_API_KEY", raising=False)
    for public in ("0.0.0.0", "::", "192.168.1.5", "box.local"):
        with pytest.raises(ConfigError, match="key"):
            Settings(host=public)
        assert main(["serve", "--host", public]) == 2
        assert "key" in capsys.readouterr().err
    assert Settings(host="0.0.0.0", keys=(KEY,)).loopback is False


def test_on_a_public_address_numbers_are_names_too(serve: Serve) -> None:
    with serve(Settings(host="0.0.0.0", port=0, keys=(KEY,))) as (client, _):
        client.headers = {"X-Api-Key": KEY}
        assert client.get("/v1/models", host(client, "192.168.1.5")).status == 200
        assert client.get("/v1/models", host(client, "evil.example")).status == 403


@pytest.mark.parametrize("key", ["short", "with spaces in the key", "schlüssel-mit-umlaut"])
def test_a_key_that_is_too_weak_or_cannot_be_sent_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="API key"):
        Settings(keys=(key,))


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# two of them\n{KEY}\n\n{OTHER}\n")
    assert read_keys(file) == (KEY, OTHER)
    file.write_text("\n")
    with pytest.raises(ConfigError, match="no API key"):
        read_keys(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_keys(tmp_path / "absent")


@pytest.mark.parametrize(
    "wrong", [{"port": 70_000}, {"timeout": 0.0}, {"allow_origins": ("box",)}, {"allow_hosts": ("http://box",)}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Settings(**wrong)  # type: ignore[arg-type]


def test_an_address_that_is_taken_is_said_to_be(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "bundled", "--port", str(client.port)]) == 2
    assert str(client.port) in capsys.readouterr().err


def test_below_api_errors_have_ollamas_shape(client: Client) -> None:
    assert client.get("/api/nothing").json == {"error": "/api/nothing: no such route"}
    assert client.get("/v1/nothing").error["type"] == "not_found_error"
    assert client.ask("DELETE", "/v1/models").status == 405


def test_a_defect_is_an_error_like_others_without_details(
    client: Client, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(serving: Serving, model: str) -> None:
        raise KeyError(model.upper())

    monkeypatch.setattr(Serving, "expect", fail)
    said = "the server failed on this request; its log says where"
    asked = {"model": "secret", "messages": [{"role": "user", "content": "x"}]}
    reply = client.post("/v1/chat/completions", asked)
    assert (reply.status, reply.error["type"], reply.error["message"]) == (500, "server_error", said)
    reply = client.post("/api/chat", asked)
    assert (reply.status, reply.json) == (500, {"error": said})
    logged = capfd.readouterr().err
    assert "KeyError" in logged and "in fail" in logged and "SECRET" not in logged


def test_the_log_has_one_line_a_request_without_what_was_asked(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "quite-secret-words"
    client.post(
        f"/v1/chat/completions?q={secret}", {"messages": [{"role": "user", "content": secret}], "max_tokens": 2}
    )
    written = ""

    def logged() -> bool:
        nonlocal written
        written += capfd.readouterr().err
        return any(line.startswith("127.0.0.1 POST /v1/chat/completions 200 ") for line in written.splitlines())

    eventually(logged)
    assert secret not in written


def test_what_is_no_request_and_an_upgrade_have_one_line_each(
    client: Client, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def lines() -> list[str]:
        nonlocal written
        written += capfd.readouterr().err
        return written.splitlines()

    written = ""
    with socket.create_connection((client.host, client.port), PATIENCE) as raw:
        raw.sendall(b"quite secret words\r\n\r\n")
        assert b" 400 " in raw.makefile("rb").readline()
    eventually(lambda: any(line.startswith("127.0.0.1 - - 400 ") for line in lines()))
    assert client.get("/health", {"Connection": "Upgrade", "Upgrade": "websocket"}).status == 200
    eventually(lambda: any(line.startswith("127.0.0.1 GET /health 200 ") for line in lines()))
    assert all(re.fullmatch(r"\S+ \S+ \S+ \d{3} \d+ms \d+B", line) for line in lines()), written
    assert caplog.records == []  # outside of a test these are lines, too


def test_a_health_check_may_ask_for_the_head_alone(client: Client) -> None:
    reply = client.ask("HEAD", "/health")
    assert reply.status == 200 and reply.body == b""


def test_responses_say_what_they_are_and_nothing_about_the_server(client: Client) -> None:
    headers = client.get("/v1/models").headers
    assert headers["x-content-type-options"] == "nosniff" and "server" not in headers
