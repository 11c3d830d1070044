"""Toxicity: the list and the model must agree; pages on health, in dialects and about abuse survive."""

from __future__ import annotations

import json
import pydoc_data.topics
from pathlib import Path

import numpy as np
import pytest

from smolforge.corpus.config import LANGUAGES
from smolforge.corpus.scoring.config import ToxicityConfig
from smolforge.corpus.scoring.toxicity import ToxicityModel, judge, term_hash
from smolforge.corpus.scoring.training import Example, train
from smolforge.errors import ConfigError

FRAMES = json.loads((Path(__file__).parents[2] / "data" / "toxicity-frames.json").read_text(encoding="utf-8"))[
    "languages"
]
CONFIG = ToxicityConfig()
# An insult of each language that is on the list, in the sentences' own form.
LISTED = {
    "en": "scumbag", "fr": "crétin", "es": "cretino", "de": "Vollidiot", "it": "cretino", "pt": "cretino",
    "ar": "حقير", "zh": "人渣", "ru": "придурок",
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> ToxicityModel:
    return ToxicityModel.load(CONFIG)


def page(frames: list[str], language: str) -> str:
    return "\n".join(frames).replace("{n}", LISTED[language])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_of_abuse_is_dropped_with_its_worst_passage(model: ToxicityModel, language: str) -> None:
    found = model.score([page(FRAMES[language]["abusive"], language)], [language])
    assert judge(found, CONFIG).tolist() == [True]
    assert LISTED[language].lower() in found.passages[0].lower()


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_on_health_in_dialects_and_about_abuse_survive(model: ToxicityModel, language: str) -> None:
    benign = FRAMES[language]["benign"]
    texts = [page(benign, language), *(page(benign[i : i + 3], language) for i in range(0, len(benign), 3))]
    assert not judge(model.score(texts, [language] * len(texts)), CONFIG).any()


def test_neither_the_list_nor_the_model_drops_alone(model: ToxicityModel) -> None:
    only_listed = (
        "The word 'scumbag' and the word 'imbecile' are insults, the court said: nouns of Latin origin, now rude."
    )
    only_model = "You are worthless and everybody here hates you. I hope you suffer, get lost, nobody loves you."
    found = model.score([only_listed, only_model], ["en", "en"])
    assert found.count.tolist() == [2, 0] and found.terms[0] > CONFIG.terms
    assert model.model.probabilities([only_model], ["en"])[0] > CONFIG.floor
    assert not judge(found, CONFIG).any()


def test_a_word_is_an_insult_in_its_own_language_only(model: ToxicityModel) -> None:
    found = model.score(["moron moron", "moron moron", "moron moron"], ["en", "de", "math"])
    assert found.count.tolist() == [2, 0, 0]


def test_spelling_in_capitals_and_terms_of_several_words_are_found(model: ToxicityModel) -> None:
    texts = ["SCUMBAG!! Scumbag.", "fils  de\nPUTE", "figlio di puttana", "figlio di un puttana"]
    assert model.score(texts, ["en", "fr", "it", "de"]).count.tolist() == [2, 1, 2, 0]
    assert term_hash("Fils de pute") == term_hash("fils, de pute!") != term_hash("pute de fils")


def test_the_passage_is_cut_from_the_composed_text(model: ToxicityModel) -> None:
    text = "e\u0301" * 50 + " Tu n'es qu'un cre\u0301tin inutile, espe\u0300ce de cre\u0301tin."
    (passage,) = model.score([text], ["fr"]).passages
    assert passage.endswith("Tu n'es qu'un crétin inutile, espèce de crétin")


def test_real_pages_have_no_listed_terms(model: ToxicityModel) -> None:
    pages = list(pydoc_data.topics.topics.values())
    found = model.score(pages, ["en"] * len(pages))
    assert not found.count.any() and not found.probability.any() and set(found.passages) == {""}


def test_a_text_is_scored_the_same_alone_and_among_others(model: ToxicityModel) -> None:
    texts = [page(FRAMES[code][kind], code) for code in LANGUAGES for kind in ("abusive", "benign")] + [
        "",
        "x" * 300_000,
    ]
    codes = [code for code in LANGUAGES for _ in range(2)] + ["en", "en"]
    together = model.score(texts, codes)
    for i, (text, code) in enumerate(zip(texts, codes, strict=True)):
        alone = model.score([text], [code])
        assert (alone.terms[0], alone.count[0], alone.probability[0], alone.passages[0]) == (
            together.terms[i], together.count[i], together.probability[i], together.passages[i],
        )  # fmt: skip
    assert len(model.score([], []).terms) == 0


def test_a_persons_own_model_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    own, _ = train(
        [Example(f"d{i}", "water and bread" if i % 2 else "you scumbag", "en", i % 2 == 0) for i in range(300)]
    )
    own.save(tmp_path / "own.npz")
    config = ToxicityConfig(model=str(tmp_path / "own.npz"))
    found = ToxicityModel.load(config).score(["you scumbag, you scumbag"], ["en"])
    np.testing.assert_allclose(found.probability, own.probabilities(["you scumbag, you scumbag"], ["en"]), atol=1e-3)
    with pytest.raises(ConfigError, match="no such quality model"):
        ToxicityModel.load(ToxicityConfig(model=str(tmp_path / "none.npz")))
