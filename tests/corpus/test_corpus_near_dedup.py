"""Near duplicates: buckets nominate, containment decides; templated but different documents stay."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.dedup.minhash import band_keys, contained_share, mix, shingles, word_hashes
from smolforge.corpus.dedup.near import NearCopies, find_near_copies
from smolforge.corpus.dedup.near_component import Component, Nominated
from smolforge.corpus.dedup.near_texts import print_of
from smolforge.corpus.dedup.tables import Pool
from smolforge.errors import DataError
from smolforge.store import digest_file
from tests.corpus import near_reference
from tests.corpus.dedup_pool import Text, group_of, ids_of, named_rows, nomination_keys, pool, runner, without

CONFIG = DedupConfig(wipe_out_share=1.0)
NOUNS = "river lamp window stone garden letter bridge kitchen violin engine market winter doctor forest".split()  # noqa: SIM905
VERBS = "opened carried painted forgot measured repaired borrowed washed followed counted sold broke".split()  # noqa: SIM905


def prose(seed: int, sentences: int = 40) -> str:
    draw = random.Random(seed)
    return " ".join(
        f"The {draw.choice(NOUNS)} by the {draw.choice(NOUNS)} {draw.choice(VERBS)} "
        f"the {draw.choice(NOUNS)} {draw.randrange(100)}."
        for _ in range(sentences)
    )


class Result:
    """What the waves found, by doc_id."""

    def __init__(self, given: Pool, near: NearCopies) -> None:
        ids = ids_of(given)
        rows = named_rows(near.copies)
        self.gone = {ids[row["place"]]: (row["partner_id"], row["score"]) for row in rows}
        assert all(ids[row["partner"]] == row["partner_id"] for row in rows if row["partner"] in ids)
        groups = group_of(near.groups, given)
        assert all(ids[place] == name for place, name in groups.values())
        self.groups = {ids[place]: name for place, (_, name) in groups.items()}
        self.spared, self.notes = near.spared, near.notes


def judge(
    folder: Path, shards: Sequence[Sequence[Text]], config: DedupConfig = CONFIG, sources: Sequence[str] = ("source",)
) -> Result:
    given = pool(folder / "in", shards, config, tuple(sources))
    return Result(given, find_near_copies(given, config, runner(folder / "work")))


def texts(named: dict[str, str], label: str = "en") -> list[Text]:
    return [Text(name, text, label) for name, text in named.items()]


def mixed(seed: int, count: int = 60) -> list[Text]:
    """Originals, excerpts, reworded copies and letters of one template."""
    draw = random.Random(seed)
    template = prose(1000, 30).split()
    made = []
    for at in range(count):
        words = prose(draw.randrange(count // 3), draw.choice((20, 40))).split()
        kind = draw.randrange(4)
        if kind == 1:
            words = words[: len(words) * 9 // 10]
        elif kind == 2:
            words[draw.randrange(len(words))] = f"word{at}"
        elif kind == 3:
            words = [*template[: len(template) // 2], *prose(2000 + at, 3).split(), *template[len(template) // 2 :]]
        made.append(Text(f"d{draw.randrange(10**9):09d}", " ".join(words)))
    return made


def spread(given: Sequence[Text], shards: int, seed: int) -> list[list[Text]]:
    order = list(given)
    random.Random(seed).shuffle(order)
    return [order[number::shards] for number in range(shards)]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_waves_find_what_the_plain_algorithm_finds(seed: int, tmp_path: Path) -> None:
    given = mixed(seed)
    config = CONFIG.model_copy(update={"containment": 0.9, "max_comparisons": 100})
    gone, groups = near_reference.find(given, config)
    assert len(gone) > 5 and len(groups) > 3, "the test needs something to find"
    result = judge(tmp_path, spread(given, 3, seed), config)
    assert {name: partner for name, (partner, _) in result.gone.items()} == {
        name: each[0] for name, each in gone.items()
    }
    assert {name: pytest.approx(score) for name, (_, score) in gone.items()} == {
        n: s for n, (_, s) in result.gone.items()
    }
    members = Counter(result.groups.values())
    assert {frozenset(n for n, g in result.groups.items() if g == group) for group in members} == groups
    assert all(group == min(n for n, g in result.groups.items() if g == group) for group in members)


def test_the_result_depends_neither_on_order_nor_on_the_number_of_shards(tmp_path: Path) -> None:
    given = mixed(5)
    results = [judge(tmp_path / str(n), spread(given, n, n)) for n in (1, 2, 7)]
    assert results[0].gone and results[0].gone == results[1].gone == results[2].gone
    assert results[0].groups == results[1].groups == results[2].groups


def test_a_reformatted_copy_and_an_excerpt_go_and_name_their_partner(tmp_path: Path) -> None:
    original = prose(1)
    copy = original.upper().replace(".", " !").replace(" ", "\n")
    excerpt = original[: int(len(original) * 0.95)].rpartition(" ")[0]
    result = judge(tmp_path, [texts({"a": original, "b": copy}), texts({"c": excerpt, "d": prose(2)})])
    assert result.gone == {"a": ("b", 1.0), "c": ("b", 1.0)}
    assert "d" not in result.groups


def test_documents_from_one_template_are_nominated_but_stay(tmp_path: Path) -> None:
    template = prose(3, 60) + " The {} was delivered to {} in spring. " + prose(4, 60)
    cities = ["Oslo", "Porto", "Quito", "Dakar", "Hanoi", "Riga", "Lima", "Turin"]
    letters = {city: template.format(noun, city) for city, noun in zip(cities, NOUNS, strict=False)}
    result = judge(tmp_path, [texts(letters)], CONFIG.model_copy(update={"containment": 1.0}))
    assert result.gone == {}
    assert set(result.groups) == set(cities), "related documents must share one side of the split"
    assert set(result.groups.values()) == {"Dakar"}


def test_documents_that_differ_in_their_numbers_only_stay(tmp_path: Path) -> None:
    base = prose(5, 80)
    digits = {"1": "7", "2": "5", "3": "9"}
    other = "".join(digits.get(character, character) for character in base)
    assert judge(tmp_path, [texts({"a": base, "b": other})]).gone == {}


def test_copies_among_more_letters_of_one_template_than_are_compared_are_found(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"containment": 0.9, "max_comparisons": 4})
    frame = prose(7, 24)
    letters = [Text(f"letter{at:02d}", f"{frame} {prose(100 + at, 12)}") for at in range(60)]
    copies = [Text(f"xcopy{at:02d}", letters[at].text.replace(".", "")) for at in range(0, 60, 5)]
    result = judge(tmp_path, spread([*letters, *copies], 3, 1), config)
    assert result.gone == {copy.doc_id: (copy.doc_id.replace("xcopy", "letter"), 1.0) for copy in copies}


def test_chinese_is_compared_by_characters(tmp_path: Path) -> None:
    draw = random.Random(1)
    characters = "天地人山水火木金土日月星雨雪风云花鸟鱼虫书画琴棋门窗路桥车船"
    text = "".join(draw.choice(characters) for _ in range(400))
    changed = text[:200] + "龙龙龙" + text[203:]
    config = CONFIG.model_copy(update={"containment": 1.0})
    result = judge(tmp_path, [texts({"a": text, "b": text[:380], "c": changed}, "zh")], config)
    assert set(result.gone) == {"b"}
    assert result.groups["c"] == result.groups["a"]


def test_empty_documents_are_not_duplicates_of_each_other(tmp_path: Path) -> None:
    assert judge(tmp_path, [texts({"a": "", "b": "", "c": "..."})]).gone == {}


def test_no_shards_and_shards_without_documents_are_no_problem(tmp_path: Path) -> None:
    assert judge(tmp_path / "none", []).gone == {}
    assert judge(tmp_path / "empty", [[], []]).gone == {}


def test_masked_documents_neither_go_nor_make_others_go(tmp_path: Path) -> None:
    text = prose(1)
    given = pool(tmp_path / "in", [texts({"a": text + " The end.", "b": text}), texts({"c": prose(2)})])
    masked = without(given, tmp_path / "masks", {0})
    assert Result(given, find_near_copies(given, CONFIG, runner(tmp_path / "all"))).gone == {"b": ("a", 1.0)}
    assert Result(given, find_near_copies(masked, CONFIG, runner(tmp_path / "some"))).gone == {}


def test_a_source_ahead_keeps_its_shorter_copy(tmp_path: Path) -> None:
    shards = [[Text("long", prose(1) + " The end.", source="web"), Text("short", prose(1), source="books")]]
    given = pool(tmp_path / "in", shards, CONFIG, ("web", "books"), ahead=("books",))
    config = CONFIG.model_copy(update={"containment": 0.9})
    assert set(Result(given, find_near_copies(given, config, runner(tmp_path / "work"))).gone) == {"long"}


def test_the_wipe_out_guard_keeps_or_stops(tmp_path: Path) -> None:
    shards = [
        [Text(f"a{i}", prose(i), source="good") for i in range(6)],
        [Text(f"b{i}", prose(i)[:-30], source="mirror") for i in range(6)] + [Text("own", prose(99), source="mirror")],
    ]
    config = DedupConfig(containment=0.9, wipe_out_share=0.5, wipe_out_documents=2)
    result = judge(tmp_path / "keep", shards, config, ("good", "mirror"))
    assert result.gone == {} and result.spared == {"mirror": 6}
    assert "6 of 7 documents of source 'mirror'" in result.notes[0]
    with pytest.raises(DataError, match=r"6 of 7 documents of source 'mirror'.*wipe_out_share"):
        judge(tmp_path / "stop", shards, config.model_copy(update={"on_wipe_out": "stop"}), ("good", "mirror"))


def test_a_restart_runs_no_wave_again_and_gives_the_same(tmp_path: Path) -> None:
    given = pool(tmp_path / "in", spread(mixed(6), 2, 1))
    first = find_near_copies(given, CONFIG, runner(tmp_path / "work"))
    files = sorted(path for path in (tmp_path / "work").rglob("*") if path.is_file())
    marks = [(path.stat().st_mtime_ns, digest_file(path)) for path in files]
    again = find_near_copies(given, CONFIG, runner(tmp_path / "work"))
    assert again == first
    assert [(path.stat().st_mtime_ns, digest_file(path)) for path in files] == marks


def test_bands_meet_at_the_published_rate() -> None:
    draw = np.random.default_rng(0)
    met = {0.5: 0, 0.9: 0}
    for similarity in met:
        for _ in range(150):
            pool_ = draw.integers(0, 2**63, 400, dtype=np.uint64)
            shared = int(400 * 2 * similarity / (1 + similarity)) // 2  # of two sets of 200
            a, b = np.unique(pool_[:200]), np.unique(np.concatenate([pool_[:shared], pool_[200 : 400 - shared]]))
            met[similarity] += bool(set(band_keys(a, 14, 8).tolist()) & set(band_keys(b, 14, 8).tolist()))
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


def test_a_word_said_again_and_again_makes_another_document_of_one_template(tmp_path: Path) -> None:
    page = "The function {0} is deprecated. " + prose(8, 9) + " Call {1} instead, and see {0} for its history."
    named = {"a": page.format("getch", "read"), "b": page.format("putch", "read"), "c": page.format("getch", "scan")}
    result = judge(tmp_path, [texts(named)], CONFIG.model_copy(update={"containment": 0.8}))
    assert result.gone == {"c": ("a", pytest.approx(0.9, abs=0.1))}
    assert len(set(result.groups.values())) == 1


def test_a_component_larger_than_its_cache_is_judged_the_same(tmp_path: Path) -> None:
    given = mixed(9, 40)
    prints = {each.doc_id: print_of(each.text, each.label) for each in given}
    ordered = sorted(given, key=lambda each: (-len(each.text), each.doc_id))

    def nominated(at: int, each: Text) -> Nominated:
        own = prints[each.doc_id]
        pair = own.shingles, own.words
        keys = nomination_keys(each.text, each.label, CONFIG, {})
        return Nominated(0, 2, len(each.text), 0, each.doc_id, at, keys, own.subjects, pair, lambda: pair)

    results = []
    for cache_bytes in (1 << 20, 1):
        component = Component(0, CONFIG, cache_bytes)
        found = [component.offer(nominated(at, each)) for at, each in enumerate(ordered)]
        results.append(([each and (each.partner.doc_id, each.score) for each in found], component.groups()))
    assert results[0] == results[1]
    assert any(results[0][0])
