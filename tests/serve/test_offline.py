"""While serving, nothing leaves this machine: no connection, no look-up of a name, whatever the environment says."""

from __future__ import annotations

import pytest

from smolforge import Engine
from smolforge.serve.settings import Settings
from tests.serve import offline
from tests.serve.conftest import serving

ASK = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "temperature": 0}


def test_no_request_makes_the_server_call_anybody(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.setenv(variable, "http://collector.example:4318")
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    offline.only_loopback(monkeypatch)
    with serving(engine, Settings(port=0)) as (client, _):
        model = client.get("/v1/models").json["data"][0]["id"]
        asked = {
            "/v1/chat/completions": ASK,
            "/v1/completions": {"prompt": "x"},
            "/v1/responses": {"input": "Hi"},
            "/v1/embeddings": {"input": "x"},
            "/v1/classify": {"text": "The battery died.", "labels": ["praise", "complaint"]},
            "/v1/extract": {"text": "Ann, 4", "schema": "name span"},
            "/api/chat": {"model": model, "stream": False, "messages": ASK["messages"]},
        }
        for path, body in asked.items():
            assert client.post(path, body).status == 200, path
        for path in ("/", "/health", "/metrics", "/props", "/openapi.json", "/v1/models", "/api/tags"):
            assert client.get(path).status == 200, path
        remote = {"$ref": "https://elsewhere.example/schema.json"}
        client.post("/v1/chat/completions", {**ASK, "response_format": {"type": "json_schema", "schema": remote}})
    assert offline.LEFT == []


def test_there_is_no_page_that_loads_from_elsewhere(engine: Engine) -> None:
    with serving(engine, Settings(port=0)) as (client, _):
        assert client.get("/docs").status == client.get("/redoc").status == 404
