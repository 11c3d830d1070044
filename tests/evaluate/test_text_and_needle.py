"""Bits per byte count every token once, the compressor gets the same bytes, needles are judged by their value."""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from smolforge.errors import DataError
from smolforge.evaluate import needle
from smolforge.evaluate.compression import xz_bits_per_byte
from smolforge.evaluate.documents import _up_to
from smolforge.evaluate.text import FirstToken, document_bits, measure_language, windows
from smolforge.tokens.template import ChatCodec
from tests.tasks.small_chat import PlaybackGenerator, small_tokenizer


class UniformGenerator(PlaybackGenerator):
    """Gives every token the same probability and remembers what it scored."""

    def __init__(self, codec: ChatCodec) -> None:
        super().__init__(codec, lambda prompt: "")
        self.scored: list[tuple[list[int], list[int]]] = []

    def score(self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]) -> list[float]:
        self.scored += [(list(p), list(c)) for p, c in zip(prompts, continuations, strict=True)]
        return [-len(c) * math.log(self.codec.vocab_size) for c in continuations]


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 12, 13, 40])
def test_windows_score_every_token_but_the_first_once_with_half_a_window_of_context(length: int) -> None:
    tokens = list(range(length))
    pairs = windows(tokens, 8)
    assert [token for _, scored in pairs for token in scored] == tokens[1:]
    for context, scored in pairs:
        assert list(context) == list(range(scored[0] - len(context), scored[0]))
        assert len(context) + len(scored) <= 8
    assert all(len(context) >= 4 for context, _ in pairs[1:])


def test_a_uniform_model_costs_exactly_log2_of_the_vocabulary_per_token() -> None:
    codec = ChatCodec(small_tokenizer())
    documents = [[3, 4, 5, 6, 7, 8, 9, 10, 11], [5], [6, 7]]
    first = FirstToken.fit(codec, [])
    bits = document_bits(UniformGenerator(codec), documents, first, window=4, batch=2)
    per_token = math.log2(codec.vocab_size)
    assert bits == pytest.approx([9 * per_token, per_token, 2 * per_token])


def test_first_tokens_are_a_distribution_that_training_text_sharpens() -> None:
    codec = ChatCodec(small_tokenizer())
    first = FirstToken.fit(codec, ["turn on"] * 30 + ["the hall"] * 10)
    assert sum(2 ** -first.bits(token) for token in range(codec.vocab_size)) == pytest.approx(1.0)
    turn, the = (codec.encode_text([text])[0][0] for text in ("turn on", "the hall"))
    assert first.bits(turn) < first.bits(the) < first.bits(0)


def test_measured_bytes_are_those_of_the_documents_and_the_end_is_paid_for() -> None:
    codec = ChatCodec(small_tokenizer())
    generator = UniformGenerator(codec)
    row = measure_language(generator, codec, ["été", "turn on the light"], [], window=16, batch=8)
    tokens = sum(len(ids) for ids in codec.encode_text(["été", "turn on the light"])) + 2
    assert (row["bytes"], row["documents"], row["tokens"]) == (5 + 17, 2, tokens)
    assert row["value"] == pytest.approx(tokens * math.log2(codec.vocab_size) / 22)
    assert row["low"] <= row["value"] <= row["high"]


def test_xz_with_context_is_the_difference_of_two_real_compressions() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 6)) for _ in range(300)]
    texts = [" ".join(rng.choice(words, 40)) for _ in range(60)]
    result = xz_bits_per_byte(texts[:50], texts[50:])
    before = b"".join(t.encode() + b"\n" for t in texts[:50])
    after = before + b"".join(t.encode() + b"\n" for t in texts[50:])
    sizes = [len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)) for data in (before, after)]
    held = sum(len(t) for t in texts[50:])
    assert result.with_context == pytest.approx(8 * (sizes[1] - sizes[0]) / held)
    assert result.with_context < result.alone and (result.context_bytes, result.held_out_bytes) == (len(before), held)
    with pytest.raises(ValueError, match="no held-out"):
        xz_bits_per_byte(texts, [])


def test_byte_limits_cut_at_characters() -> None:
    assert _up_to(["été", "oui", "non"], 4) == ["ét"]
    assert _up_to(["été", "oui", "non"], 7) == ["été", "ou"]
    assert _up_to(["a", "b"], None) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "right"),
    [(" blue door", True), ("blue door<|end_of_text|>", True), ("blue doors", False), ("blue", False), ("", False)],
)
def test_a_needle_counts_only_as_its_whole_value(text: str, right: bool) -> None:
    assert needle.gives(text, "blue door") is right


def test_needles_are_read_asked_and_counted_by_length(tmp_path: Path) -> None:
    codec = ChatCodec(small_tokenizer())
    path = tmp_path / "needle_test.docs.jsonl"
    rows = [
        {"doc_id": f"n/{i}", "language": "en", "text": f"key{i}=kitchen\n{'the hall ' * 8 * size}\nkey{i}=",
         "meta": json.dumps({"answer": "kitchen", "characters": 100 * size, "needle_key": f"key{i}"})}
        for i, size in enumerate((1, 1, 1, 2, 2, 8))
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    needles = needle.read_needles(path, per_length=2)
    assert [n.characters for n in needles] == [100, 100, 200, 200, 800]
    lengths = [len(ids) for ids in codec.encode_text([n.prompt for n in needles])]
    beyond = needle.longer_than(codec, needles, lengths[3] + 20)
    assert [n.characters for n in beyond] == [800]
    generator = PlaybackGenerator(codec, lambda prompt: "kitchen" if "key0=" in prompt else "hall")
    summary = needle.summarise(needle.recall(generator, codec, needles[:4], batch=3), window=100)
    assert [(row["characters"], row["recall"]["hits"], row["recall"]["count"]) for row in summary] == [
        (100, 1, 2),
        (200, 0, 2),
    ]
    path.write_text('{"doc_id": "x"}\n')
    with pytest.raises(DataError, match=r"needle_test\.docs\.jsonl:1"):
        needle.read_needles(path, None)
