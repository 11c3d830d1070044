"""Opening models: a second start maps what the first packed, weights are kept as asked for, misfits are refused."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smolforge.engine import loaded, packed_file
from smolforge.engine.architectures import native_shape
from smolforge.engine.loaded import LoadedModel, open_model
from smolforge.errors import ConfigError, FormatError, SmolforgeError
from smolforge.formats.safetensors_io import SafetensorsFile, write_safetensors
from smolforge.tokens.template import ChatCodec
from tests.engine.gguf_models import config_of, write_random_gguf
from tests.engine.native_layers import run
from tests.engine.tiny_model import write_tiny_model

SHORT = np.arange(20, dtype=np.int32) + 5


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMOLFORGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "packed"


def logits(model: LoadedModel) -> np.ndarray:
    return run(model, SHORT)[1]


def edit(path: Path, **changes: Any) -> None:
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, **changes}))


def test_the_second_start_maps_what_the_first_packed(tmp_path: Path, cache: Path, monkeypatch: Any) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    first = open_model(folder)
    assert len(list(cache.iterdir())) == 1

    def never(*_: object) -> None:
        raise AssertionError("packed again")

    monkeypatch.setattr(loaded, "_open", never)
    second = open_model(folder)
    np.testing.assert_array_equal(logits(first), logits(second))
    assert (first.digest, first.tokenizer_digest) == (second.digest, second.tokenizer_digest)
    assert first.codec.prompt([{"role": "user", "content": "hi"}]) == second.codec.prompt(
        [{"role": "user", "content": "hi"}]
    )


def test_without_the_cache_nothing_is_written_and_nothing_else_changes(tmp_path: Path, cache: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    alone = open_model(folder, cache=False)
    assert not cache.exists()
    assert alone.digest == open_model(folder).digest
    np.testing.assert_array_equal(logits(alone), logits(open_model(folder)))


@pytest.mark.parametrize("damage", ["cut", "flipped header", "foreign", "empty"])
def test_a_torn_or_foreign_packed_file_is_made_again(damage: str, tmp_path: Path, cache: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    wanted = logits(open_model(folder))
    packed = next(cache.iterdir())
    whole = packed.read_bytes()
    if damage == "foreign":
        packed.unlink()
        write_safetensors(packed, {"x": np.zeros(3, np.float32)})
    else:
        broken = {"cut": whole[:-64], "empty": b"", "flipped header": whole[:40] + b"#" + whole[41:]}[damage]
        packed.write_bytes(broken)
    np.testing.assert_array_equal(logits(open_model(folder)), wanted)
    assert next(cache.iterdir()).read_bytes() == whole


def test_another_model_under_the_same_name_is_not_taken_for_this_one(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny", seed=1)
    first = open_model(folder)
    shutil.rmtree(folder)
    second = open_model(write_tiny_model(folder, seed=2))
    assert first.digest != second.digest
    assert np.abs(logits(first) - logits(second)).max() > 0.1


def test_packed_files_are_aligned_and_open_to_any_safetensors_reader(tmp_path: Path, cache: Path) -> None:
    open_model(write_tiny_model(tmp_path / "tiny"))
    file = SafetensorsFile(next(cache.iterdir()))
    assert all(entry.start % 64 == 0 and entry.dtype == "U8" for entry in file.entries.values())
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(next(cache.iterdir()), "np") as theirs:
        assert set(theirs.keys()) == set(file.entries)


def test_the_packed_files_used_longest_ago_make_room(tmp_path: Path, cache: Path, monkeypatch: Any) -> None:
    folders = [write_tiny_model(tmp_path / f"m{seed}", seed=seed) for seed in range(3)]
    for age, folder in zip((300, 200), folders[:2], strict=True):
        open_model(folder)
        newest = max(cache.iterdir(), key=lambda file: file.stat().st_ctime_ns)
        os.utime(newest, (newest.stat().st_atime - age, newest.stat().st_mtime - age))
    size = sum(file.stat().st_size for file in cache.iterdir())
    monkeypatch.setenv("SMOLFORGE_CACHE_LIMIT_GB", str(size * 1.2 / 1e9))
    open_model(folders[2])
    assert sorted(file.name.split("-")[0] for file in cache.iterdir()) == ["m1", "m2"]
    monkeypatch.setenv("SMOLFORGE_CACHE_LIMIT_GB", "0.000001")
    open_model(write_tiny_model(tmp_path / "m3", seed=3))  # no room: not saved, but opened
    assert not list(cache.glob("m3*"))


def test_what_killed_writers_left_makes_room_and_what_is_being_written_stays(tmp_path: Path) -> None:
    gone = 2**22 + 1  # no system counts processes so far
    ages = {
        f".a.safetensors.{gone}.0123456789ab.part": 120, f".b.safetensors.{gone}.part": 120,
        f".c.safetensors.{gone}.0123456789ab.part": 1, f".d.safetensors.{os.getpid()}.part": 3600,
        f".e.safetensors.{os.getpid()}.0123456789ab.part": 90_000,
    }  # fmt: skip
    for name, age in ages.items():
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert packed_file.make_room(tmp_path, 10)
    assert sorted(file.name[1] for file in tmp_path.iterdir()) == ["c", "d"]


def test_two_threads_may_save_one_model_at_once(tmp_path: Path) -> None:
    place = tmp_path / "packed.safetensors"
    writers = [packed_file.PackedWriter(place, 1) for _ in range(2)]
    for value, writer in enumerate(writers):
        writer.add("norm", np.full(9, value, np.float32))
    for value, writer in enumerate(writers):
        writer.finish({}, b"{}", "source", "digest")
        found = packed_file.open_packed(place, "source")
        assert found is not None and np.asarray(found.tensors["norm"]).tolist() == [value] * 9
    assert list(tmp_path.iterdir()) == [place]


def test_a_cache_that_may_only_be_read_is_used(tmp_path: Path, monkeypatch: Any) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    open_model(folder)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(loaded, "_open", refuse)
    assert logits(open_model(folder)).shape[0] == 20


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SMOLFORGE_CACHE", str(tmp_path / "file"))
    assert logits(open_model(write_tiny_model(tmp_path / "tiny"))).shape[0] == 20


@pytest.mark.parametrize(("weights", "error"), [("f32", 0.005), ("bf16", 0.05), ("q8", 0.15), ("q4", 0.8)])
def test_folders_are_kept_in_the_weights_asked_for(weights: Any, error: float, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from smolforge.model.checkpoint import load_pretrained

    folder = write_tiny_model(tmp_path / "tiny")
    with torch.inference_mode():
        decoder = load_pretrained(folder)
        wanted = decoder.logits(decoder(torch.from_numpy(SHORT.astype(np.int64))[None]))[0].numpy()
    found = logits(open_model(folder, weights=weights))  # this model magnifies errors: nonsense would be above 1
    assert np.sqrt(((found - wanted) ** 2).mean() / (wanted**2).mean()) < error


def test_shards_and_other_float_types_are_read(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    wanted = logits(open_model(folder, weights="f32"))
    file = SafetensorsFile(folder / "model.safetensors")
    names = list(file.entries)
    arrays = {name: file.array(name).copy() for name in names}
    del file
    (folder / "model.safetensors").unlink()
    for shard, part in (("a.safetensors", names[:5]), ("b.safetensors", names[5:])):
        write_safetensors(folder / shard, {name: arrays[name] for name in part})
    index = {"weight_map": {name: "a.safetensors" if name in names[:5] else "b.safetensors" for name in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    np.testing.assert_array_equal(logits(open_model(folder, weights="f32")), wanted)
    write_safetensors(folder / "a.safetensors", {n: arrays[n].astype(np.float16) for n in names[:5]})
    write_safetensors(folder / "b.safetensors", {n: arrays[n] for n in names[5:]}, bf16=True)
    assert np.abs(logits(open_model(folder, weights="f32")) - wanted).max() < 0.2


def test_a_gguf_is_kept_as_it_is_and_only_floats_are_quantized(tmp_path: Path) -> None:
    write_random_gguf(tmp_path / "q.gguf", "Q4_K")
    with pytest.raises(ConfigError, match="quantized already"):
        open_model(tmp_path / "q.gguf", weights="q8")
    write_random_gguf(tmp_path / "f.gguf", "F16")
    eight, kept = open_model(tmp_path / "f.gguf", weights="q8"), open_model(tmp_path / "f.gguf")
    difference = logits(eight) - logits(kept)
    assert 0 < np.abs(difference).max() < 0.25 * np.abs(logits(kept)).max()


def test_smollm3_gets_the_one_template_and_its_think_tokens(tmp_path: Path) -> None:
    write_random_gguf(tmp_path / "m.gguf", "Q8_0")
    model = open_model(tmp_path / "m.gguf")
    assert isinstance(model.codec, ChatCodec)
    assert model.think == (model.codec.special["<think>"], model.codec.special["</think>"])
    assert model.codec.special["<|im_end|>"] in model.stop
    assert model.vocab_size >= model.codec.vocab_size
    assert model.encode("turn on") == model.codec.encode_text(["turn on"])[0]


def test_more_context_than_trained_for_means_yarn(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    plain, long = open_model(folder), open_model(folder, context=1024)
    assert (plain.context, long.context) == (512, 1024)
    assert long.config["rope_scaling"]["factor"] == 2.0
    assert native_shape(long.config)["rope_tables"][0][1] == pytest.approx(0.1 * np.log(2) + 1)
    assert plain.digest != long.digest
    assert open_model(folder, context=100).context == 100
    with pytest.raises(ConfigError, match="made for 512 positions"):
        open_model(folder, context=4096)
    with pytest.raises(ConfigError, match="at least 1"):
        open_model(folder, context=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mamba"}, "'mamba' is not supported"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_size": 1 << 40}, "has shape"),
        ({"num_hidden_layers": 5, "no_rope_layers": None}, "is missing"),
        ({"num_hidden_layers": 3, "no_rope_layers": None}, "is not part of this architecture"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "'linear' is not supported"),
        ({"rope_scaling": "yarn"}, "rope_scaling"),
        ({"layer_types": 7}, "layer_types"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    edit(folder / "config.json", **changes)
    with pytest.raises(SmolforgeError, match=message):
        open_model(folder)


def test_columns_that_are_not_whole_blocks_are_refused_by_name(tmp_path: Path) -> None:
    write_random_gguf(tmp_path / "m.gguf", "F16", {"hidden_size": 72, "head_dim": 64})
    with pytest.raises(FormatError, match=r"'model\.embed_tokens\.weight' has 72 columns; .* multiple of 32"):
        open_model(tmp_path / "m.gguf")


def test_a_place_without_a_model_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a folder with config"):
        open_model(tmp_path)
    with pytest.raises(ConfigError, match="no such model"):
        open_model(tmp_path / "none.gguf")
    folder = write_tiny_model(tmp_path / "tiny")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(FormatError, match=r"tokenizer\.json: no such file"):
        open_model(folder)


def test_weights_that_are_not_finite_are_refused_and_nothing_is_left(tmp_path: Path, cache: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    file = SafetensorsFile(folder / "model.safetensors")
    arrays = {name: file.array(name).copy() for name in file.entries}
    del file
    arrays["model.layers.2.mlp.up_proj.weight"][3, 4] = np.nan
    write_safetensors(folder / "model.safetensors", arrays)
    with pytest.raises(FormatError, match=r"'model\.layers\.2\.mlp\.up_proj\.weight': rows 0 to 95 hold NaN"):
        open_model(folder)
    assert not list(cache.iterdir())


def test_the_cache_follows_the_environment(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.delenv("SMOLFORGE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert packed_file.cache_folder() == tmp_path / "smolforge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert packed_file.cache_folder() == Path.home() / ".cache" / "smolforge"


def test_untied_heads_and_llama3_positions_are_computed(tmp_path: Path) -> None:
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    config = config_of({"model_type": "llama", "rope_scaling": {**scaling, "original_max_position_embeddings": 64}})
    table, factor = native_shape(config)["rope_tables"][0]
    plain, _ = native_shape({**config, "rope_scaling": None})["rope_tables"][0]
    assert factor == 1.0
    np.testing.assert_allclose(table[-8:], plain[-8:] / 8, rtol=1e-6)  # slow ones are stretched
    np.testing.assert_array_equal(table[:2], plain[:2])  # fast ones stay
    write_random_gguf(tmp_path / "m.gguf", "Q8_0", {"model_type": "llama", "tie_word_embeddings": False})
    assert np.isfinite(logits(open_model(tmp_path / "m.gguf"))).all()
