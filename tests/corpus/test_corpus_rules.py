"""Words, features, rule profiles and the language step."""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path

import pytest

from smolforge.corpus.config import LANGUAGES, LanguageConfig
from smolforge.corpus.dedup.exact import fingerprint
from smolforge.corpus.rules import limits as rules
from smolforge.corpus.text import language
from smolforge.corpus.text.features import FEATURES, features
from smolforge.corpus.text.words import split_text, words
from smolforge.errors import ConfigError

SENTENCES = {
    "en": "The committee has decided that the old bridge will be closed for repairs until the end of the summer.",
    "fr": "La commission a décidé que le vieux pont serait fermé pour des travaux jusqu'à la fin de l'été prochain.",
    "es": "La comisión ha decidido que el puente viejo permanecerá cerrado por obras hasta el final del verano.",
    "de": "Der Ausschuss hat beschlossen, dass die alte Brücke bis zum Ende des Sommers für Arbeiten gesperrt wird.",
    "it": "La commissione ha deciso che il vecchio ponte resterà chiuso per lavori fino alla fine dell'estate.",
    "pt": "A comissão decidiu que a ponte velha ficará fechada para obras até ao final do verão deste ano.",
    "ar": "قررت اللجنة أن الجسر القديم سيبقى مغلقا من أجل أعمال الصيانة حتى نهاية فصل الصيف من هذا العام.",
    "zh": "委员会已经决定，这座旧桥将因维修工程而关闭，直到今年夏天结束为止，请大家绕行其他道路。",
    "ru": "Комиссия решила, что старый мост будет закрыт на ремонт до конца лета, и движение пойдёт в обход.",
}
NEIGHBOURS = {
    "nl": "De commissie heeft besloten dat de oude brug tot het einde van de zomer voor herstel gesloten blijft.",
    "uk": "Комісія вирішила, що старий міст буде закрито на ремонт до кінця літа, і рух піде в об'їзд.",
    "fa": "کمیسیون تصمیم گرفت که پل قدیمی تا پایان تابستان برای تعمیرات بسته بماند و رانندگان از راه دیگر بروند.",
    "ca": "La comissió ha decidit que el pont vell romandrà tancat per obres fins al final de l'estiu vinent.",
    "ja": "委員会は、古い橋を修理のために夏の終わりまで閉鎖することを決めました。ほかの道を通ってください。",
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_each_language_is_recognised_and_passes(code: str) -> None:
    detection = language.detect(SENTENCES[code], "", LANGUAGES)
    assert detection.label == code
    assert detection.script_share > 0.9
    assert language.judge(detection, code, LANGUAGES, LanguageConfig()) is None


@pytest.mark.parametrize("code", NEIGHBOURS)
def test_a_neighbouring_language_is_not_taken_for_a_wanted_one(code: str) -> None:
    detection = language.detect(NEIGHBOURS[code], "", LANGUAGES)
    verdict = language.judge(detection, "", LANGUAGES, LanguageConfig())
    assert verdict is not None
    assert verdict.step == "language"


def test_a_document_in_another_language_than_declared_is_dropped_with_both_named() -> None:
    detection = language.detect(SENTENCES["de"], "fr", LANGUAGES)
    verdict = language.judge(detection, "fr", LANGUAGES, LanguageConfig())
    assert verdict is not None
    assert verdict.reason == "not the declared language"
    assert "declared fr" in verdict.detail
    assert "de" in verdict.detail


def test_transliterated_text_fails_the_script_check() -> None:
    detection = language.Detection("ru", 0.99, language.script_share("Komissija reshila zakryt most", "ru"))
    verdict = language.judge(detection, "ru", LANGUAGES, LanguageConfig())
    assert verdict is not None
    assert verdict.reason == "script of another language"


def test_chinese_with_many_latin_names_is_chinese_and_latin_with_a_few_characters_is_not() -> None:
    page = "ICorDebugThread::GetActiveChain 方法获取一个接口指针，指向此 ICorDebugThread 对象上的活动堆栈链。"
    config = LanguageConfig()
    assert language.script_share(page, "zh") > config.script_share
    latin = "The commission decided to close the old bridge over the river until spring. 桥"
    assert language.script_share(latin, "zh") < config.script_share


def test_code_is_taken_at_its_word() -> None:
    assert language.detect("x = 1", "code", LANGUAGES).label == "code"


def test_an_unknown_language_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'xq'"):
        language.detect("some text", "", ("en", "xq"))


def test_words_follow_each_language() -> None:
    assert words("L'été n'est pas fini, aujourd'hui.", "fr") == ["L'", "été", "n'", "est", "pas", "fini", "aujourd'hui"]
    assert words("dell’acqua e l'uomo", "it") == ["dell’", "acqua", "e", "l'", "uomo"]
    assert words("state-of-the-art don't", "en") == ["state-of-the-art", "don't"]
    assert words("用Python写程序", "zh") == ["用", "Python", "写", "程", "序"]
    assert words("كِتَابٌ جديد", "ar") == ["كتاب", "جديد"]


def test_every_feature_is_there_and_finite_for_odd_texts() -> None:
    for text in ("", " \n\n ", "x", "。", "a b", "\0\0", "word " * 3000, "#" * 50):
        values = features(text, "en")
        assert tuple(values) == FEATURES
        assert all(value == value and value >= 0 for value in values.values())


def test_repetition_features_see_repetition() -> None:
    clean = features(" ".join(f"word{i}" for i in range(200)), "en")
    assert clean["top_2_gram"] == clean["duplicate_5_grams"] == clean["duplicate_10_grams"] == 0
    half = " ".join(f"word{i:03d}" for i in range(100))
    doubled = features(half + " " + half, "en")
    assert doubled["duplicate_5_grams"] == pytest.approx(0.5)
    assert doubled["duplicate_10_grams"] == pytest.approx(0.5)
    assert features("spam ham " * 100, "en")["top_2_gram"] == pytest.approx(1.0)
    assert features("one line\n" * 4 + "other", "en")["duplicate_lines"] == pytest.approx(3 / 5)


def test_shipped_profiles_name_known_features_and_say_what_they_are_for() -> None:
    folder = importlib.resources.files("smolforge.corpus") / "rules"
    names = [entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")]
    assert {"prose", "notes", "catalogue", "reference", "code"} <= set(names)
    for name in names:
        profile = rules.load_profile(name)
        assert profile.default
        assert json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["about"]


def test_good_prose_passes_and_each_fault_is_named() -> None:
    limits = rules.load_profile("prose").limits("en")
    good = (
        "The harbour master wrote down every ship that came in that winter, and in the evening he read the list aloud. "
        "Some of the names were new to the town, others had been known there for as long as anybody could remember. "
        "When the ice broke in March the list had grown to forty pages, which his daughter bound in green cloth. "
    )
    assert rules.judge(features(good, "en"), limits) is None
    faults = {
        "words too low": SENTENCES["en"],
        "alphabetic_words too low": "1 2 3 44 555 the of and " * 3 + " ".join(map(str, range(1000, 1060))),
        "stop_words too low": " ".join(f"lorry{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(80)),
    }
    for reason, text in faults.items():
        verdict = rules.judge(features(text, "en"), limits)
        assert verdict is not None
        assert verdict.reason == reason
        assert any(sign in verdict.detail for sign in "<>")


def test_an_own_rules_folder_overrides_and_is_checked(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text('{"default": {"words": [1000, null]}}')
    assert rules.load_profile("notes", str(tmp_path)).limits("fr") == {"words": (1000, None)}
    (tmp_path / "bad.json").write_text('{"default": {"word": [1, 2]}}')
    with pytest.raises(ConfigError, match="did you mean 'words'"):
        rules.load_profile("bad", str(tmp_path))
    (tmp_path / "worse.json").write_text('{"default": {"words": 5}}')
    with pytest.raises(ConfigError, match=r"\[low, high\]"):
        rules.load_profile("worse", str(tmp_path))


def test_white_space_makes_no_other_text() -> None:
    prints = [fingerprint("one  text\n"), fingerprint("one text"), fingerprint("One text")]
    assert prints[0] == prints[1] != prints[2]


def test_splitting_prefers_paragraphs_and_always_ends() -> None:
    assert split_text("first part\n\nsecond one here", 18) == ["first part", "second one here"]
    assert split_text("first line\nsecond one here", 18) == ["first line", "second one here"]
    assert split_text("x" * 2500, 1000) == ["x" * 1000, "x" * 1000, "x" * 500]
