"""What the server tells of itself: counters that move, and properties."""

from __future__ import annotations

import re
import socket

from smolforge import Engine
from smolforge.serve.settings import Settings
from tests.serve.client import PATIENCE, Client, eventually
from tests.serve.conftest import serving

ASK = {"messages": [{"role": "user", "content": "Name three fruits."}], "temperature": 0, "max_tokens": 8}
SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})? [0-9.e+-]+')


def counters(client: Client) -> dict[str, float]:
    reply = client.get("/metrics")
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in reply.body.decode().splitlines() if not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) for line in lines)
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_answers_move_the_counters(client: Client) -> None:
    route = 'smolforge_http_requests_total{route="/v1/chat/completions",status="200"}'
    before = counters(client)
    usage = client.post("/v1/chat/completions", ASK).json["usage"]
    eventually(lambda: counters(client).get(route, 0) == before.get(route, 0) + 1)
    after = counters(client)
    moved = {name: after[f"smolforge_{name}_tokens_total"] - before[f"smolforge_{name}_tokens_total"]
             for name in ("prompt", "generated")}  # fmt: skip
    assert moved == {"prompt": usage["prompt_tokens"], "generated": usage["completion_tokens"]}
    first = "smolforge_time_to_first_token_seconds"
    assert after[f"{first}_count"] == before[f"{first}_count"] + 1 == after[f'{first}_bucket{{le="+Inf"}}']


def test_a_client_that_leaves_while_it_sends_is_no_failure_of_the_server(client: Client) -> None:
    left, failed = (f'smolforge_http_requests_total{{route="/v1/responses",status="{code}"}}' for code in (499, 500))
    before = counters(client)
    with socket.create_connection((client.host, client.port), PATIENCE) as connection:
        head = f"POST /v1/responses HTTP/1.1\r\nHost: {client.host}:{client.port}\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head.encode() + b"{")
    eventually(lambda: counters(client).get(left, 0) == before.get(left, 0) + 1)
    assert counters(client).get(failed, 0) == before.get(failed, 0)


def test_paths_that_clients_make_up_make_no_counters(client: Client) -> None:
    for i in range(5):
        client.get(f"/made-up-{i}")
    assert "made-up" not in client.get("/metrics").body.decode()


def test_properties_say_what_is_served(client: Client, engine: Engine) -> None:
    found = client.get("/props").json
    assert found["model_alias"] == engine.model.name == client.get("/v1/models").json["data"][0]["id"]
    assert found["default_generation_settings"]["n_ctx"] == engine.context
    assert "messages" in found["chat_template"] and found["total_slots"] == 8


def test_while_it_drains_it_says_so_and_takes_nothing(engine: Engine) -> None:
    long = {**ASK, "temperature": 2, "max_tokens": 1900, "logit_bias": {"0": -100, "2": -100}}
    with serving(engine, Settings(port=0)) as (client, server):
        assert client.get("/health").json == {"status": "ok"}
        with client.connect("/v1/chat/completions", long):
            eventually(lambda: engine.status().running == 1)
            server.serving.drain()
            assert client.get("/health").status == 503
            reply = client.post("/v1/chat/completions", ASK)
            assert reply.status == 503 and reply.error["code"] == "shutting_down" and "retry-after" in reply.headers
