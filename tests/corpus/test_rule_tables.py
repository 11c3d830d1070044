"""Rules over columns: the verdicts of single documents, limits by suffix, formula-rich text, whole tables."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smolforge.corpus.config import LANGUAGES
from smolforge.corpus.rules import limits as rules
from smolforge.corpus.rules.code import suffix_of
from smolforge.corpus.rules.mathematics import mathematical
from smolforge.corpus.text import language_model
from smolforge.corpus.text.features import FEATURES, features_of
from smolforge.corpus.text.language import detect_all
from smolforge.errors import ConfigError
from tests.corpus.test_corpus_rules import NEIGHBOURS, SENTENCES

FORMULAS = (
    "Let $f \\colon X \\to Y$ be a morphism of schemes, and let \\(\\mathcal{F}\\) be a sheaf on $X$. Then we have "
    "\\begin{equation} H^i(X, \\mathcal{F}) = \\bigoplus_{j} H^{i-j}(Y, R^j f_* \\mathcal{F}) \\end{equation} "
    "with $i \\leq n$ and $j \\geq 0$, where $R^j f_*$ is to be the derived functor of $f_*$ as it is in the text. "
)
MODULES = ("json/decoder.py", "this.py", "keyword.py", "textwrap.py", "token.py", "heapq.py")


def test_columns_are_judged_as_single_documents_are() -> None:
    texts = [text * n for text in SENTENCES.values() for n in (1, 3, 40)] + ["", "#" * 300, "a b " * 99, "X Y Z\n" * 60]
    for profile in ("prose", "notes", "reference", "math", "code"):
        for code in LANGUAGES:
            limits = rules.load_profile(profile).limits(code)
            columns = features_of(texts, [code] * len(texts))
            for row, found in enumerate(zip(*rules.judge_columns(columns, limits), strict=True)):
                verdict = rules.judge({name: float(columns[name][row]) for name in FEATURES}, limits)
                assert found == ((verdict.reason, verdict.detail) if verdict else ("", ""))


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20), st.sampled_from([0.1, 0.3, 1 / 3]))
def test_a_value_on_the_limit_passes(values: list[float], limit: float) -> None:
    columns = {"words": np.array([*values, limit], np.float32)}
    reasons, _ = rules.judge_columns(columns, {"words": (limit, limit)})
    assert reasons[-1] == ""
    for value, reason in zip(values, reasons, strict=False):
        assert rules.judge({"words": value}, {"words": (limit, limit)}) is None or reason
        assert (reason == "") == (np.float32(value) == np.float32(limit))


def test_a_table_is_judged_by_profile_language_and_suffix() -> None:
    values = "\n".join(f'"key{i}": "value of {i}",' for i in range(600))
    minified = "var a=1,b=2;function f(x){return x+a*b}" * 20
    minified = "\n".join(
        [minified[:90]] + [f"var a{i}=b{i},c{i}=d{i}.e{i};f{i}(a{i},c{i});{'g.h(i,j);' * 6}" for i in range(30)]
    )
    texts = [values, values, values, minified, minified, SENTENCES["de"]]
    urls = ["/x/a.json", "https://example.org/a.txt?x=1", "a.py", "lib/min.JS", "min.py", "a.de"]
    profiles = ["code"] * 5 + ["notes"]
    labels = ["code"] * 5 + ["de"]
    columns = features_of(texts, labels)
    reasons, details = rules.judge_table(columns, profiles, labels, urls)
    assert reasons == ["lines too high", "lines too high", "", "white_space too low", "", ""]
    assert details[0] == "600 > 512"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# One line\nvalue = compute(other)\n", "words too low"),
        ("# Auto-generated\n" + "\n".join(f"value_{i} = compute({i})" for i in range(40)), "generated_marks too high"),
        ("\n".join(f"data_{i} = '{'aB3+/x9Z' * 10}'" for i in range(30)), "encoded_data too high"),
        ("blob = [\n" + "".join(f"    0x{i:04x}, 0x2e,\n" for i in range(120)) + "]\n", "encoded_data too high"),
        ("\n".join(f"{i}, {i * 7}, {i * 13}, -{i}" for i in range(200)), "alphabetic"),
        ("x = 1\n" * 20 + f"y = '{'ab ' * 600}'\n", "longest_line too high"),
    ],
)
def test_code_that_teaches_nothing_is_dropped(text: str, reason: str) -> None:
    columns = features_of([text], ["code"])
    reasons, _ = rules.judge_table(columns, ["code"], ["code"], ["file.py"])
    assert reasons[0].startswith(reason)


def test_the_standard_library_is_code_but_for_what_says_that_it_is_generated() -> None:
    folder = Path(sysconfig.get_paths()["stdlib"])
    texts = [(folder / name).read_text(encoding="utf-8") for name in MODULES]
    labels = ["code"] * len(texts)
    reasons, _ = rules.judge_table(features_of(texts, labels), labels, labels, list(MODULES))
    dropped = {name: reason for name, reason in zip(MODULES, reasons, strict=True) if reason}
    assert set(dropped) <= {"keyword.py", "token.py"} and set(dropped.values()) <= {"generated_marks too high"}
    assert "token.py" in dropped


def test_suffixes_are_read_from_any_address() -> None:
    assert suffix_of("https://example.org/x/Data.JSON?raw=1#top") == ".json"
    assert suffix_of("a/b.tar.gz") == ".gz"
    assert suffix_of("Makefile") == suffix_of("") == suffix_of("http://[broken") == ""


def test_formulas_are_recognised_and_prose_is_not() -> None:
    signs = rules.load_profile("math").signs
    mathml = "<math><mrow><mi>x</mi><mo>+</mo><mn>1</mn></mrow></math> is what it is to be in the end of it. " * 5
    unicode = "∀ε>0 ∃δ>0 so that |x−a|<δ implies |f(x)−f(a)|<ε, and ∑αᵢ ≤ β² holds as well for it. " * 5
    formulas = [FORMULAS * 3, mathml, unicode]
    prose = [*(text * 3 for text in SENTENCES.values()), "It costs $5 or $10, C:\\Users\\name and 3 + 4 = 7. " * 9]
    texts = formulas + prose
    found = mathematical(features_of(texts, ["en"] * len(texts)), signs)
    assert found.tolist() == [True] * len(formulas) + [False] * len(prose)


def test_formula_rich_text_is_judged_by_its_own_profile_unless_the_source_names_another() -> None:
    columns = features_of([FORMULAS * 2] * 3, ["en"] * 3)
    assert rules.profiles_of(columns, ["prose", "notes", "code"], ["en"] * 3) == ["math", "notes", "code"]
    one = features_of([FORMULAS], ["en"])
    assert rules.judge_table(one, ["prose"], ["en"], [""]) == ([""], [""])


def test_a_profile_with_unknown_keys_or_signs_is_refused(tmp_path: Path) -> None:
    for name, text, said in (
        ("one", '{"defaults": {}}', "did you mean 'default'"),
        ("two", '{"suffixes": {".js": {"line": [1, 2]}}}', "did you mean 'lines'"),
        ("three", '{"signs": [{"latex_command": 1}]}', "did you mean 'latex_commands'"),
        ("four", '{"languages": []}', "expected an object"),
        ("five", "[]", "expected an object"),
    ):
        (tmp_path / f"{name}.json").write_text(text)
        with pytest.raises(ConfigError, match=said):
            rules.load_profile(name, str(tmp_path))


def test_languages_are_those_of_the_published_model() -> None:
    langid = pytest.importorskip("py3langid.langid")
    texts = [*SENTENCES.values(), *NEIGHBOURS.values(), "", "12 34", "SHOUTED WORDS IN ENGLISH", "e\u0301te\u0301 " * 9]
    texts += [text * 30 for text in SENTENCES.values()]
    found = detect_all(texts, [""] * len(texts), LANGUAGES, 10_000)
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    identifier.set_languages([*LANGUAGES, *(code for code in language_model.NEIGHBOURS if code in identifier.labels)])
    for text, label, confidence in zip(texts, found.labels, found.confidence, strict=True):
        expected, probability = identifier.classify(text)
        assert label == expected and confidence == pytest.approx(probability, abs=1e-4)


def test_a_long_text_is_read_at_its_beginning_and_in_its_middle() -> None:
    mixed = SENTENCES["en"] * 10 + SENTENCES["ru"] * 200
    found = detect_all([mixed, SENTENCES["ru"] * 200], ["", ""], LANGUAGES, 1000)
    assert found.labels[1] == "ru" and found.script_share[1] == 1.0
    assert found.script_share[0] < 0.6  # whatever the label: half of what is read is in the other script
    assert detect_all(["x = 1", "", mixed], ["code", "", "math"], LANGUAGES).labels[::2] == ["code", "math"]
    assert detect_all([], [], LANGUAGES).labels == []
