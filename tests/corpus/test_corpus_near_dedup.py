"""Near duplicates: buckets nominate, containment decides; templated but different documents stay."""

from __future__ import annotations

import random

import numpy as np
import pytest

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.minhash import band_keys, contained_share, mix, shingles, word_hashes
from smolforge.corpus.near_dedup import (
    Candidate,
    NearDuplicates,
    buckets,
    find_near_duplicates,
    keys_tuple,
    nomination_keys,
)
from smolforge.errors import DataError

CONFIG = DedupConfig()
NOUNS = [
    "river",
    "lamp",
    "window",
    "stone",
    "garden",
    "letter",
    "bridge",
    "kitchen",
    "violin",
    "engine",
    "market",
    "winter",
    "doctor",
    "ladder",
    "forest",
]
VERBS = [
    "opened",
    "carried",
    "painted",
    "forgot",
    "measured",
    "repaired",
    "borrowed",
    "washed",
    "followed",
    "counted",
    "sold",
    "found",
    "broke",
]


def prose(seed: int, sentences: int = 40) -> str:
    draw = random.Random(seed)
    return " ".join(
        f"The {draw.choice(NOUNS)} by the {draw.choice(NOUNS)} {draw.choice(VERBS)} "
        f"the {draw.choice(NOUNS)} {draw.randrange(100)}."
        for _ in range(sentences)
    )


def judge(texts: dict[str, str], language: str = "en", config: DedupConfig = CONFIG) -> NearDuplicates:
    candidates = [
        Candidate(name, "source", 0, len(text), keys_tuple(nomination_keys(text, language, config, {})))
        for name, text in texts.items()
    ]
    return find_near_duplicates(candidates, lambda ids: {i: (texts[i], language) for i in ids}, config)


def test_a_reformatted_copy_and_an_excerpt_go_and_name_their_partner() -> None:
    original = prose(1)
    copy = original.upper().replace(".", " !").replace(" ", "\n")
    excerpt = original[: int(len(original) * 0.95)].rpartition(" ")[0]
    result = judge({"a": original, "b": copy, "c": excerpt, "d": prose(2)})
    assert set(result.verdicts) == {"b", "c"} or set(result.verdicts) == {"a", "c"}
    assert all(verdict.detail.startswith("1.000 in ") for verdict in result.verdicts.values())
    assert "d" not in result.groups


def test_documents_from_one_template_are_nominated_but_stay() -> None:
    template = prose(3, 60) + " The {} was delivered to {} in spring. " + prose(4, 60)
    cities = ["Oslo", "Porto", "Quito", "Dakar", "Hanoi", "Riga", "Lima", "Turin"]
    texts = {city: template.format(noun, city) for city, noun in zip(cities, NOUNS, strict=False)}
    candidates = [
        Candidate(name, "source", 0, len(text), keys_tuple(nomination_keys(text, "en", CONFIG, {})))
        for name, text in texts.items()
    ]
    assert buckets(candidates), "the test needs documents that MinHash alone would merge"
    result = judge(texts)
    assert result.verdicts == {}
    assert len(set(result.groups.values())) == 1, "related documents must share one side of the split"


def test_documents_that_differ_in_their_numbers_only_stay() -> None:
    base = prose(5, 80)
    digits = {"1": "7", "2": "5", "3": "9"}
    other = "".join(digits.get(character, character) for character in base)
    assert judge({"a": base, "b": other}).verdicts == {}


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_result_does_not_depend_on_the_order_of_documents(order: int) -> None:
    base = prose(6)
    texts = {f"d{i}": base[: len(base) - 40 * (i % 4)].rpartition(" ")[0] for i in range(8)} | {"x": prose(7)}
    names = list(texts)
    random.Random(order).shuffle(names)
    shuffled = judge({name: texts[name] for name in names})
    assert shuffled == judge(texts)
    assert len(shuffled.verdicts) == 7, "one of the eight stays"


def test_chinese_is_compared_by_characters() -> None:
    draw = random.Random(1)
    characters = "天地人山水火木金土日月星雨雪风云花鸟鱼虫书画琴棋门窗路桥车船"
    text = "".join(draw.choice(characters) for _ in range(400))
    changed = text[:200] + "龙龙龙" + text[203:]
    result = judge({"a": text, "b": text[:380], "c": changed}, "zh")
    assert set(result.verdicts) == {"b"}
    assert result.groups["c"] == result.groups["a"]


def test_empty_documents_are_not_duplicates_of_each_other() -> None:
    assert judge({"a": "", "b": "", "c": "..."}).verdicts == {}


def test_bands_meet_at_the_published_rate() -> None:
    draw = np.random.default_rng(0)
    met = {0.5: 0, 0.9: 0}
    for similarity in met:
        for _ in range(150):
            pool = draw.integers(0, 2**63, 400, dtype=np.uint64)
            shared = int(400 * 2 * similarity / (1 + similarity)) // 2  # of two sets of 200
            a, b = np.unique(pool[:200]), np.unique(np.concatenate([pool[:shared], pool[200 : 400 - shared]]))
            met[similarity] += bool(set(keys_tuple(band_keys(a, 14, 8))) & set(keys_tuple(band_keys(b, 14, 8))))
    for similarity, count in met.items():
        expected = 1 - (1 - similarity**8) ** 14
        assert abs(count / 150 - expected) < 0.1, (similarity, count)


@pytest.mark.parametrize(("count", "bands", "rows"), [(1, 14, 8), (37, 14, 8), (500, 3, 5), (9, 64, 32)])
def test_band_keys_are_those_of_the_definition(count: int, bands: int, rows: int) -> None:
    given = mix(np.arange(count, dtype=np.uint64))
    golden = np.uint64(0x9E3779B97F4A7C15)
    seeds = mix(np.arange(1, bands * rows + 1, dtype=np.uint64) * golden)
    minima = mix(given[:, None] ^ seeds[None, :]).min(axis=0).reshape(bands, rows)
    keys = np.arange(bands, dtype=np.uint64)
    for row in range(rows):
        keys = mix(keys + minima[:, row] + golden)
    np.testing.assert_array_equal(band_keys(given, bands, rows), keys)
    assert len(band_keys(given[:0], bands, rows)) == 0


def test_containment_counts_shingles() -> None:
    whole = shingles(word_hashes(["a", "b", "c", "d", "e", "f"], {}), 3)
    part = shingles(word_hashes(["b", "c", "d", "x"], {}), 3)
    assert len(whole) == 4
    assert contained_share(part, whole) == 0.5
    assert contained_share(part, part) == 1.0


def test_the_guard_spares_a_source_that_would_be_wiped_out() -> None:
    base = prose(8, 80)
    texts = {f"d{i:02d}": base[: len(base) - 2 * i].rpartition(" ")[0] for i in range(60)}
    assert judge(texts).verdicts == {}
    with pytest.raises(DataError, match="wipe_out_share"):
        judge(texts, config=DedupConfig(on_wipe_out="stop"))
    assert len(judge(texts, config=DedupConfig(wipe_out_share=1.0)).verdicts) == 59
