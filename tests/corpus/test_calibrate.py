"""Calibration: what a refitted limit drops, from documents or annotations, and the command around it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from smolforge.cli.main import main
from smolforge.corpus.rules import limits as rules
from smolforge.corpus.rules.calibrate import KEPT, refit
from smolforge.corpus.sample import read_samples
from smolforge.corpus.text.features import FEATURES, features_of
from smolforge.errors import DataError
from tests.corpus.test_corpus_rules import SENTENCES

SIZE = 200


def documents(language: str) -> list[str]:
    """Texts of growing length and line number in one language."""
    words = SENTENCES[language].split()
    return [
        "\n".join(" ".join(words[k % 7 : 3 + (i * k) % 13]) + f" {i} {k}." for k in range(5 + i % 40))
        for i in range(SIZE)
    ]


def tables(folder: Path) -> tuple[Path, Path]:
    """The same documents as a document table and as an annotation table."""
    texts = [text for language in ("en", "de", "fr") for text in documents(language)]
    labels = [language for language in ("en", "de", "fr") for _ in range(SIZE)]
    plain, annotated = folder / "documents" / "part-00000.parquet", folder / "annotations.parquet"
    plain.parent.mkdir()
    pq.write_table(pa.table({"text": texts, "language": labels}), plain, row_group_size=70)
    pq.write_table(pa.table({"label": labels, **features_of(texts, labels), "other": labels}), annotated)
    return plain.parent, annotated


def test_documents_and_annotations_are_the_same_sample(tmp_path: Path) -> None:
    samples = [read_samples([path]) for path in tables(tmp_path)]
    assert list(samples[0]) == list(samples[1]) == ["de", "en", "fr"]
    for language in samples[0]:
        for name in FEATURES:
            np.testing.assert_array_equal(samples[0][language][name], samples[1][language][name])


def test_a_table_without_languages_is_detected(tmp_path: Path) -> None:
    pytest.importorskip("py3langid")
    texts = [SENTENCES["de"] * 2, SENTENCES["ru"] * 2]
    pq.write_table(pa.table({"text": texts}), tmp_path / "x.parquet")
    assert set(read_samples([tmp_path / "x.parquet"])) == {"de", "ru"}


def test_of_a_finished_corpus_the_annotations_are_the_sample(tmp_path: Path) -> None:
    _, annotated = tables(tmp_path)
    corpus = tmp_path / "corpus-1"
    for name in ("annotations", "changes"):
        (corpus / name).mkdir(parents=True)
    annotated.rename(corpus / "annotations" / "part-00000.parquet")
    pq.write_table(pa.table({"row": [0], "changes": ["{}"]}), corpus / "changes" / "part-00000.parquet")
    samples = read_samples([corpus])
    assert {language: len(columns["words"]) for language, columns in samples.items()} == dict.fromkeys(
        ("de", "en", "fr"), SIZE
    )


def test_a_refitted_limit_drops_the_share_that_the_reference_loses(tmp_path: Path) -> None:
    samples = read_samples([tables(tmp_path)[0]])
    profile = rules.load_profile("prose")
    trusted = profile.limits("en")
    found = refit(profile, samples, samples["en"])
    assert {each.language for each in found} == {"de", "fr"}
    assert not {each.feature for each in found} & set(KEPT)
    some = 0
    for each in found:
        low, high = trusted[each.feature]
        values = samples["en"][each.feature]
        lost = float(np.mean(values < np.float32(low)) if each.side == "low" else np.mean(values > np.float32(high)))
        if lost > 0 and len(np.unique(samples[each.language][each.feature])) > SIZE / 4:
            some += 1
            assert each.dropped_after == pytest.approx(lost, abs=0.03), each
    assert some >= 2


def test_a_language_refitted_to_the_reference_itself_keeps_its_share(tmp_path: Path) -> None:
    samples = read_samples([tables(tmp_path)[0]])
    twin = {"en": samples["en"], "nl": samples["en"]}
    profile = rules.load_profile("prose")
    for each in refit(profile, twin, samples["en"]):
        low, high = profile.limits("en")[each.feature]
        limit = low if each.side == "low" else high
        assert limit is not None
        values = samples["en"][each.feature]
        lost = np.mean(values < np.float32(limit)) if each.side == "low" else np.mean(values > np.float32(limit))
        if lost == 0:  # scaled by a ratio of one
            assert each.new == pytest.approx(limit, rel=0.006)
        assert each.dropped_after <= lost + 0.006


def test_a_sample_too_small_is_refused_with_its_size(tmp_path: Path) -> None:
    samples = read_samples([tables(tmp_path)[0]])
    few = {name: column[:7] for name, column in samples["de"].items()}
    with pytest.raises(DataError, match="7 documents in 'de': at least 100"):
        refit(rules.load_profile("prose"), {"de": few}, samples["en"])


def test_the_command_writes_a_profile_that_the_rules_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, annotated = tables(tmp_path)
    folder = tmp_path / "rules"
    assert main(["corpus", "calibrate", str(plain), "--reference", str(annotated), "--output", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split()[:3] == ["language", "feature", "side"] and "corpus.rules" in err
    assert main(["corpus", "calibrate", str(annotated), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    profile = rules.load_profile("prose", str(folder))
    shipped = rules.load_profile("prose")
    assert profile.default == shipped.default and profile.limits("ru") == shipped.limits("ru")
    for row in rows:
        assert profile.limits(row["language"])[row["feature"]][row["side"] == "high"] == row["new"]
    written = json.loads((folder / "prose.json").read_text(encoding="utf-8"))
    assert written["fitted"]["documents"] == {"en": SIZE, "de": SIZE, "fr": SIZE}
    assert written["fitted"]["reference_language"] == "en" and written["about"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["calibrate", "DOCUMENTS", "--reference-language", "it"], "no documents in 'it'"),
        (["calibrate", "DOCUMENTS", "--features", "short_line"], "did you mean 'short_lines'"),
        (["calibrate", "EMPTY"], "no Parquet files"),
        (["calibrate", "TORN"], "not a readable Parquet file"),
        (["calibrate", "NOWHERE"], "not a readable Parquet file"),
        (["calibrate", "OTHER"], "neither a column 'text' nor"),
        (["calibrate", "DOCUMENTS", "--profile", "pros"], "did you mean 'prose'"),
        (["calibrat"], "invalid choice"),
        ([], "arguments are required"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "other.parquet")
    places = {
        "DOCUMENTS": str(tables(tmp_path)[0]),
        "EMPTY": str(tmp_path / "empty"),
        "TORN": str(tmp_path / "torn.parquet"),
        "NOWHERE": str(tmp_path / "nowhere.parquet"),
        "OTHER": str(tmp_path / "other.parquet"),
    }
    assert main(["corpus", *(places.get(word, word) for word in words)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1
