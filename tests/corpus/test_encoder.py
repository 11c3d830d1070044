"""The head on an encoder, with a tiny random BERT that the test makes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from smolforge.corpus.scoring.encoder import Encoder, HeadModel, load_scorer, train_head
from smolforge.corpus.scoring.quality import QualityModel
from smolforge.corpus.scoring.training import Example, train
from smolforge.errors import ConfigError, DataError, FormatError

GOOD, BAD = ("theorem", "proof", "river", "history", "energy"), ("click", "buy", "cheap", "deal", "login")
BOTH = ("the", "of", "and", "to", "in", "is")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("encoder")
    (path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *BOTH]) + "\n"
    )
    transformers.BertTokenizer(str(path / "vocab.txt")).save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=21, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    transformers.BertModel(config).save_pretrained(path, safe_serialization=True)
    return path


def examples(count: int) -> list[Example]:
    made = []
    for i in range(count):
        rng = random.Random(i)
        words = [rng.choice((GOOD if i % 2 else BAD) if rng.random() < 0.5 else BOTH) for _ in range(12)]
        made.append(Example(f"d{i}", " ".join(words), "en", i % 2 == 1))
    return made


@pytest.mark.slow
def test_a_head_learns_on_frozen_embeddings_and_keeps_its_answers_in_a_file(folder: Path, tmp_path: Path) -> None:
    before = (folder / "model.safetensors").read_bytes()
    head, judged = train_head(examples(300), folder)
    assert judged.area > 0.9 and (folder / "model.safetensors").read_bytes() == before
    texts = ["theorem proof of the river", "click to buy cheap", "", "energy " * 3000]
    found = head.probabilities(texts, ["en"] * 4)
    assert found.dtype == np.float32 and found[0] > 0.5 > found[1]
    np.testing.assert_array_equal(found[1:2], head.probabilities(texts[1:2], ["en"]))
    assert head.probabilities([], []).shape == (0,)
    head.save(tmp_path / "head.npz")
    loaded = load_scorer(tmp_path / "head.npz")
    assert isinstance(loaded, HeadModel)
    np.testing.assert_array_equal(loaded.probabilities(texts, ["en"] * 4), found)


def test_a_linear_model_is_loaded_by_the_same_door(tmp_path: Path) -> None:
    model, _ = train(examples(300), bits=10)
    model.save(tmp_path / "q.npz")
    assert isinstance(load_scorer(tmp_path / "q.npz"), QualityModel)
    (tmp_path / "q.npz").write_bytes(b"x")
    with pytest.raises(FormatError):
        load_scorer(tmp_path / "q.npz")
    with pytest.raises(ConfigError, match="no such quality model"):
        load_scorer(tmp_path / "none.npz")


@pytest.mark.slow
def test_an_encoder_that_is_not_there_or_has_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json"):
        Encoder(tmp_path)
    with pytest.raises(DataError, match="too few"):
        train_head(examples(4), folder)
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    head, _ = train_head(examples(200), copy)
    head.save(tmp_path / "head.npz")
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    with pytest.raises(FormatError, match="changed since this head"):
        load_scorer(tmp_path / "head.npz")
    (copy / "config.json").write_text("{}")
    with pytest.raises(FormatError, match="not an encoder"):
        Encoder(copy)
