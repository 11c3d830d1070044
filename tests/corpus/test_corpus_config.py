"""Mistakes in the corpus section of a recipe: told before anything runs, with the key and the nearest right word."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.stage import SCRATCH, run
from smolforge.errors import ConfigError
from smolforge.recipe.load import load_recipe
from smolforge.store import StageContext

NANO = Path(__file__).parents[2] / "recipes" / "nano.yaml"
FOLDER = {"kind": "folder", "path": "texts"}


def recipe(folder: Path, corpus: dict[str, Any]) -> Path:
    values = yaml.safe_load(NANO.read_text(encoding="utf-8"))
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values | {"corpus": corpus}))
    return path


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        ({"worker": 2}, r"corpus\.worker: unknown key \(did you mean 'workers'\?\)"),
        ({"dedup": {"band": 3}}, r"corpus\.dedup\.band: unknown key \(did you mean 'bands'\?\)"),
        ({"sources": [FOLDER | {"ahed": True}]}, r"corpus\.sources\.0\.ahed: unknown key \(did you mean 'ahead'\?\)"),
        ({"sources": [FOLDER | {"kind": "folders"}]}, r"kind: expected .* got 'folders' \(did you mean 'folder'\?\)"),
        ({"sources": [FOLDER | {"language": "eng"}]}, r"sources\.0\.language: 'eng' is none .*did you mean 'en'"),
        ({"pii": {"kinds": ["emial"]}}, r"corpus\.pii\.kinds\.0: .*did you mean 'email'"),
        ({"dedup": {"on_wipe_out": "kep"}}, r"corpus\.dedup\.on_wipe_out: .*did you mean 'keep'"),
        ({"max_bytes_per_language": {"defualt": 5}}, r"no language 'defualt' \(did you mean 'default'\?\)"),
        ({"line_rules": {"few_words": 2}}, r"unknown limit 'few_words' \(did you mean 'fewest_words'\?\)"),
        ({"memory_mib": 10}, r"corpus\.memory_mib: expected greater than or equal to 64, got 10"),
        ({"quality": {"model": "q.npz"}}, r"corpus\.quality: give either 'floor'.* or 'top'"),
    ],
)
def test_a_mistake_names_its_key_and_the_nearest_right_word(tmp_path: Path, corpus: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=rf"recipe\.yaml:\d+: .*{said}"):
        load_recipe(recipe(tmp_path, corpus))


def test_a_profile_that_is_not_there_is_told_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    sources = [{"kind": "folder", "path": str(tmp_path / "texts"), "rules": "catalog"}]
    with pytest.raises(ConfigError, match="did you mean 'catalogue'"):
        run(CorpusConfig.model_validate({"sources": sources}), StageContext(tmp_path / "work", {}, 7))
    assert not (tmp_path / "work" / SCRATCH / "read").exists()


def test_a_plan_loads_nothing_that_only_the_stage_needs(tmp_path: Path) -> None:
    sections = {"toxicity": {}, "line_rules": {"fewest_words": 3}, "line_dedup": {}, "substring_dedup": {}}
    path = recipe(tmp_path, {"sources": [FOLDER], "quality": {"model": "q.npz", "top": 0.5}, **sections})
    program = (
        "import json, sys; from pathlib import Path; from smolforge.recipe.load import load_recipe; "
        "load_recipe(Path(sys.argv[1])); print(json.dumps(sorted(sys.modules)))"
    )
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", program, str(path)]))
    heavy = {"pyarrow", "polars", "torch", "ray", "resiliparse", "trafilatura", "fastwarc", "phonenumbers", "py3langid"}
    assert not heavy & set(loaded)


def test_a_key_for_placeholders_is_named_by_its_variable_and_changes_the_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = CorpusConfig.model_validate({"sources": ["pydoc_topics"], "pii": {"key_variable": "SOME_KEY"}})
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(ConfigError, match="SOME_KEY"):
        config.fingerprint()
    marks = []
    for key in ("one", "two"):
        monkeypatch.setenv("SOME_KEY", key)
        marks.append(config.fingerprint()["pii_key"])
    assert len(set(marks)) == 2
    assert "one" not in str(marks)


@pytest.mark.parametrize(
    "address",
    [
        "https://jane:hunter22@files.test/texts", "https://hunter22@files.test/texts", "s3://AKIA:hunter22@bucket/texts",
        "s3://AKIA:hun/ter22@bucket/texts", "simplecache::ftp://jane:hunter22@files.test/a",
        "https://files.test/a.jsonl?X-Amz-Signature=hunter22",
    ],
)  # fmt: skip
def test_an_address_with_a_password_is_refused_without_repeating_it(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="FSSPEC_S3_KEY") as raised:
        load_recipe(recipe(tmp_path, {"sources": [{"kind": "folder", "path": address}]}))
    assert "ter22" not in str(raised.value)
    with pytest.raises(ConfigError) as raised:
        load_recipe(recipe(tmp_path, {"sources": [address]}))
    assert "ter22" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    ["hf://datasets/org/name@main/data", "s3://bucket/a@b", "http://files.test:9000/a@b", "sftp://jane@host/a"],
)
def test_an_address_without_a_password_is_accepted(address: str) -> None:
    assert CorpusConfig.model_validate({"sources": [address]}).sources[0].path == address
