"""Presets, parity and what a data-only recipe needs: sizes, reserved ids, no language far behind, exact round trips."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest

from smolforge.corpus.config import CorpusConfig, SourceSpec
from smolforge.corpus.document import Document, write_documents
from smolforge.corpus.ingest import aligned as aligned_of
from smolforge.errors import ConfigError, DataError
from smolforge.formats.gguf_tokenizer import TokenType, from_tokenizer_json
from smolforge.store import Artifact, StageContext, read_json
from smolforge.store.artifact import Manifest, finish
from smolforge.tokens import tokenize_stage, tokenizer_stage
from smolforge.tokens.config import PRESETS, TokenizeConfig, TokenizerConfig
from smolforge.tokens.inputs import texts_by_language
from smolforge.tokens.parity import Attempt
from smolforge.tokens.shards import Shard
from smolforge.tokens.special import control_tokens
from smolforge.tokens.template import ChatCodec
from smolforge.tokens.tokenizer import train_tokenizer

LANGUAGES = ("en", "fr", "es", "de", "it", "pt", "ar", "zh", "ru")
SMALL = {"bytes_per_language": 100_000}


@pytest.fixture(scope="module")
def sentences() -> list[dict[str, str]]:
    """The messages of Django's catalogues that all nine languages have."""
    pytest.importorskip("django")
    config = CorpusConfig(sources=(SourceSpec(kind="gettext", packages=("django",)),))
    rows = [row for row in aligned_of(config) if all(name in row for name in LANGUAGES)]
    assert len(rows) > 50
    return rows


def texts(rows: Sequence[dict[str, str]], english: int = 1) -> dict[str, list[str]]:
    """``english``: how often English counts, as it does in a crawl."""
    return {name: [row[name] for row in rows] * (english if name == "en" else 1) for name in LANGUAGES}


def worst(codec: ChatCodec, rows: Sequence[dict[str, str]]) -> dict[str, float]:
    counts = {name: sum(map(len, codec.encode_text([row[name] for row in rows]))) for name in LANGUAGES}
    return {name: count / counts["en"] for name, count in counts.items()}


def test_parity_brings_every_language_within_the_limit(sentences: list[dict[str, str]]) -> None:
    """A sample with forty times as much English leaves others far behind; parity does not."""
    learned, unseen = sentences[::2], sentences[1::2]
    config = TokenizerConfig(preset="8k", vocab_size=1400, parity_limit=1.3)
    samples = texts(learned, english=40)
    plain = ChatCodec(train_tokenizer(samples, [], config.model_copy(update={"balance": "sample"})))
    attempts: list[Attempt] = []
    even = ChatCodec(train_tokenizer(samples, [], config, aligned=texts(learned), attempts=attempts))
    assert attempts[0].plain_share == 1 and attempts[0].worst > 2
    best = max(attempt.plain_share for attempt in attempts if attempt.worst <= 1.3)
    assert all(attempt.worst > 1.3 for attempt in attempts if attempt.plain_share > best)
    assert max(worst(even, unseen).values()) < 1.6
    assert max(worst(even, unseen).values()) < max(worst(plain, unseen).values())
    again = train_tokenizer(samples, [], config, aligned=texts(learned))
    assert again.get_vocab() == even.tokenizer.get_vocab()


def test_plain_merges_are_kept_where_they_leave_nobody_behind(sentences: list[dict[str, str]]) -> None:
    attempts: list[Attempt] = []
    config = TokenizerConfig(preset="8k", vocab_size=2000, parity_limit=3.0)
    train_tokenizer(texts(sentences), [], config, aligned=texts(sentences), attempts=attempts)
    assert [a.plain_share for a in attempts] == [1.0]


def test_parity_without_english_sentences_is_refused() -> None:
    config = TokenizerConfig(preset="8k", vocab_size=2000)
    with pytest.raises(ConfigError, match="aligned sentences of English"):
        train_tokenizer({"fr": ["bonjour"]}, [], config, aligned={"fr": ["bonjour"]})


def test_large_presets_keep_their_promises() -> None:
    for name, fields in PRESETS.items():
        config = TokenizerConfig(preset=name)
        assert config.vocab_size == fields["vocab_size"] and config.vocab_size % 128 == 0
        assert config.normalization == "NFC" and config.balance == "parity"
    assert TokenizerConfig(preset="65k").vocab_size == 1 << 16  # the last id, 65,535, fits uint16
    assert TokenizerConfig(preset="65k").digits == "single" and TokenizerConfig(preset="128k").digits == "triple"
    assert min(TokenizerConfig(preset=name).reserved for name in ("65k", "128k")) >= 256
    assert TokenizerConfig(preset="65k", vocab_size=4096).vocab_size == 4096


@pytest.mark.parametrize("preset", ["65k", "128k"])
def test_a_large_preset_in_small_round_trips_and_exports(preset: str, sentences: list[dict[str, str]]) -> None:
    config = TokenizerConfig(preset=preset, vocab_size=3000)
    codec = ChatCodec(train_tokenizer(texts(sentences), [], config, aligned=texts(sentences)))
    controls = control_tokens(config.reserved)
    assert [codec.tokenizer.token_to_id(token) for token in controls] == list(range(len(controls)))
    assert len(controls) >= 256 + 10 and codec.vocab_size == 3000
    random_ = random.Random(7)
    alphabet = [chr(c) for c in (*range(0x250), *range(0x300, 0x370), *range(0x600, 0x6FF), *range(0x4E00, 0x4E80),
                                 0x1F600, 0x200D, 0x3000, 0xB2, 0xBD, 0x2167)]  # fmt: skip
    for _ in range(300):
        text = "".join(random_.choices(alphabet, k=random_.randrange(30)))
        assert codec.decode(codec.encode_text([text])[0]) == text
    forged = "a<|reserved_200|>b<|im_end|>"
    assert codec.decode(codec.encode_text([forged])[0]) == forged
    assert not set(codec.encode_text([forged])[0]) & set(range(len(controls)))
    pieces = [codec.decode([i]) for i in codec.encode_text(["20260"])[0]]
    assert pieces == (["2", "0", "2", "6", "0"] if preset == "65k" else pieces)
    assert max(map(len, pieces)) <= (1 if preset == "65k" else 3)
    data = from_tokenizer_json(json.loads(codec.tokenizer.to_str()), config.pre_tokenizer, 3000, "test")
    assert data.types.count(TokenType.CONTROL) == len(controls)


def test_marks_stay_with_their_letters(sentences: list[dict[str, str]]) -> None:
    """Vocalised Arabic is letters and marks in turn; a rule of letters alone cuts it at every mark."""
    from tokenizers import Regex, pre_tokenizers

    from smolforge.formats.pre_tokenizers import SPLITS

    for name in ("qwen35", "deepseek-v3"):
        cuts = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(e), "isolated") for e in SPLITS[name]])
        assert len(cuts.pre_tokenize_str("مُحَمَّدٌ كَتَبَ")) == 2
        assert [piece for piece, _ in cuts.pre_tokenize_str("打开灯abc")][-1].endswith("abc")


def artifact(folder: Path, name: str) -> Artifact:
    return finish(folder, folder.with_name(f"{name}-done"), Manifest(name, name, "0", None, {}, 0))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, sentences: list[dict[str, str]]) -> Artifact:
    """A corpus artifact of two sources, with text in decomposed form and a difficulty in ``meta``."""
    folder = tmp_path_factory.mktemp("data") / "corpus"
    documents = [
        Document.make(
            unicodedata.normalize("NFD", row[name]), url=f"{row['id']}/{name}", source=("web/crawl", "books")[i % 2],
            licence="BSD", language=name, meta={"grade": len(row[name])},
        )
        for i, row in enumerate(sentences) for name in LANGUAGES
    ]  # fmt: skip
    write_documents(folder / "kept", documents[9:])
    write_documents(folder / "held_out", documents[:9])
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in sentences)
    (folder / "aligned.jsonl").write_text(lines, encoding="utf-8")
    return artifact(folder, "corpus")


@pytest.fixture(scope="module")
def tokenizer(corpus: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("made") / "tokenizer"
    folder.mkdir()
    config = TokenizerConfig(preset="8k", vocab_size=2000, sample_bytes=200_000, sample_epochs=2.0)
    tokenizer_stage.run(config, StageContext(folder, {"corpus": corpus}, 0))
    return artifact(folder, "tokenizer")


PLAIN = {"sets": (), "document_sets": (), "preferences": False}


def tokenize(work: Path, corpus: Artifact, tokenizer: Artifact, **options: object) -> Path:
    work.mkdir()
    config = TokenizeConfig.model_validate({**PLAIN, **options})
    tokenize_stage.run(config, StageContext(work, {"corpus": corpus, "tokenizer": tokenizer}, 0))
    return work


def test_a_data_only_run_reports_parity_before_and_after(tokenizer: Artifact) -> None:
    report = read_json(tokenizer.path / "parity.json")
    assert set(report["plain"]["languages"]) == set(LANGUAGES) == set(report["measured"])
    assert report["plain"] == report["tried"][0]
    assert report["worst"] == max(report["measured"].values()) < 1.6


def test_documents_are_normalised_before_they_are_encoded(
    corpus: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    shard = Shard.open(tokenize(tmp_path / "w", corpus, tokenizer) / "text-fr")
    text = ChatCodec.open(tokenizer.path).decode(shard.tokens.tolist())
    assert text == unicodedata.normalize("NFC", text) and "é" in text


def test_shards_go_by_source_or_both_and_hold_the_same_documents(
    corpus: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    folders = {by: tokenize(tmp_path / by, corpus, tokenizer, shards_by=by)
               for by in ("language", "source", "source-language")}  # fmt: skip
    found = {by: {p.parent.name for p in folder.rglob("shard.json")} for by, folder in folders.items()}
    held = {f"held_out-{name}" for name in LANGUAGES}
    assert found["language"] == {f"text-{name}" for name in LANGUAGES} | held
    assert found["source"] == {"web-crawl", "books"} | held
    assert found["source-language"] == {f"{s}.{name}" for s in ("web-crawl", "books") for name in LANGUAGES} | held

    def documents(by: str) -> list[bytes]:
        shards = [Shard.open(folders[by] / name) for name in found[by]]
        return sorted(shard.document(i).tobytes() for shard in shards for i in range(len(shard)))

    assert documents("language") == documents("source") == documents("source-language")


def test_a_difficulty_is_kept_for_each_document(corpus: Artifact, tokenizer: Artifact, tmp_path: Path) -> None:
    named = Shard.open(tokenize(tmp_path / "named", corpus, tokenizer, difficulty="grade") / "text-de")
    assert named.difficulty is not None and len(named.difficulty) == len(named)
    dense = Shard.open(tokenize(tmp_path / "zlib", corpus, tokenizer, difficulty="compression") / "text-de")
    assert dense.difficulty is not None and 0 < dense.difficulty.min() < dense.difficulty.max()
    with pytest.raises(DataError, match=r"tokenize\.difficulty is 'grad', but a document has None"):
        tokenize(tmp_path / "wrong", corpus, tokenizer, difficulty="grad")


def test_sources_that_would_share_a_shard_are_refused(corpus: Artifact, tokenizer: Artifact, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    rows = [Document.make("x", url=s, source=s, licence="", language="en") for s in ("web/crawl", "web crawl")]
    write_documents(folder / "kept", rows)
    with pytest.raises(DataError, match="would share the shard 'web-crawl'"):
        tokenize(tmp_path / "w", artifact(folder, "corpus"), tokenizer, shards_by="source", held_out=False)


def test_only_as_much_text_is_taken_as_is_asked(corpus: Artifact) -> None:
    found = texts_by_language(corpus.path / "kept", ("de", "ru"), 1000)
    assert set(found) == {"de", "ru"}
    assert all(990 < sum(len(text.encode()) for text in rows) <= 1000 for rows in found.values())
