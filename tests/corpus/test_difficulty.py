"""The score that a curriculum orders by: what it counts, and the way from raw texts to the order of reading."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest
import yaml

from smolforge.cli.main import main
from smolforge.corpus.document import read_documents
from smolforge.corpus.text.difficulty import difficulty, sentences
from smolforge.corpus.text.features import features_of
from smolforge.corpus.text.kernel import buffer_of
from smolforge.tokens.mixture import MixtureSource
from smolforge.tokens.reader import MixtureReader, Reading
from smolforge.tokens.shards import Shard

COUNTED = {
    "One. Two! Three?": 3,
    "It costs 3.50 at www.python.org today": 0,
    'He said "No."\n\nShe went.': 2,
    "A title\n\nA text. Another.\n\n\n\nEnd": 3,
    "": 0,
    ".": 1,
    "\n\nAfter two empty lines": 0,
    "他来了。她走了！为什么？": 3,
    "من هو؟ جاء.": 2,
    "…": 0,
}


def scores(texts: list[str], language: str = "en") -> list[float]:
    found = features_of(texts, [language] * len(texts))
    return [float(each) for each in difficulty(buffer_of(texts), found["words"], found["mean_word_length"])]


def test_sentences_end_at_marks_and_at_empty_lines() -> None:
    assert dict(zip(COUNTED, sentences(buffer_of(list(COUNTED))).tolist(), strict=True)) == COUNTED


def test_a_text_s_score_does_not_depend_on_its_neighbours() -> None:
    texts = [*COUNTED, *sorted(topics.values())[:40]]
    assert scores(texts) == [score for text in texts for score in scores([text])]
    assert scores(texts[::-1]) == scores(texts)[::-1]


def test_the_score_is_the_automated_readability_index() -> None:
    (score,) = scores(["The cat sat here. A dog ran."])  # 7 words of 20 characters in 2 sentences
    assert score == pytest.approx(4.71 * 20 / 7 + 0.5 * 7 / 2 - 21.43, abs=1e-4)
    easy, hard = scores(
        [
            "The cat sat on the mat. It saw a dog. The dog ran off. The cat sat on.",
            "Notwithstanding considerable administrative difficulties, representatives subsequently acknowledged that "
            "interdependent institutional responsibilities necessitated comprehensive reconsideration",
        ]
    )
    assert easy < 3 < 20 < hard


RECIPE: dict[str, Any] = {
    "name": "graded",
    "model": {"preset": "nano", "hidden_size": 32, "intermediate_size": 64, "n_heads": 2, "n_kv_heads": 1},
    "corpus": {"held_out": 0.0, "language": {"confidence": 0.0}},
    "tokenizer": {"vocab_size": 512, "sets": [], "document_sets": [], "balance": "sample"},
    "tokenize": {"sets": [], "document_sets": [], "preferences": False, "difficulty": "difficulty"},
}


def test_one_recipe_goes_from_raw_texts_to_a_curriculum(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in topics.items():
        if 1000 < len(text) < 6000:
            (folder / f"{name}.txt").write_text(text)
    recipe = RECIPE | {"corpus": RECIPE["corpus"] | {"sources": [{"kind": "folder", "path": str(folder)}]}}
    (tmp_path / "graded.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["run", str(tmp_path / "graded.yaml"), f"output={tmp_path / 'out'}"]) == 0
    (kept,) = (tmp_path / "out").glob("artifacts/corpus-*/kept")
    (place,) = (tmp_path / "out").glob("artifacts/tokenize-*/text-en")
    stated = [each.meta["difficulty"] for each in read_documents(kept) if each.language == "en"]
    shard = Shard.open(place)
    assert shard.difficulty is not None and len(set(stated)) > 20
    np.testing.assert_allclose(shard.difficulty, stated, rtol=1e-6)
    samples = 160
    reader = MixtureReader([MixtureSource("text-en", [shard], 1.0)], 32, 1, reading=Reading(samples, "easy_first"))
    grades = [grade_of(row[:10], shard) for row in reader.batch(0, samples).tokens]
    known = np.array([grade for grade in grades if grade is not None])
    eighths = [part.mean() for part in np.array_split(known, 8)]
    assert len(known) > samples // 2 and eighths == sorted(eighths)


def grade_of(tokens: Any, shard: Shard) -> float | None:
    """Return the difficulty of the document where a sample begins; None where its tokens are in none or in many."""
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(shard.tokens), len(tokens))
    found = np.flatnonzero((windows == np.asarray(tokens)).all(1))
    assert shard.difficulty is not None
    return float(shard.difficulty[np.searchsorted(shard.ends, found[0], side="right")]) if len(found) == 1 else None
