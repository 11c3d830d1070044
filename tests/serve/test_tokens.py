"""Tokens, prompts and embeddings over HTTP are the engine's own."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from smolforge import Engine
from tests.serve.client import Client

TEXT = "Grüße aus 東京, <|im_end|> is text here."


def test_tokens_go_there_and_back(client: Client, engine: Engine) -> None:
    tokens = client.post("/tokenize", {"content": TEXT}).json["tokens"]
    assert tokens == engine.codec.encode_text([TEXT])[0]
    assert client.post("/detokenize", {"tokens": tokens}).json == {"content": TEXT, "prompt": TEXT}


def test_control_tokens_are_read_where_that_is_asked_for(client: Client, engine: Engine) -> None:
    end = engine.codec.special["<|im_end|>"]
    plain = client.post("/tokenize", {"content": TEXT}).json["tokens"]
    asked = [{"content": TEXT, "parse_special": True}, {"prompt": TEXT, "add_special_tokens": False}]
    for found in (client.post("/tokenize", body).json["tokens"] for body in asked):
        assert end in found and end not in plain
        assert client.post("/detokenize", {"tokens": found}).json["content"] == TEXT
    assert client.post("/tokenize", {"prompt": "a", "content": "b"}).status == 400


def test_the_tokenizer_is_described(client: Client, engine: Engine) -> None:
    found = client.get("/tokenizer_info").json
    assert found["eos_token"] == "<|im_end|>" and "<|im_start|>" in found["chat_template"]
    (end,) = client.post("/tokenize", {"prompt": found["eos_token"]}).json["tokens"]
    assert end in engine.model.stop


def test_pieces_are_text_or_bytes(client: Client) -> None:
    found = client.post("/tokenize", {"content": TEXT, "with_pieces": True}).json["tokens"]
    pieces = [piece["piece"] for piece in found]
    spelled = b"".join(bytes(piece) if isinstance(piece, list) else piece.encode() for piece in pieces)
    assert spelled.decode() == TEXT


def test_a_token_that_does_not_exist_is_refused(client: Client, engine: Engine) -> None:
    reply = client.post("/detokenize", {"tokens": [0, engine.vocab_size]})
    assert reply.status == 400 and str(engine.vocab_size) in reply.error["message"]
    assert client.post("/v1/completions", {"prompt": [engine.vocab_size]}).error["param"] == "prompt"


def test_a_conversation_is_laid_out_as_the_model_reads_it(client: Client, engine: Engine) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    found = client.post("/apply-template", {"messages": messages}).json
    assert found["tokens"] == engine.codec.prompt(messages, "no_think")
    assert found["prompt"] == engine.codec.decode(found["tokens"])


@pytest.mark.parametrize("given", ["one text", ["one text", "another"], [1, 2, 3], [[1, 2], [3, 4, 5]]])
def test_embeddings_are_the_engines(client: Client, engine: Engine, given: str | list[str]) -> None:
    single = isinstance(given, str) or isinstance(given[0], int)
    expected = engine.embed([given] if single else given)  # type: ignore[list-item]
    found = client.post("/v1/embeddings", {"input": given}).json["data"]
    assert [one["index"] for one in found] == list(range(len(expected)))
    np.testing.assert_array_equal(np.float32([one["embedding"] for one in found]), expected)
    packed = client.post("/v1/embeddings", {"input": given, "encoding_format": "base64"}).json["data"]
    raw = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in packed]
    np.testing.assert_array_equal(np.stack(raw), expected)


def test_other_dimensions_are_refused(client: Client) -> None:
    assert client.post("/v1/embeddings", {"input": "x", "dimensions": 3}).error["param"] == "dimensions"
