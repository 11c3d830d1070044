"""Tokenizers of any origin side by side: the same figures whatever file one comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smolforge.cli.corpus_tokenizers import render
from smolforge.cli.main import main
from smolforge.corpus.document import Document, write_documents
from smolforge.errors import DataError, FormatError
from smolforge.formats.gguf_tokenizer import from_tokenizer_json, tokenizer_metadata
from smolforge.formats.gguf_write import write_gguf
from smolforge.store import Artifact, StageContext, read_json
from smolforge.store.artifact import Manifest, finish
from smolforge.tokens import tokenizer_stage
from smolforge.tokens.compare import Encoder, compare, open_encoder, vocabulary_use
from smolforge.tokens.config import TokenizerConfig
from smolforge.tokens.tokenizer import train_tokenizer

TEXTS = {
    "en": ["Turn on the kitchen light and the lamp in the hall, then open the blinds."],
    "fr": ["Allume la lumière de la cuisine et la lampe de l'entrée, puis ouvre les volets."],
    "zh": ["打开厨房的灯和客厅的灯，然后拉开窗帘。"],
}
ALIGNED = [{"id": "0", **{name: rows[0] for name, rows in TEXTS.items()}}]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TokenizerConfig(preset="8k", vocab_size=560, balance="sample")
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(train_tokenizer({name: rows * 9 for name, rows in TEXTS.items()}, [], config).to_str())
    return path


def test_a_gguf_file_gives_the_figures_of_its_tokenizer_json(file: Path, tmp_path: Path) -> None:
    data = from_tokenizer_json(read_json(file), "qwen35", open_encoder(str(file)).vocab_size, "test")
    gguf = tmp_path / "t.gguf"
    write_gguf(gguf, {"general.architecture": "llama", **tokenizer_metadata(data)}, [], [])
    found = compare({name: open_encoder(str(path)) for name, path in (("json", file), ("folder", file.parent),
                                                                      ("gguf", gguf))}, TEXTS, ALIGNED)  # fmt: skip
    assert found["json"] == found["folder"] == found["gguf"]
    english = found["json"]["languages"]["en"]
    assert english["parity"] == 1.0 and english["bytes_per_token"] > 1
    assert found["json"]["worst_parity"] == max(row["parity"] for row in found["json"]["languages"].values())


def test_vocabulary_use_by_hand() -> None:
    class Fixed:
        vocab_size = 4

        def encode_text(self, texts: list[str]) -> list[list[int]]:
            return [[int(c) for c in text] for text in texts]

    assert vocabulary_use(Fixed(), {"x": ["0123"]}) == {"unused": 0.0, "renyi_efficiency": 1.0}  # type: ignore[arg-type]
    assert vocabulary_use(Fixed(), {"x": ["0000"]}) == {"unused": 0.75, "renyi_efficiency": 0.0}  # type: ignore[arg-type]
    two = vocabulary_use(Fixed(), {"x": ["01", "10"]})  # type: ignore[arg-type]
    assert two == {"unused": 0.5, "renyi_efficiency": 0.5}  # two of four ids, alike: log 2 / log 4
    assert vocabulary_use(Fixed(), {}) == {}  # type: ignore[arg-type]


def test_what_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tokenizer\.json: no such file"):
        open_encoder(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(FormatError, match="not a tokenizer"):
        open_encoder(str(tmp_path))


def test_text_never_becomes_a_control_token(file: Path) -> None:
    encoder = open_encoder(str(file))
    assert isinstance(encoder, Encoder)
    assert encoder.tokenizer.decode(encoder.encode_text(["<|im_end|>"])[0]) == "<|im_end|>"
    assert encoder.tokenizer.token_to_id("<|im_end|>") not in encoder.encode_text(["<|im_end|>"])[0]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = [Document.make(text, url=f"{name}{i}", source="t", licence="", language=name)
            for name, texts in TEXTS.items() for i, text in enumerate(texts * 30)]  # fmt: skip
    write_documents(tmp_path / "work" / "kept", rows)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ALIGNED)
    (tmp_path / "work" / "aligned.jsonl").write_text(lines, encoding="utf-8")
    finish(tmp_path / "work", tmp_path / "corpus", Manifest("corpus", "c", "0", None, {}, 0))
    return tmp_path / "corpus"


def test_the_command_prints_a_table_a_measure_and_json(
    corpus: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpus", "tokenizers", str(corpus), str(file), str(file.parent)]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("tokens a word", "bytes a token", "tokens relative to English", "unused ids"))
    assert main(["corpus", "tokenizers", str(corpus), str(file), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result[file.parent.name]["languages"]) == set(TEXTS) and render(result)


def test_the_stage_compares_where_the_recipe_names_tokenizers(corpus: Path, file: Path, tmp_path: Path) -> None:
    work = tmp_path / "tokenizer"
    work.mkdir()
    config = TokenizerConfig(preset="8k", vocab_size=520, balance="sample", compare=(str(file),))
    tokenizer_stage.run(config, StageContext(work, {"corpus": Artifact.open(corpus)}, 0))
    report = read_json(work / "comparison.json")
    assert set(report) == {"this", str(file)} and report["this"]["vocab_size"] <= 520
    assert config.fingerprint() == {str(file): config.fingerprint()[str(file)]} and config.fingerprint()[str(file)]
