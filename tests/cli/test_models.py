"""Which model a command means, and what `ls`, `show` and `rm` make of the places models are in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smolforge.cli.main import main
from smolforge.cli.models import BUNDLED, RUN_FILE, find_model
from smolforge.errors import ConfigError
from smolforge.hub.local import bundled
from smolforge.recipe import runner
from tests.hub.cached import put

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache, and an empty folder to work in."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("SMOLFORGE_MODEL", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "hub"


def test_the_run_file_is_called_what_the_runner_calls_it() -> None:
    assert runner.RUN_FILE == RUN_FILE


def test_the_default_is_the_variable_then_a_cached_smollm3_then_the_bundled_model(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = bundled()
    assert small is not None and small.read_bytes()[:4] == b"GGUF"
    assert find_model(None) == small
    good = put(cache, "HuggingFaceTB/SmolLM3-3B", {"config.json": b"{}", "model.safetensors": b"x"})
    assert find_model(None) == good
    assert find_model(BUNDLED) == small
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF")
    monkeypatch.setenv("SMOLFORGE_MODEL", str(own))
    assert find_model(None) == own
    assert find_model("HuggingFaceTB/SmolLM3-3B") == good
    monkeypatch.setenv("SMOLFORGE_MODEL", "nowhere")
    with pytest.raises(ConfigError, match=r"\$SMOLFORGE_MODEL: nowhere: no such model"):
        find_model(None)


def test_a_half_fetched_smollm3_is_not_the_default(cache: Path) -> None:
    index = json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    )
    files = {"config.json": b"{}", "model.safetensors.index.json": index.encode()}
    put(cache, "HuggingFaceTB/SmolLM3-3B", files | {"model-00001-of-00002.safetensors": b"x"})
    assert find_model(None) == bundled()


def test_a_hub_name_that_is_not_here_says_how_to_fetch_it(cache: Path) -> None:
    with pytest.raises(ConfigError, match="smolforge pull some/model:Q4_0"):
        find_model("some/model:Q4_0")


def test_ls_shows_each_model_with_a_name_that_opens_it(cache: Path, capsys: Capture) -> None:
    folder = put(cache, "some/model", {"config.json": b"{}", "model.safetensors": b"x" * 10})
    put(cache, "some/GGUF", {"m-Q4_0.gguf": b"y" * 2000, "m-Q8_0.gguf": b"z" * 3000}, commit="b" * 40, ref=None)
    part = cache / "models--half--way" / "blobs" / f"{'c' * 40}.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"1234")
    assert main(["ls", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    by_name = {model["name"]: model for model in found}
    assert by_name["some/model"] == {"name": "some/model", "type": "safetensors", "bytes": 12, "path": str(folder)}
    assert by_name["half/way"]["type"] == "unfinished pull" and by_name["half/way"]["bytes"] == 4
    assert BUNDLED in by_name
    for model in found:
        if model["type"] != "unfinished pull":
            assert find_model(model["name"]) == Path(model["path"])
    assert main(["ls"]) == 0
    assert "3 kB" in capsys.readouterr().out


def test_show_reads_headers_and_says_what_cannot_run(cache: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["show", BUNDLED, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["architecture"] == "llama" and found["runs"] is True
    assert found["parameters"] == 134_515_008 and found["context"] == 8192 and found["licence"] == "apache-2.0"
    assert found["shape"]["n_layers"] == 30 and "<|im_start|>" in found["template"]
    assert sum(part["bytes"] for part in found["tensors"].values()) == found["bytes"]
    assert main(["show", BUNDLED]) == 0
    assert "135M (134,515,008)" in capsys.readouterr().out

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "mamba\\u001b[31m"}')
    (tmp_path / "other" / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\nA model.")
    assert main(["show", str(tmp_path / "other")]) == 0
    text = capsys.readouterr().out
    assert "not supported" in text and "mit" in text and "\x1b" not in text


def test_rm_asks_and_removes_only_what_nothing_else_needs(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    old = put(cache, "some/model", {"config.json": b"same", "old.gguf": b"old" * 99}, commit="a" * 40, ref="v1")
    new = put(cache, "some/model", {"config.json": b"same", "new.gguf": b"new" * 99}, commit="b" * 40)
    assert main(["rm", "some/model@v1"]) == 2
    assert "--yes" in capsys.readouterr().err and old.is_dir()
    assert main(["rm", "some/model@v1", "--yes"]) == 0
    assert not old.exists() and (new / "config.json").read_bytes() == b"same"
    assert len(list((cache / "models--some--model" / "blobs").iterdir())) == 2
    assert main(["rm", "some/model", "-y"]) == 0
    assert list(cache.glob("models--*")) == []
    assert main(["rm", "some/model", "-y"]) == 2 and "not in the cache" in capsys.readouterr().err


def test_rm_keeps_a_file_in_the_shared_store_until_the_last_repository_lets_go(cache: Path) -> None:
    store = cache / "blobs" / "ab" / ("ab" + "0" * 62)
    store.parent.mkdir(parents=True)
    store.write_bytes(b"weights")
    for name in ("one/model", "two/model"):
        snapshot = put(cache, name, {"config.json": b"{}"})
        blob = snapshot.parents[1] / "blobs" / ("e" * 64)
        blob.symlink_to(store)
        (snapshot / "model.safetensors").symlink_to(f"../../blobs/{blob.name}")
    assert main(["rm", "one/model", "-y"]) == 0
    assert store.read_bytes() == b"weights"
    assert main(["rm", "two/model", "-y"]) == 0
    assert not store.exists()


def test_rm_stays_inside_the_cache(cache: Path, tmp_path: Path, capsys: Capture) -> None:
    outside = tmp_path / "precious"
    put(outside, "some/model", {"config.json": b"{}"})
    cache.mkdir()
    (cache / "models--some--model").symlink_to(outside / "models--some--model")
    assert main(["rm", "some/model", "-y"]) == 2
    assert "leads out of the cache" in capsys.readouterr().err
    assert (outside / "models--some--model" / "snapshots").is_dir()
    for name in (str(outside), "../precious", "."):
        assert main(["rm", name, "-y"]) == 2
        assert "only models in the Hugging Face cache" in capsys.readouterr().err
