"""Names of hub models, the files that make a model, and where the cache is."""

from __future__ import annotations

from pathlib import Path

import pytest

from smolforge.errors import ConfigError
from smolforge.hub import places
from smolforge.hub.choose import choose_files
from smolforge.hub.names import ModelName, parse_name

SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("HuggingFaceTB/SmolLM3-3B", ModelName("HuggingFaceTB", "SmolLM3-3B")),
        ("a/b:Q4_K_M", ModelName("a", "b", "Q4_K_M")),
        ("a/b.c_d@v1.0", ModelName("a", "b.c_d", None, "v1.0")),
        ("a/b:q8_0@refs/pr/3", ModelName("a", "b", "q8_0", "refs/pr/3")),
    ],
)
def test_a_name_has_its_parts_and_is_printed_as_it_was_typed(text: str, wanted: ModelName) -> None:
    assert parse_name(text) == wanted and str(wanted) == text


@pytest.mark.parametrize(
    "text",
    ["gpt2", "a/b/c", "../b", "a/..", "a/b..c", "a--b/c", "a/b@../../x", "a/b@-x", "a/b:", "a b/c", "a/b\n", "ä/b"],
)
def test_other_words_are_not_names(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_name(text)


def test_a_safetensors_model_is_its_folder_without_pickles() -> None:
    names = ["LICENSE", "README.md", "config.json", "tokenizer.json", *SHARDS, "model.safetensors.index.json",
             "pytorch_model.bin", "training_args.bin", "onnx/model.onnx", "q.gguf"]  # fmt: skip
    chosen = choose_files(names, None, "x")
    assert chosen == ["LICENSE", "README.md", "config.json", "tokenizer.json", *SHARDS, "model.safetensors.index.json"]
    assert choose_files(names, "q", "x") == ["LICENSE", "README.md", "q.gguf"]


def test_a_repository_without_a_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing here that can be run"):
        choose_files(["README.md", "pytorch_model.bin"], None, "x")
    with pytest.raises(ConfigError, match="split into parts"):
        choose_files(["m-Q4_0-00001-of-00002.gguf"], None, "x")


def test_the_cache_is_where_its_own_library_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    wanted = [tmp_path / ".cache" / "huggingface" / "hub", tmp_path / "x" / "huggingface" / "hub",
              tmp_path / "h" / "hub", tmp_path / "old", tmp_path / "new"]  # fmt: skip
    assert places.cache_root() == wanted[0]
    values = ("x", "h", "old", "new")
    for name, value, place in zip(reversed(VARIABLES), values, wanted[1:], strict=True):
        monkeypatch.setenv(name, str(tmp_path / value))
        assert places.cache_root() == place


def test_a_token_comes_from_the_variable_or_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert places.token() is None
    (tmp_path / "token").write_text("hf_file\n")
    assert places.token() == "hf_file"
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert places.token() is None
    monkeypatch.setenv("HF_TOKEN", "hf_variable")
    assert places.token() == "hf_variable"
