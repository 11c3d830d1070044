"""Ablation: the same budget and text for both sides, nothing held out is trained on, and noise loses."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from smolforge.cli.main import main
from smolforge.corpus.document import Document, read_documents, write_documents
from smolforge.errors import ConfigError
from smolforge.evaluate.paired_loss import paired_loss
from smolforge.recipe.ablate import Side, ablate, check_sides
from smolforge.recipe.ablation_score import chosen
from smolforge.recipe.ablation_text import HeldOut
from smolforge.recipe.display import choose_display
from smolforge.recipe.load import load_recipe
from smolforge.store.artifact import Manifest, finish

RECIPE = """
name: tiny
seed: 5
output: {output}
model: {{preset: nano, hidden_size: 48, intermediate_size: 96, n_layers: 2, n_heads: 2, n_kv_heads: 1}}
corpus:
  sources: [pydoc_topics]
tokenizer: {{vocab_size: 600, sets: [], document_sets: [], scaffold_from_tools: false}}
tokenize: {{sets: [], document_sets: [], preferences: false}}
pretrain:
  sequence_length: 64
  batch_sequences: 8
  optimizer: {{name: muon, learning_rate: 0.03, matrix_learning_rate: 0.02}}
  schedule: {{name: linear, warmup_steps: 2}}
  phases: [{{name: all, steps: 24, mixture: {{text-en: 1.0}}}}]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(RECIPE.format(output=tmp_path / "out"))
    return file


def document(text: str, name: str, language: str = "en") -> Document:
    return Document.make(text, url=name, source="test", licence="", language=language)


def corpus_of(folder: Path, kept: list[Document], held_out: list[Document]) -> Path:
    write_documents(folder / "work" / "kept", kept)
    write_documents(folder / "work" / "held_out", held_out)
    finish(folder / "work", folder / "done", Manifest("corpus", folder.name, "0", None, {}, 0))
    return folder / "done"


def shuffled(text: str, seed: int) -> str:
    words = text.split()
    random.Random(seed).shuffle(words)
    return " ".join("".join(reversed(word)) for word in words)


@pytest.mark.slow
def test_noise_loses_against_text_and_a_second_run_trains_nothing(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Side b learns from Python's help pages, side a from the same words reversed and out of order."""
    pytest.importorskip("torch")
    assert main(["run", str(recipe), "--until", "corpus"]) == 0
    clean = next((tmp_path / "out" / "artifacts").glob("corpus-*"))
    noise = [document(shuffled(d.text, i), d.url) for i, d in enumerate(read_documents(clean / "kept"))]
    # two documents that neither side may learn from, one of them inside a page of other things
    leaks = list(read_documents(clean / "held_out"))
    noise += [document(leaks[0].text, "copy"), document(f"{noise[0].text}\n{leaks[-1].text}", "wrapped")]
    raw = corpus_of(tmp_path / "raw", noise, [])
    words = ["corpus", "ablate", str(recipe), "--a", str(raw), "--name-a", "noise", "--name-b", "text", "--seeds", "2"]
    capsys.readouterr()
    assert main([*words, "--json", "--held-out-bytes", "30000"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["verdict"] == "b" and result["losses"]["all"]["low"] > 0
    assert result["tokens"] == 24 * 8 * 64 and result["seeds"] == [5, 6]
    assert result["text"]["a"]["overlapping"] >= 2 and result["text"]["b"]["overlapping"] == 0
    assert result["artifacts"]["corpus b"] == str(clean)  # found, not made again
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "artifacts").iterdir()}
    assert main([*words, "--held-out-bytes", "30000"]) == 0
    page = capsys.readouterr().out
    assert "text is better than noise" in page and "seeds 5, 6" in page
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "artifacts").iterdir()} == before


def test_budgets_that_differ_are_refused(recipe: Path) -> None:
    sides = {"a": Side("a", load_recipe(recipe)), "b": Side("b", load_recipe(recipe, ["pretrain.phases.0.steps=25"]))}
    with pytest.raises(ConfigError, match="side a trains on 12,288 tokens and side b on 12,800"):
        check_sides(sides)  # type: ignore[arg-type]
    one = {name: Side(name, load_recipe(recipe)) for name in ("a", "b")}
    with pytest.raises(ConfigError, match="--seeds 0"):
        ablate(one, recipe.parent / "out", choose_display(False), seeds=0)  # type: ignore[arg-type]


def test_a_side_without_the_stages_is_refused(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text("name: x\ncorpus: {sources: [pydoc_topics]}\n")
    assert main(["corpus", "ablate", str(recipe)]) == 2
    assert "an ablation needs the stage 'tokenizer'" in capsys.readouterr().err


def test_a_folder_that_is_no_finished_corpus_is_refused(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        (["--a", str(tmp_path), str(tmp_path)], "2 folders of corpora; give one"),
        (["--a", str(tmp_path)], "no manifest.json"),
        (["--judge", str(tmp_path)], "no manifest.json"),
    ):
        assert main(["corpus", "ablate", str(recipe), *words]) == 2
        assert said in capsys.readouterr().err


TEXT = " ".join(f"word{i} of the page" for i in range(60))


def test_held_out_text_is_found_whole_in_part_and_inside_other_text() -> None:
    held_out = HeldOut([document(TEXT, "held"), document("今天天气很好我们去公园散步吧然后回家吃饭", "zh", "zh")])
    other = " ".join(f"another{i} sentence here" for i in range(800))
    assert held_out.overlap(document(TEXT, "same")) == 1.0
    assert held_out.overlap(document(TEXT.upper().replace(" ", "\n"), "case")) == 1.0
    assert held_out.overlap(document(other, "other")) == 0.0
    assert held_out.overlap(document(f"{other} {TEXT}", "wrapped")) == 1.0  # all of a held-out document is in it
    assert 0.3 < held_out.overlap(document(" ".join(TEXT.split()[:120]), "half")) <= 1.0
    assert held_out.overlap(document("他说今天天气很好我们去公园散步吧", "zh2", "zh")) > 0.2
    assert HeldOut([]).overlap(document(TEXT, "x")) == 0.0 and held_out.overlap(document("…", "y")) == 0.0


def test_measured_documents_are_chosen_by_their_ids_up_to_a_size() -> None:
    documents = [document(TEXT, f"d{i}", ("en", "fr")[i % 2]) for i in range(20)]
    size = documents[0].bytes
    few = chosen(documents, 2 * size + 1)
    assert len(few) == 6 and few == chosen(documents[::-1], 2 * size + 1)


def losses(seeds: int, documents: int, shift: float, seed_noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bits of two models: hard and easy documents alike for both, ``shift`` bits a byte between them."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(200, 4000, documents)
    hard = rng.normal(2.0, 0.6, documents)

    def bits(extra: float) -> np.ndarray:
        noise = rng.normal(0, seed_noise, seeds)[:, None] + rng.normal(0, 0.02, (seeds, documents))
        return sizes * (hard + extra + noise)

    return bits(shift), bits(0.0), sizes


def test_a_small_difference_shows_where_documents_vary_much_more() -> None:
    a, b, sizes = losses(3, 120, 0.05, 0.004)
    found = paired_loss(a, b, sizes, [str(i) for i in range(120)])
    assert found.verdict == "b"
    assert found.low < found.difference < found.high and found.difference == pytest.approx(found.a - found.b)
    assert found.difference == pytest.approx(0.05, abs=0.02) and found.high - found.low < 0.05
    assert paired_loss(b, a, sizes, [str(i) for i in range(120)]).verdict == "a"


def test_seeds_that_disagree_leave_the_question_open() -> None:
    a, b, sizes = losses(3, 120, 0.01, 0.2)
    found = paired_loss(a, b, sizes, [str(i) for i in range(120)])
    assert found.verdict == "open" and len(found.per_seed) == 3
    same = paired_loss(a, a, sizes, [str(i) for i in range(120)])
    assert same.difference == 0 and same.verdict == "open"


def test_parts_of_one_work_count_as_one_document() -> None:
    a, b, sizes = losses(1, 120, 0.05, 0.0)
    apart, together = (paired_loss(a, b, sizes, groups) for groups in ([str(i) for i in range(120)], ["x", "y"] * 60))
    assert apart.difference == pytest.approx(together.difference) and apart.seeds_low is None
    assert (apart.low, apart.high) != (together.low, together.high)
    with pytest.raises(ValueError, match="do not fit"):
        paired_loss(a, b[:, :5], sizes, ["x"] * 120)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    inside = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        sizes = rng.integers(500, 1500, 60)
        apart = 0.03 + rng.normal(0, 0.03, 4)[:, None] + rng.normal(0, 0.1, 60)[None]
        found = paired_loss(
            sizes * (2 + apart), np.broadcast_to(sizes * 2.0, (4, 60)), sizes, [str(i) for i in range(60)]
        )
        assert found.seeds_low is not None and found.seeds_high is not None
        inside += min(found.low, found.seeds_low) <= 0.03 <= max(found.high, found.seeds_high)
    assert inside >= 90
