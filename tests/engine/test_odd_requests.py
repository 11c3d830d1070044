"""What people and programs ask by mistake: each is refused in one line, and harms nobody else."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smolforge
from smolforge.engine.engine import Engine
from smolforge.errors import ConfigError, DataError, SmolforgeError
from smolforge.formats.safetensors_io import SafetensorsFile, write_safetensors
from smolforge.generator import Request, Sampling
from tests.engine.small_model import PATIENCE
from tests.engine.test_engine import Paced
from tests.engine.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine.open(write_tiny_model(tmp_path_factory.mktemp("odd")), context=512, cache=False, threads=1) as made:
        yield made


ODD_CHATS: dict[str, Any] = {
    "max_tokens is 3.5": {"max_tokens": 3.5},
    "max_tokens is '5'": {"max_tokens": "5"},
    "max_tokens is -1": {"max_tokens": -1},
    "logprobs is 2.5": {"logprobs": 2.5},
    "priority is 0.5": {"priority": 0.5},
    "timeout is '9'": {"timeout": "9"},
    "expected a Sampling": {"sampling": {"temperature": 0}},
    "unknown option 'temperature': .* sampling=Sampling\\(temperature=": {"temperature": 0},
}


@pytest.mark.parametrize("problem", ODD_CHATS)
def test_an_odd_option_is_refused_by_name(engine: Engine, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        engine.chat("hall", **ODD_CHATS[problem])
    assert engine.chat("hall", max_tokens=2).usage.completion_tokens <= 2


@pytest.mark.parametrize("field", [{"temperature": "0"}, {"top_k": 2.5}, {"seed": 0.5}, {"dry_base": None}])
def test_a_sampling_value_of_another_type_is_refused_by_name(field: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(field))} is .*, expected a "):
        Sampling(**field)


@pytest.mark.parametrize("messages", [5, {"role": "user", "content": "hall"}, ["hall"], [], [{"role": "user"}]])
def test_messages_that_are_none_are_refused(engine: Engine, messages: Any) -> None:
    with pytest.raises(DataError, match=r"^messages"):
        engine.chat(messages)


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine, ids: engine.generate([Request(ids, 2)]),
        lambda engine, ids: engine.embed([ids]),
        lambda engine, ids: engine.warm(ids),
        lambda engine, ids: engine.score(ids, [[1]]),
        lambda engine, ids: engine.score([1], [ids]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ids", [[1, -1], [1, 1 << 20], [1, 1 << 40], [1.5], [None]])
def test_what_is_no_token_of_the_model_is_refused(
    engine: Engine, ask: Callable[[Engine, Any], object], ids: list[Any]
) -> None:
    with pytest.raises(SmolforgeError, match="token"):
        ask(engine, ids)


def test_as_many_prompts_as_continuations_or_one(engine: Engine) -> None:
    with pytest.raises(DataError, match="2 prompts for 1 continuations"):
        engine.score(["turn", "on"], ["the"])


def test_an_object_gets_no_keys_but_those_its_schema_names_and_numbers_end(engine: Engine) -> None:
    for i in range(4):
        inner = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        schema = {"type": "object", "properties": {"a": inner, "b": {"type": "boolean"}}, "required": ["a"]}
        found = engine.chat(f"hall {i}", schema=schema).json()
        assert set(found) <= {"a", "b"} and set(found["a"]) == {"n"} and abs(found["a"]["n"]) <= 10**15


def test_what_a_schema_cannot_hold_is_refused_by_its_name_and_place(engine: Engine) -> None:
    for schema in ({"items": {"uniqueItems": True}}, '{"items": {"uniqueItems": true}}'):
        with pytest.raises(ConfigError, match="'uniqueItems' at /items is not supported"):
            engine.chat("hall", schema=schema)
    with pytest.raises(ConfigError, match="'#/nowhere', which is not in the schema"):
        engine.chat("hall", schema={"$ref": "#/nowhere"})


def test_one_stop_string_need_not_be_a_list(engine: Engine) -> None:
    free = engine.generate("turn on", max_tokens=12)
    stop = free.text[3:6]
    assert engine.generate("turn on", max_tokens=12, stop=stop).text == free.text[: free.text.index(stop)]
    assert engine.generate("turn on", max_tokens=12, stop=free.tokens[5]).finish == "stop"


def test_penalties_beyond_what_a_float_holds_are_no_warning(engine: Engine, recwarn: pytest.WarningsRecorder) -> None:
    for sampling in (Sampling(repetition_penalty=1e-42), Sampling(frequency_penalty=1e39)):
        engine.chat("hall hall", max_tokens=4, sampling=sampling)
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_a_stream_that_nobody_holds_is_cancelled(engine: Engine) -> None:
    pace = Paced()
    beside = engine.run(pace)
    stream = engine.submit(Request(engine.model.encode("light"), 400, stop=frozenset()))
    job = stream._job
    del stream
    gc.collect()
    pace.turns.release(400)
    assert job.result(PATIENCE).finish == "cancelled"
    beside.result(PATIENCE)


def test_damaged_weights_are_an_error_wherever_they_are_read(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    whole = SafetensorsFile(tmp_path / "model.safetensors")
    tensors = {name: np.array(whole.array(name)) for name in whole.entries}
    tensors["model.norm.weight"][3] = np.nan
    write_safetensors(tmp_path / "model.safetensors", tensors)
    with Engine.open(tmp_path, context=128, cache=False, threads=1) as engine:
        for ask in (
            lambda: engine.chat("hall", max_tokens=3),
            lambda: engine.generate("hall", max_tokens=3),
            lambda: engine.score("hall", [" light"]),
            lambda: engine.embed(["hall"]),
        ):
            with pytest.raises(DataError, match="not numbers; its weights are damaged"):
                ask()


def test_sampling_comes_from_the_package_itself() -> None:
    assert smolforge.Sampling is Sampling
