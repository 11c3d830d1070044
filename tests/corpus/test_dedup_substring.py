"""Repeated passages: kept in the first document in keep order, cut from the others at whole words."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from smolforge.corpus import _text
from smolforge.corpus.dedup.config import LineConfig, SubstringConfig
from smolforge.corpus.dedup.lines import Boilerplate, find_boilerplate
from smolforge.corpus.dedup.passages import Passages, find_passages, whole_words
from smolforge.corpus.dedup.tables import Pool
from tests.corpus.dedup_pool import Text, ids_of, pool, runner, without
from tests.corpus.test_corpus_near_dedup import prose, spread

CONFIG = SubstringConfig(least_bytes=120, least_characters=50)
QUOTE = (
    "Nobody who has stood on this quay in winter will forget the light, the ropes and the long wait for the boat. " * 2
)


def cut_all(given: Pool, folder: Path, config: SubstringConfig = CONFIG) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return doc_id -> text after cutting, and the notes."""
    file, notes = find_passages(given, config, runner(folder))
    passages = Passages.load(file, config)
    ids = ids_of(given)
    texts = {}
    for number, shard in enumerate(given.shards):
        for row, text in enumerate(pq.read_table(shard.documents)["text"].to_pylist()):
            place = number << 32 | row
            texts[ids[place]] = passages.cut(text, place)[0]
    return texts, notes


def naive(data: bytes, starts: list[int], least: int) -> set[tuple[int, int]]:
    """Return (text, byte) of all bytes in passages that stand in an earlier text."""
    texts = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    return {
        (number, at + k)
        for number, text in enumerate(texts)
        for at in range(len(text) - least + 1)
        for k in range(least)
        if any(text[at : at + least] in earlier for earlier in texts[:number])
    }


@pytest.mark.parametrize("letters", [1, 2, 4, 255])
def test_the_suffix_array_is_sorted(letters: int) -> None:
    draw = random.Random(letters)
    for size in range(60):
        data = bytes(draw.randrange(letters) for _ in range(size * 3))
        found = _text.suffix_array(np.frombuffer(data, np.uint8)).tolist()
        assert found == sorted(range(len(data)), key=lambda place: data[place:])


def test_repeated_passages_are_all_and_only_those_of_earlier_texts() -> None:
    draw = random.Random(3)
    for _ in range(150):
        texts = [bytes(draw.choice(b"ab") for _ in range(draw.randrange(25))) for _ in range(draw.randrange(1, 6))]
        starts = np.cumsum([0, *map(len, texts)])
        found = _text.repeated_passages(np.frombuffer(b"".join(texts), np.uint8), starts, 5)
        assert {(n, k) for n, a, b in found.tolist() for k in range(a, b)} == naive(
            b"".join(texts), starts[:-1].tolist(), 5
        )


def test_texts_that_share_a_passage_share_a_key() -> None:
    draw = random.Random(4)
    for _ in range(200):
        shared = draw.randbytes(120)
        texts = [draw.randbytes(draw.randrange(90)) + shared + draw.randbytes(draw.randrange(90)) for _ in range(2)]
        offsets = np.cumsum([0, *map(len, texts)])
        keys, counts = _text.passage_keys(np.frombuffer(b"".join(texts), np.uint8), offsets, 60, 61)
        assert set(keys[: counts[0]].tolist()) & set(keys[counts[0] :].tolist())


@pytest.mark.parametrize("shards", [1, 3])
def test_a_quotation_stays_in_the_longest_document_only(shards: int, tmp_path: Path) -> None:
    texts = [Text(f"d{n}", f"{prose(n, 20 - n)} It is said: {QUOTE}So it is. {prose(50 + n, 10)}") for n in range(6)]
    longest = max(texts, key=lambda each: len(each.text)).doc_id
    cut, notes = cut_all(pool(tmp_path / "in", spread(texts, shards, 1)), tmp_path / "work")
    assert notes == ()
    for each in texts:
        if each.doc_id == longest:
            assert cut[each.doc_id] == each.text
        else:
            assert QUOTE[30:-30] not in cut[each.doc_id]
            assert cut[each.doc_id].startswith(prose(int(each.doc_id[1:]), 20 - int(each.doc_id[1:]))[:-40])
            assert set(re.findall(r"\w+", cut[each.doc_id])) <= set(re.findall(r"\w+", each.text)), "words stay whole"


def test_masked_documents_and_repeats_within_one_document_are_left_alone(tmp_path: Path) -> None:
    texts = [Text("a", prose(1, 40) + QUOTE), Text("b", prose(2, 20) + QUOTE), Text("c", prose(3) + QUOTE * 3)]
    given = pool(tmp_path / "in", [texts])
    cut, _ = cut_all(without(given, tmp_path / "masks", {0, 1}), tmp_path / "work")
    assert cut == {each.doc_id: each.text for each in texts}


def test_cuts_never_divide_a_character(tmp_path: Path) -> None:
    shared = "天地人山水火木金土日月星雨雪风云花鸟鱼虫书画琴棋门窗路桥车船" * 2
    texts = [Text("a", "甲" * 30 + shared + "𠀀乙", "zh"), Text("b", "丙é" + shared + "丁戊己", "zh")]
    cut, _ = cut_all(pool(tmp_path / "in", [texts]), tmp_path / "work")
    assert cut == {"a": texts[0].text, "b": "丙é丁戊己"}
    assert whole_words("añb cd, ef", [(2, 7), (8, 9)]) == [(3, 6), (7, 8)]


def test_connected_documents_larger_than_a_group_are_compared_in_parts_and_that_is_said(tmp_path: Path) -> None:
    big = [Text(f"d{n}", prose(n, 4200) + QUOTE) for n in range(8)]
    given = pool(tmp_path / "in", [big])
    cut, notes = cut_all(given, tmp_path / "work", SubstringConfig(least_bytes=200, group_mib=1))
    assert "larger than corpus.substring_dedup.group_mib" in notes[0]
    assert sum(QUOTE in text for text in cut.values()) == 2


def test_a_document_of_nothing_but_repeated_passages_is_told(tmp_path: Path) -> None:
    texts = [Text("a", prose(1, 40)), Text("b", prose(1, 40)[200:900])]
    given = pool(tmp_path / "in", [texts])
    passages = Passages.load(find_passages(given, CONFIG, runner(tmp_path / "work"))[0], CONFIG)
    text, count = passages.cut(texts[1].text, 1)
    assert count == 1 and passages.too_little(text, count)
    assert not passages.too_little(*passages.cut(texts[0].text, 0))


def test_places_are_those_of_the_text_without_boilerplate_lines(tmp_path: Path) -> None:
    config = LineConfig(documents=4, share=0.5)
    frame = "Home and news\nSign in here\n"
    bodies = [f"{prose(n, 20 - n)} {QUOTE} {prose(50 + n, 10)}" for n in range(6)]
    texts = [Text(f"d{n}", frame * (n % 2) + body, url="https://x.example/") for n, body in enumerate(bodies)]
    texts += [Text(f"e{n}", frame + prose(90 + n), url="https://x.example/") for n in range(4)]
    given = pool(tmp_path / "in", [texts])
    work = runner(tmp_path / "work")
    lines = find_boilerplate(given, config, work)
    file, _ = find_passages(given, CONFIG, work, lines, config)
    passages, boilerplate = Passages.load(file, CONFIG), Boilerplate.load(lines, config)
    for place, each in enumerate(texts[1:6], 1):
        text, count = boilerplate.cut(each.text, "x.example", "en")
        assert count == 2 * (place % 2)
        assert QUOTE.strip() in text and QUOTE.strip() not in passages.cut(text, place)[0]
        assert passages.cut(text, place)[0].startswith(bodies[place][:100])
