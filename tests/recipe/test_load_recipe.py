"""Reading recipes: what a mistake says, and what overrides mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from smolforge.cli.main import main
from smolforge.errors import ConfigError
from smolforge.recipe.load import load_recipe
from smolforge.recipe.schema import Recipe, identify
from smolforge.recipe.yaml_file import read_yaml

NANO = Path(__file__).resolve().parents[2] / "recipes" / "nano.yaml"


def load(tmp_path: Path, text: str, *overrides: str) -> Recipe:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    return load_recipe(path, overrides)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\ncorpsu: {}\n", r"r.yaml:2: corpsu: unknown key \(did you mean 'corpus'\?\)"),
        ("name: x\ncorpus:\n  held_uot: 0.1\n", r"r.yaml:3: corpus.held_uot: unknown key \(did you mean 'held_out'"),
        (
            "name: x\ncorpus:\n  dedup:\n    bandss: 3\n",
            r"r.yaml:4: corpus.dedup.bandss: unknown key \(did you mean 'bands'\?\); known keys here: bands, ",
        ),
        ("name: x\ncorpus:\n  held_out: much\n", r"r.yaml:3: corpus.held_out: expected a valid number.*got 'much'"),
        ("name: x\ncorpus:\n  held_out: 2\n", r"r.yaml:3: corpus.held_out: expected less than 1, got 2"),
        ("name: x\ncorpus: {sources: [{kind: folder}]}\n", r"corpus.sources.0: a source of kind 'folder' needs 'path'"),
        ("corpus: {}\n", r"r.yaml: name: missing"),
        ("name: x\nmodel: {preset: nanoo}\n", r"r.yaml:2: model: .*did you mean 'nano'"),
        ("name: x\nmodel: {preset: nano, n_layer: 3}\n", r"model.n_layer: unknown key \(did you mean 'n_layers'"),
        ("name: x\nmodel: {n_layers: 3}\n", r"model.preset: missing"),
        ("name: x\ntokenizer: {}\n", r"r.yaml: tokenizer: needs the stage 'corpus'"),
        ("name: x\nname: y\n", r"r.yaml:2: 'name' is given twice \(first on line 1\)"),
        ("name: x\ncorpus: {a: 1, a: 2}\n", r"r.yaml:2: 'a' is given twice"),
        ("name: [x\n", r"r.yaml:2: not valid YAML"),
        ("- a\n- b\n", r"r.yaml: expected keys and values such as 'name: nano', not a list"),
        ("", r"r.yaml: expected keys and values such as 'name: nano', not nothing"),
        ("name: x\nabout: &a\n  b: *a\n", r"r.yaml:2: an anchor contains itself"),
        ("name: ../x\n", r"r.yaml:1: name: "),
        ("name: x\nseed: !!python/object/apply:os.system [ls]\n", r"not valid YAML"),
    ],
)
def test_a_mistake_says_file_key_expectation_and_nearest_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error_info:
        load(tmp_path, text)
    assert "\n" not in str(error_info.value)


def test_an_unknown_key_ends_the_command_with_code_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("name: x\ncorpus: {held_outt: 0.1}\n")
    assert main(["run", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err == (
        f"smolforge: {path}:2: corpus.held_outt: unknown key (did you mean 'held_out'?); known keys here: "
        + err.partition("known keys here: ")[2]
    )
    assert not (tmp_path / "runs").exists()


def test_scalars_are_yaml_1_2(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("rate: 2e-4\ntokens: 3_450_000\nlanguage: no\ntime: 12:30\nyes: on\nempty:\nflag: true\n")
    assert read_yaml(path).data == {
        "rate": 2e-4, "tokens": 3_450_000, "language": "no", "time": "12:30", "yes": "on", "empty": None, "flag": True
    }  # fmt: skip


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    text = "name: x\nabout: a\ncorpus: &c {held_out: 0.1}\nsynthesize: {preferences: 3}\n"
    assert load(tmp_path, text).sections["corpus"].model_dump()["held_out"] == 0.1
    path = tmp_path / "m.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    assert read_yaml(path).data["b"] == {"x": 1, "y": 3}


def test_overrides_reach_into_lists_and_read_values_as_yaml(tmp_path: Path) -> None:
    recipe = load_recipe(NANO, ["sft.phases.0.steps=7", "sft.optimizer.learning_rate=1e-3", "seed=9", "output=/tmp/o"])
    sft = recipe.as_dict()["sft"]
    assert sft["phases"][0]["steps"] == 7 and sft["optimizer"]["learning_rate"] == 1e-3
    assert recipe.header.seed == 9 and recipe.output == Path("/tmp/o")


def test_append_adds_to_the_recipes_list_and_to_a_default_list(tmp_path: Path) -> None:
    before = load_recipe(NANO).as_dict()["corpus"]["sources"]
    after = load_recipe(NANO, ["corpus.sources+=~/notes"]).as_dict()["corpus"]["sources"]
    assert after[: len(before)] == before and [s["path"] for s in after[len(before) :]] == ["~/notes"]
    default = load(tmp_path, "name: x\ncorpus: {}\n").as_dict()["corpus"]["sources"]
    appended = load(tmp_path, "name: x\ncorpus: {}\n", "corpus.sources+={kind: folder, path: a}").as_dict()["corpus"]
    assert appended["sources"][:-1] == default and appended["sources"][-1]["path"] == "a"
    several = load(tmp_path, "name: x\ncorpus: {}\n", "corpus.sources+=[a, b]").as_dict()["corpus"]["sources"]
    assert [source["path"] for source in several[-2:]] == ["a", "b"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sft.phases.9.steps=1", r"'9' is not an item of a list of 1"),
        ("seed+=1", r"\+= appends to a list, and seed is 1"),
        ("sft", r"expected an override such as"),
        ("sft.phases.0.stepps=1", r"sft.phases.0.stepps: unknown key \(did you mean 'steps'"),
        ("corpsu.held_out=1", r"corpsu: unknown key \(did you mean 'corpus'"),
        ("name.first=x", r"'name.first=x': name is 'nano', which has no keys"),
        ("sft.phases.0.steps=[", r"not valid YAML"),
        ("preference.snapshots.0+=3", r"\+= appends to a list, and preference.snapshots.0 is 15"),
        ("seed=" + 5000 * "9", r"a value cannot be read \(Exceeds the limit"),
        ("name=!!int abc", r"a value cannot be read"),
        ("about=" + 3000 * "[", r"nested too deeply"),
        ("model.rope_theta=abc", r"model.rope_theta: 'abc' is not a finite number"),
        ("model.no_rope_layers=5", r"model.no_rope_layers: 5 is not a list"),
        ("model.rope_scaling={factr: 2}", r"model.rope_scaling.factr: unknown key \(did you mean 'factor'"),
        ("model.preset=[a]", r"no preset \['a'\]"),
    ],
)
def test_a_wrong_override_is_refused(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error_info:
        load_recipe(NANO, [override])
    assert "\n" not in str(error_info.value)


def test_the_model_section_reaches_pretrain_and_nothing_else() -> None:
    recipe = load_recipe(NANO, ["model.n_layers=2"]).as_dict()
    assert recipe["pretrain"]["model"] == recipe["model"] and recipe["model"]["n_layers"] == 2
    assert recipe["sft"]["model"] is None


def test_the_resolved_recipe_reads_back_as_itself(tmp_path: Path) -> None:
    import yaml

    first = load_recipe(NANO)
    path = tmp_path / "resolved.yaml"
    path.write_text(yaml.safe_dump(first.as_dict(), sort_keys=False, allow_unicode=True))
    assert load_recipe(path).as_dict() == first.as_dict()


def test_editing_a_persons_file_makes_the_corpus_and_what_follows_new(tmp_path: Path) -> None:
    def ids() -> dict[str, str]:
        recipe = load_recipe(NANO, [f"corpus.sources+={tmp_path}"])
        return {step.stage.name: step.id for step in identify(recipe)}

    (tmp_path / "a.txt").write_text("one")
    first = ids()
    assert ids() == first
    (tmp_path / "b.txt").write_text("two")
    second = ids()
    assert {name for name in first if first[name] != second[name]} == set(first)
