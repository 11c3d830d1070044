"""What a generated set may be told, and what is wrong with what it may not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from smolforge.corpus.synthesize.config import SynthesizeConfig
from smolforge.corpus.synthesize.format import format_names
from smolforge.errors import ConfigError, DataError
from smolforge.hub.local import bundled
from tests.corpus.scripted_server import scripted
from tests.corpus.synthesis_answers import (
    NEEDS_MODEL,
    good,
    settings,
)
from tests.corpus.synthesis_run import corpus, generate, towers


@pytest.fixture
def root(tmp_path: Path) -> Path:
    corpus(tmp_path / "corpus", towers(12))
    return tmp_path


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"a": {"format": "wikipedi"}}, "did you mean 'wikipedia'"),
        ({"a": {"format": "faq", "documents": {"enn": 3}}}, "did you mean 'en'"),
        ({"a": {"format": "tool_call"}}, "needs 'tools'"),
        ({"a": {"format": "faq", "limits": {"copy": 1}}}, "copy"),
        ({"../a": {"format": "faq"}}, "becomes a file"),
        ({}, "at least 1"),
    ],
)
def test_a_configuration_that_cannot_be_says_what_is_wrong(sets: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        SynthesizeConfig(templates=False, generated={"generator": {"model": "m"}, "sets": sets})  # type: ignore[arg-type]


def test_a_set_may_not_take_the_name_of_one_made_from_templates() -> None:
    generated = {"generator": {"model": "m"}, "sets": {"copying": {"format": "faq"}}}
    with pytest.raises(ValueError, match="choose another name"):
        SynthesizeConfig(generated=generated)  # type: ignore[arg-type]


def test_a_broken_file_of_tools_is_named(root: Path) -> None:
    (root / "tools.json").write_text('[{"type": "function"}]')
    sets = {"timers": {"format": "tool_call", "tools": str(root / "tools.json")}}
    with scripted(good) as server, pytest.raises(DataError, match=r"tools\.json: entry 1 has no function\.name"):
        generate(root, settings(server, sets))


def test_where_and_how_fast_is_asked_is_no_part_of_what_is_made(root: Path) -> None:
    def dumped(**endpoint: Any) -> Any:
        generated = {"generator": {"model": "m", **endpoint}, "sets": {"a": {"format": "faq"}}}
        return SynthesizeConfig(generated=generated).model_dump(mode="json")  # type: ignore[arg-type]

    assert dumped() == dumped(base_url="http://127.0.0.1:1/v1", concurrency=9, key_variable="KEY")
    assert set(format_names()) >= {"faq", "table", "tutorial", "maths", "reasoning", "instruction", "tool_call"}


@NEEDS_MODEL
def test_params_that_only_servers_know_are_refused_by_the_engine(root: Path) -> None:
    sets = {"a": {"format": "wikipedia", "documents": 1, "params": {"extra": {"top_k": 3}}}}
    with pytest.raises(ConfigError, match="top_k"):
        generate(root, {"generator": {"model": str(bundled())}, "sets": sets})
