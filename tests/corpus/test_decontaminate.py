"""Decontamination: planted questions are found, alike but other texts are not, and a search for nothing is an error."""

from __future__ import annotations

import json
import pydoc_data.topics
from pathlib import Path

import numpy as np
import pytest

from smolforge.corpus.contamination.index import ContaminationIndex, build
from smolforge.corpus.contamination.pack import Item, read_pack
from smolforge.corpus.contamination.report import benchmark_rows
from smolforge.corpus.contamination.search import Contamination, Match
from smolforge.corpus.scoring.config import DecontaminationConfig
from smolforge.errors import ConfigError, DataError, FormatError

LONG = (
    "A gardener plants seven rows of tulips with twelve bulbs in each row, and her neighbour plants five rows of "
    "daffodils with nineteen bulbs in each. A storm washes away a quarter of the tulips and ten daffodils. How many "
    "flowers do the two gardeners have left in spring if every remaining bulb grows?"
)
SHORT = "Which gas do submarine engineers scrub from cabin air with lithium hydroxide?"
TINY = "What is seven plus five?"
PASSAGE = (
    "The lighthouse at Morven Point was built of granite shipped from Arran. Its keeper, Elspeth Rae, rowed out each "
    "evening to trim the lamp, until an electric beacon replaced her boat and her oil in the dry summer of 1931."
)
STUB = "Which of these is true?"
CHOICES = ("a comet has a solid nucleus of ice", "a comet shines by nuclear fusion", "a comet never nears a star")
CHINESE = "小明每天早上骑自行车去学校需要二十五分钟，放学后他步行回家需要五十分钟，问他一周五天在路上一共花多少小时？"
RUSSIAN = (
    "Пекарь испёк сорок восемь булочек с корицей и тридцать шесть с маком. Утром он продал две трети булочек с корицей "
    "и половину булочек с маком. Сколько булочек осталось у него к обеду, если шесть штук он отдал соседке?"
)
ARABIC = (
    "زرع الفلاح في حقله الكبير ثلاثمئة شجرة زيتون وضعف هذا العدد من أشجار النخيل، فكم شجرة زرع في حقله كله هذا العام؟"
)
FRENCH = (
    "Une boulangère prépare chaque matin quarante-huit croissants et trente-six pains au chocolat. Combien de pièces "
    "vend-elle en une semaine de six jours, s'il lui reste toujours sept croissants et deux pains au chocolat le soir ?"
)
ITEMS = [
    Item("gsm", "g1", LONG, "One hundred forty-eight"),
    Item("arc", "a1", SHORT, "carbon dioxide"),
    Item("arc", "a2", TINY, "twelve"),
    Item("squad", "s1", "Who rowed out each evening to trim the lamp?", "Elspeth Rae", PASSAGE),
    Item("mmlu", "m1", STUB, CHOICES[0], choices=CHOICES),
    Item("zh", "z1", CHINESE, "6.25"),
    Item("ru", "r1", RUSSIAN, "28"),
    Item("ar", "ar1", ARABIC, "900"),
    Item("fr", "f1", FRENCH, "450"),
]
FILLER = " ".join(pydoc_data.topics.topics["assignment"].split()[:400])
HAN_FILLER = "今天天气很好，我们一起去公园散步，看见许多人在湖边钓鱼。" * 6


@pytest.fixture(scope="module")
def contamination() -> Contamination:
    return Contamination(build(ITEMS), DecontaminationConfig(benchmarks="unused"))


def inside(text: str, filler: str = FILLER) -> str:
    return f"{filler}\n\n{text}\n\n{filler}"


def names(matches: tuple[Match, ...]) -> list[str]:
    return [match.item for match in matches]


@pytest.mark.parametrize(
    ("planted", "item"),
    [(LONG, "g1"), (SHORT, "a1"), (CHINESE, "z1"), (RUSSIAN, "r1"), (ARABIC, "ar1"), (FRENCH, "f1")],
)
def test_a_question_copied_as_it_is_is_found_wherever_it_stands(
    contamination: Contamination, planted: str, item: str
) -> None:
    for shift in range(12):
        text = inside(planted, " ".join(["word"] * shift) + " " + (HAN_FILLER if item == "z1" else FILLER))
        (match,) = contamination.check_all([text])[0]
        assert (match.item, match.score) == (item, pytest.approx(1.0))
        assert match.text.strip("?？؟ ") == planted.strip("?？؟ ")
        assert text[match.begin : match.end] == match.text


def test_case_punctuation_and_short_vowels_hide_nothing(contamination: Contamination) -> None:
    assert names(contamination.check_all([LONG.upper().replace(",", " --").replace(" ", "\n")])[0]) == ["g1"]
    marked = ARABIC.replace("زرع", "زَرَعَ").replace("شجرة", "شَجَرَة")
    assert names(contamination.check_all([marked])[0]) == ["ar1"]


def test_a_long_question_with_a_few_words_changed_is_found_with_its_score(contamination: Contamination) -> None:
    changed = LONG.replace("tulips and ten", "roses and ten").replace("neighbour", "sister")
    (match,) = contamination.check_all([inside(changed)])[0]
    assert match.item == "g1" and 0.8 <= match.score < 1 and match.required <= match.score


def test_a_short_question_must_be_perfect_unless_its_answer_follows(contamination: Contamination) -> None:
    changed = SHORT.replace("scrub", "remove")
    assert contamination.check_all([inside(changed)])[0] == ()
    assert names(contamination.check_all([inside(SHORT)])[0]) == ["a1"]


def test_what_is_too_short_to_be_evidence_needs_more_and_is_counted(contamination: Contamination) -> None:
    assert contamination.check_all([f"He asked: {TINY} Nobody knew."])[0] == ()
    assert not contamination.check_all([f"He asked: {TINY} It is twelve."])[0]
    index = build([*ITEMS, Item("arc", "a3", "Why now?")])
    row = next(row for row in benchmark_rows(index, [], 1) if row.benchmark == "arc")
    assert (row.items, row.searchable) == (3, 2)


def test_a_passage_and_an_answer_nearby_are_evidence_too(contamination: Contamination) -> None:
    (match,) = contamination.check_all(
        [inside(f"{PASSAGE} Who rowed out each evening to trim the lamp? Elspeth Rae.")]
    )[0]
    assert match.item == "s1" and match.score == pytest.approx(1.0)
    near = PASSAGE + " Who rowed there each evening to trim the lamp? Elspeth Rae."
    (match,) = contamination.check_all([inside(near)])[0]
    assert match.item == "s1" and "passage" in match.parts
    assert contamination.check_all([inside("Who rowed there each evening to trim the lamp?")])[0] == ()


def test_a_form_of_words_is_known_by_its_choices(contamination: Contamination) -> None:
    assert contamination.check_all([inside(STUB)])[0] == ()
    assert names(contamination.check_all([inside(" ".join((STUB, *CHOICES)))])[0]) == ["m1"]


def test_another_task_of_the_same_kind_and_a_translation_are_not_found(contamination: Contamination) -> None:
    other = LONG.replace(
        "gardener plants seven rows of tulips with twelve", "farmer sows nine fields of barley with fifty"
    )
    other = other.replace("five rows of daffodils with nineteen", "four terraces of vines with eighty").replace(
        "storm washes away a quarter of the tulips and ten daffodils",
        "drought withers half of the barley and six vines",
    )
    german = (
        "Eine Gärtnerin pflanzt sieben Reihen Tulpen mit je zwölf Zwiebeln, und ihre Nachbarin pflanzt fünf Reihen "
        "Narzissen mit je neunzehn. Wie viele Blumen haben die beiden im Frühling?"
    )
    assert contamination.check_all([inside(other), inside(german)]) == [(), ()]


def test_pages_about_python_hold_no_question(contamination: Contamination) -> None:
    pages = list(pydoc_data.topics.topics.values())
    assert contamination.check_all(pages) == [()] * len(pages)


def test_a_verdict_does_not_depend_on_the_other_texts(contamination: Contamination) -> None:
    texts = [
        inside(LONG),
        "",
        FILLER,
        inside(f"{SHORT} {RUSSIAN}"),
        "漢",
        inside(CHINESE, HAN_FILLER),
        "a" * 300_000,
        SHORT,
    ]
    together = contamination.check_all(texts)
    assert together == [contamination.check_all([text])[0] for text in texts]
    assert [names(each) for each in together] == [["g1"], [], [], ["r1", "a1"], [], ["z1"], [], ["a1"]]
    assert contamination.check_all([]) == []


def test_an_index_keeps_its_answers_in_a_file_and_refuses_others(contamination: Contamination, tmp_path: Path) -> None:
    path = tmp_path / "index.npz"
    contamination.index.save(path)
    loaded = ContaminationIndex.load(path)
    texts = [inside(LONG), inside(CHINESE, HAN_FILLER), inside(PASSAGE)]
    assert Contamination(loaded, contamination.config).check_all(texts) == contamination.check_all(texts)
    assert loaded.digest == contamination.index.digest != build(ITEMS[:3]).digest
    with pytest.raises(ConfigError, match="no such index"):
        ContaminationIndex.load(tmp_path / "none.npz")
    with np.load(path) as file:
        arrays = dict(file)
    for change in ({"question_starts": arrays["question_starts"][::-1]}, {"answer_values": np.zeros(3)}):
        np.savez(path, **{**arrays, **change})
        with pytest.raises(FormatError, match="not a contamination index"):
            ContaminationIndex.load(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(FormatError):
        ContaminationIndex.load(path)


def test_the_report_counts_items_and_documents_of_each_benchmark(contamination: Contamination) -> None:
    texts = {"d1": inside(LONG), "d2": inside(LONG), "d3": FILLER, "d4": inside(SHORT)}
    found = zip(texts, contamination.check_all(list(texts.values())), strict=True)
    rows = benchmark_rows(contamination.index, [(d, m.benchmark, m.item) for d, ms in found for m in ms], len(texts))
    by_name = {row.benchmark: row for row in rows}
    assert set(by_name) == {item.benchmark for item in ITEMS}
    assert (by_name["gsm"].hit, by_name["gsm"].documents, by_name["gsm"].share_of_documents) == (1, 2, 0.5)
    assert (by_name["arc"].hit, by_name["arc"].share_hit) == (1, 0.5)
    assert by_name["zh"].documents == 0


SHAPES = {
    "mmlu": ({"question": "Q1", "subject": "s", "choices": ["w", "x", "y", "z"], "answer": 2}, ("Q1", "y", "")),
    "mmlu_pro": ({"question": "Q", "options": ["w", "x"], "answer": "B", "answer_index": 1}, ("Q", "x", "")),
    "arc": (
        {"id": "i", "question": "Q", "choices": {"text": ["w", "x"], "label": ["1", "2"]}, "answerKey": "2"},
        ("Q", "x", ""),
    ),
    "arc_raw": (
        {
            "question": {"stem": "Q", "choices": [{"text": "w", "label": "A"}, {"text": "x", "label": "B"}]},
            "answerKey": "B",
        },
        ("Q", "x", ""),
    ),
    "hellaswag": ({"ind": 4, "ctx_a": "C", "ctx": "C D", "endings": ["w", "x"], "label": "1"}, ("C D", "x", "")),
    "piqa": ({"goal": "G", "sol1": "w", "sol2": "x", "label": 1}, ("G", "x", "")),
    "winogrande": ({"sentence": "S _", "option1": "w", "option2": "x", "answer": "2"}, ("S _", "x", "")),
    "boolq": ({"question": "Q", "passage": "P", "answer": True}, ("Q", "", "P")),
    "squad": ({"context": "P", "question": "Q", "answers": {"text": ["A"], "answer_start": [1]}}, ("Q", "A", "P")),
    "race": ({"article": "P", "question": "Q", "options": ["w", "x", "y"], "answer": "C"}, ("Q", "y", "P")),
    "gsm8k": ({"question": "Q", "answer": "so #### 42"}, ("Q", "so #### 42", "")),
    "math": ({"problem": "Q", "solution": "A", "level": "Level 5"}, ("Q", "A", "")),
    "humaneval": (
        {"task_id": "HumanEval/0", "prompt": "def f():", "canonical_solution": "  return 1"},
        ("def f():", "return 1", ""),
    ),
    "mbpp": ({"task_id": 2, "text": "Q", "code": "A", "test_list": ["t"]}, ("Q", "A", "")),
    "ifeval": ({"key": 1000, "prompt": "Q", "instruction_id_list": ["x"]}, ("Q", "", "")),
    "truthfulqa": ({"question": "Q", "best_answer": "A", "incorrect_answers": ["w"]}, ("Q", "A", "")),
    "gpqa": ({"Question": "Q", "Correct Answer": "A"}, ("Q", "A", "")),
    "belebele": (
        {"flores_passage": "P", "question": "Q", "mc_answer1": "w", "mc_answer2": "x", "correct_answer_num": "2"},
        ("Q", "x", "P"),
    ),
    "xcopa": ({"premise": "Q", "choice1": "w", "choice2": "x", "question": "cause", "label": 0}, ("Q", "w", "")),
}


def test_the_columns_of_known_benchmarks_are_understood(tmp_path: Path) -> None:
    for name, (row, _) in SHAPES.items():
        (tmp_path / name / "test").mkdir(parents=True)
        (tmp_path / name / "test" / "part.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "README.md").write_text("about")
    items = {item.benchmark: item for item in read_pack(tmp_path)}
    found = {name: (item.question, item.answer, item.passage) for name, item in items.items()}
    assert found == {name: expected for name, (_, expected) in SHAPES.items()}
    assert items["humaneval"].name == "humaneval/test/part.jsonl:HumanEval/0"


def test_a_search_for_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        read_pack(tmp_path / "none")
    with pytest.raises(DataError, match="no questions in it"):
        read_pack(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"words": "x"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl: row 1: no question in columns words"):
        read_pack(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"question": "x"}\n')
    (tmp_path / "b.jsonl.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"b\.jsonl\.gz: unpack"):
        read_pack(tmp_path)
