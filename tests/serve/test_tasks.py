"""Task routes give what the tasks give, for one text or many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema

from smolforge import Engine
from smolforge.tasks.classify import classify
from smolforge.tasks.extract import extract
from smolforge.tasks.summarize import summarize
from tests.serve.client import Client

REVIEW = "The battery died after two days and nobody answered my mails."
LABELS = ["praise", "complaint", "question"]
NOTE = "Maria Lopez, 42, moved from Lisbon to Ghent in 2019."


def facts(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out what differs from run to run."""
    return {name: value for name, value in found.items() if name not in ("model", "usage", "timings")}


def test_scores_are_those_of_the_task(client: Client, engine: Engine) -> None:
    expected = classify(engine, REVIEW, LABELS)
    found = client.post("/v1/classify", {"text": REVIEW, "labels": LABELS}).json
    assert facts(found) == facts(expected.json())
    assert found["usage"]["prompt_tokens"] > 0


def test_several_labels_and_no_label_can_be_asked_for(client: Client) -> None:
    found = client.post("/v1/classify", {"text": REVIEW, "labels": LABELS, "abstain": 1.0}).json
    assert found["label"] is None
    found = client.post("/v1/classify", {"text": REVIEW, "labels": LABELS, "multi": True}).json
    assert set(found["scores"]) == set(LABELS)


def test_many_texts_come_back_in_their_order(client: Client, engine: Engine) -> None:
    texts = [REVIEW, "Thank you, it works!", "Where is it?"]
    found = client.post("/v1/classify", {"text": texts, "labels": LABELS}).json["results"]
    assert [facts(one) for one in found] == [facts(classify(engine, text, LABELS).json()) for text in texts]


def test_an_extraction_is_that_of_the_task(client: Client, engine: Engine) -> None:
    schema = "name span, age int"
    found = client.post("/v1/extract", {"text": NOTE, "schema": schema}).json
    assert facts(found) == facts(extract(engine, NOTE, schema).json())
    shape = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 40}}, "required": ["city"]}
    value = client.post("/v1/extract", {"text": NOTE, "schema": shape}).json["value"]
    jsonschema.validate(value, shape)


def test_what_is_wrong_with_one_text_stands_in_its_place(client: Client) -> None:
    found = client.post("/v1/extract", {"text": [NOTE, ""], "schema": "name span"}).json["results"]
    assert "value" in found[0] and found[1]["error"]["type"] == "invalid_request_error"
    assert client.post("/v1/extract", {"text": "", "schema": "name span"}).status == 400


def test_a_schema_never_names_a_file_of_the_servers(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"type": "object", "properties": {"stolen": {"type": "string"}}}')
    reply = client.post("/v1/extract", {"text": NOTE, "schema": str(file)})
    assert reply.status == 400 and "stolen" not in reply.body.decode()


def test_a_summary_is_that_of_the_task(client: Client, engine: Engine) -> None:
    text = "The meeting was moved from Monday to Thursday because the room was taken by another team. " * 3
    found = client.post("/v1/summarize", {"text": text, "words": 12}).json
    assert facts(found) == facts(summarize(engine, text, words=12).json())


def test_what_a_task_refuses_is_told(client: Client) -> None:
    reply = client.post("/v1/classify", {"text": REVIEW, "labels": ["a", "a"]})
    assert reply.status == 400 and "'a'" in reply.error["message"]
    reply = client.post("/v1/summarize", {"text": REVIEW, "language": "xx"})
    assert reply.status == 400 and "language" in reply.error["message"]


def test_an_empty_text_is_refused_by_every_task(client: Client) -> None:
    for path, more in {"classify": {"labels": LABELS}, "extract": {"schema": "name span"}, "summarize": {}}.items():
        for text in ("", " \n"):
            reply = client.post(f"/v1/{path}", {"text": text, **more})
            assert reply.status == 400 and "text is empty" in reply.error["message"]
    found = client.post("/v1/classify", {"text": [REVIEW, ""], "labels": LABELS}).json["results"]
    assert found[0]["label"] in LABELS and "text is empty" in found[1]["error"]["message"]
