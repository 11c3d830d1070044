"""Line rules: page furniture goes, text stays as it is."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smolforge.corpus.config import LANGUAGES
from smolforge.corpus.rules.lines import _counter, _lists, clean_lines, line_limits
from smolforge.errors import ConfigError
from tests.corpus.test_corpus_rules import SENTENCES

ODD = {
    "en": ("We use cookies; see our cookie policy", "1.2k likes", "Read more »"),
    "fr": ("Lisez la politique de confidentialité du site", "12 commentaires", "Lire la suite…"),
    "es": ("Lea la política de privacidad de este sitio", "3 comentarios", "Leer más"),
    "de": ("Hier steht die Datenschutzerklärung der Seite", "7 Kommentare", "Weiterlesen"),
    "it": ("Leggi la informativa sulla privacy del sito", "5 commenti", "Leggi tutto"),
    "pt": ("Leia a política de privacidade deste sítio", "8 comentários", "Ver mais"),
    "ar": ("اقرأ سياسة الخصوصية لهذا الموقع من فضلك", "12 تعليق", "اقرأ المزيد"),
    "zh": ("请您仔细阅读本站的隐私政策和说明", "3万次播放", "阅读全文"),
    "ru": ("Здесь политика конфиденциальности сайта", "25 комментариев", "Читать далее"),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_furniture_goes_and_sentences_stay_in_every_language(language: str) -> None:
    text = "\n".join([SENTENCES[language], *ODD[language], "2 024", SENTENCES[language]]) + "\n"
    found = clean_lines(text, language)
    assert found.text == f"{SENTENCES[language]}\n{SENTENCES[language]}"
    assert found.counts == {"policies": 1, "counters": 1, "buttons": 1, "figures": 1}


def test_each_rule_is_counted_and_can_be_switched_off() -> None:
    lines = {
        "javascript": "You must enable JavaScript to see this page.",
        "placeholders": "Lorem ipsum dolor sit amet and so on.",
        "upper_case": "BUY NOW AND PAY NOTHING for a year",
        "fewest_words": "Main menu",
        "longest_word": f"the word {'x' * 1001} is too long to be one.",
    }
    for rule, line in lines.items():
        text = f"{SENTENCES['en']}\n{line}"
        assert clean_lines(text, "en").counts == {rule: 1}
        off = {"upper_case": ("upper_case_share", 1), "fewest_words": (rule, 0), "longest_word": (rule, 5000)}
        name, value = off.get(rule, (rule, False))
        assert clean_lines(text, "en", line_limits({name: value})).text == text


def test_citation_marks_leave_their_sentence() -> None:
    found = clean_lines("The bridge[12] was built in 1873.[citation needed] It[a] stands.", "en")
    assert found.text == "The bridge was built in 1873. It[a] stands."
    assert found.counts == {"citation_marks": 2}


def test_a_short_line_that_ends_a_sentence_and_a_heading_stay() -> None:
    text = "# Bridges\n\nWhy not?\n\n“No.”\n"
    assert clean_lines(text, "en").text == text


def test_a_text_that_is_mostly_furniture_is_said_to_be() -> None:
    page = "\n".join([SENTENCES["en"], "You must enable JavaScript to see any of this page."])
    assert clean_lines(page, "en").mostly_page
    assert not clean_lines(f"{SENTENCES['en']}\n" * 20 + "Sign in", "en").mostly_page


def test_an_unknown_limit_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'counters'"):
        line_limits({"counter": False})


@given(st.text(max_size=200), st.sampled_from([*LANGUAGES, "", "tlh"]))
def test_what_is_clean_stays_clean_and_no_line_is_invented(text: str, language: str) -> None:
    found = clean_lines(text, language)
    if not found.counts:
        assert found.text == text
    marks = re.compile(r"\[[^\]]*\]")
    before = {marks.sub("", line) for line in text.splitlines()}
    assert all(marks.sub("", line) in before for line in found.text.splitlines())


def test_the_lists_serve_every_language_and_match_in_small_letters() -> None:
    lists = _lists()
    for kind in ("policies", "counters", "buttons"):
        assert set(lists[kind]) == set(LANGUAGES)
        assert json.dumps(lists[kind], ensure_ascii=False).replace("kKmM", "").islower() or kind == "counters"
    for language in LANGUAGES:
        assert _counter(language).groups >= 0
