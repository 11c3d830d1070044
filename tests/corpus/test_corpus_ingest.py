"""Reading a person's files, wheels and catalogues, hostile ones included."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smolforge.corpus.config import CorpusConfig, SourceSpec
from smolforge.corpus.document import Document
from smolforge.corpus.ingest import Ingestion, jsonl
from smolforge.corpus.ingest.catalogue import parse_mo, parse_po
from smolforge.corpus.ingest.report import SourceRecord
from smolforge.errors import DataError


def read(path: Path, **spec: object) -> tuple[list[Document], SourceRecord]:
    config = CorpusConfig(sources=(SourceSpec.model_validate({"kind": "folder", "path": str(path), **spec}),))
    ingestion = Ingestion(config)
    documents = list(ingestion.documents())
    return documents, next(iter(ingestion.ledger.records.values()))


def test_a_folder_of_every_kind_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("plain text")
    (tmp_path / "b.md").write_text("# heading\n\nbody")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.html").write_text("<html><title>t</title><p>one &amp; two<script>var x</script></p></html>")
    rows = [{"text": "first", "url": "https://a.example/1"}, {"content": "second"}]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with gzip.open(tmp_path / "e.jsonl.gz", "wt") as stream:
        stream.write(json.dumps({"text": "packed"}) + "\n")
    pq.write_table(pa.table({"text": ["row one", None, "row three"]}), tmp_path / "f.parquet")
    (tmp_path / "g.pdf").write_bytes(b"%PDF")
    documents, record = read(tmp_path)
    texts = {document.url: document.text for document in documents}
    assert texts["file:a.txt"] == "plain text"
    assert "one & two" in texts["file:sub/c.html"]
    assert "var x" not in texts["file:sub/c.html"]
    assert texts["https://a.example/1"] == "first"
    assert texts[f"file:d.jsonl#byte{len(json.dumps(rows[0])) + 1}"] == "second"
    assert texts["file:e.jsonl.gz#line1"] == "packed"
    assert texts["file:f.parquet#group0row2"] == "row three"
    assert record.left_out == {"files of another kind": 1}
    assert record.documents == len(documents) == 8
    assert len({document.doc_id for document in documents}) == 8


def test_a_torn_jsonl_line_is_reported_with_its_number_and_the_rest_is_kept(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "one"}\n{"text": "tw\n[1]\n\n{"text": 5}\n{"text": "six"}\n')
    documents, record = read(tmp_path)
    assert [document.text for document in documents] == ["one", "six"]
    assert [problem.position for problem in record.problems] == ["byte16", "byte29", "byte34"]
    assert [problem.message.split(":")[0] for problem in record.problems] == ["not JSON", "no text", "no text"]
    assert record.problems[0].path == "x.jsonl"


def test_a_gigantic_line_is_skipped_without_being_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "MAX_ROW_BYTES", 1000)
    long = json.dumps({"text": "x" * 5000})
    (tmp_path / "x.jsonl").write_text(f'{{"text": "before"}}\n{long}\n{{"text": "after"}}\n')
    documents, record = read(tmp_path)
    assert [document.text for document in documents] == ["before", "after"]
    assert record.problems[0].position == "byte19"


def test_a_torn_gzip_keeps_the_lines_before_the_tear(tmp_path: Path) -> None:
    lines = b"".join(json.dumps({"text": os.urandom(40).hex()}).encode() + b"\n" for _ in range(400))
    packed = gzip.compress(lines)
    (tmp_path / "x.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    documents, record = read(tmp_path)
    assert 10 < len(documents) < 400
    assert "torn file" in record.problems[-1].message


def test_torn_and_mislabelled_parquet_are_reported(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"text": ["kept"]}), whole)
    (tmp_path / "torn.parquet").write_bytes(whole.read_bytes()[:-20])
    (tmp_path / "text.parquet").write_text("not parquet at all")
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "other.parquet")
    documents, record = read(tmp_path)
    assert [document.text for document in documents] == ["kept"]
    assert {problem.path for problem in record.problems} == {"torn.parquet", "text.parquet", "other.parquet"}


def test_binary_files_named_txt_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "image.txt").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "ok.txt").write_text("fine")
    documents, record = read(tmp_path)
    assert [document.url for document in documents] == ["file:ok.txt"]
    assert "not text: byte 0" in record.problems[0].message


def test_a_few_invalid_bytes_are_left_out_and_located(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xc3\xa9 " * 50 + b"\xff" + b" end" * 50)
    (tmp_path / "b.txt").write_bytes("utf sixteen ".encode("utf-16"))
    (tmp_path / "c.txt").write_bytes(b"\xef\xbb\xbfbom\r\nline")
    documents, record = read(tmp_path)
    texts = {document.url: document.text for document in documents}
    assert "\ufffd" not in texts["file:a.txt"]
    assert texts["file:a.txt"].startswith("café")
    assert texts["file:b.txt"] == "utf sixteen "
    assert texts["file:c.txt"] == "bom\nline"
    assert [(p.path, p.position) for p in record.problems] == [("a.txt", "byte 300")]


def test_symbolic_links_are_reported_and_loops_do_not_trap_the_walk(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.txt")
    documents, record = read(tmp_path)
    assert [document.url for document in documents] == ["file:a.txt"]
    assert sorted(problem.path for problem in record.problems) == ["gone.txt", "loop", "pipe.txt"]


def test_lone_surrogates_and_deep_nesting_do_not_break_a_jsonl_file(tmp_path: Path) -> None:
    lines = ['{"text": "a\\ud800b"}', '{"text": ' + "[" * 200_000, '{"text": "end"}']
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    documents, record = read(tmp_path)
    assert [document.text for document in documents] == ["ab", "end"]
    assert [problem.position for problem in record.problems] == ["byte21"]


def test_long_texts_are_split_without_losing_a_word(tmp_path: Path) -> None:
    text = "\n\n".join(f"paragraph {i} " + "word " * 50 for i in range(60))
    (tmp_path / "book.txt").write_text(text)
    spec = SourceSpec.model_validate({"kind": "folder", "path": str(tmp_path)})
    documents = list(Ingestion(CorpusConfig(sources=(spec,), max_document_characters=2000)).documents())
    assert len(documents) > 5
    assert all(len(document.text) <= 2000 for document in documents)
    assert " ".join(d.text for d in documents).split() == text.split()


def test_a_single_file_and_two_folders_of_one_name_are_sources(tmp_path: Path) -> None:
    for parent in ("x", "y"):
        (tmp_path / parent / "notes").mkdir(parents=True)
        (tmp_path / parent / "notes" / "a.txt").write_text(f"text of {parent}")
    sources = [str(tmp_path / "x" / "notes"), str(tmp_path / "y" / "notes"), str(tmp_path / "x" / "notes" / "a.txt")]
    ingestion = Ingestion(CorpusConfig.model_validate({"sources": sources}))
    documents = list(ingestion.documents())
    assert [document.source for document in documents] == ["notes", "notes-2", "a"]
    assert len({document.doc_id for document in documents}) == 3


def test_a_folder_without_readable_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"x")
    with pytest.raises(DataError, match="has none of"):
        read(tmp_path)


PO = """msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\n"

#: a.py:3
msgctxt "menu"
msgid "Open \\"file\\""
msgstr "Datei "
"öffnen"

#, fuzzy
msgid "Guess"
msgstr "Raten"
msgid "%d item"
msgid_plural "%d items"
msgstr[0] "%d Ding"
msgstr[1] "%d Dinge"

#~ msgid "old"
#~ msgstr "alt"
msgid "untranslated"
msgstr ""
"""


def test_po_reads_contexts_plurals_and_leaves_fuzzy_and_obsolete_out() -> None:
    messages = {m.source: m for m in parse_po(PO.encode())}
    assert set(messages) == {'Open "file"', "%d item", "untranslated"}
    assert messages['Open "file"'].key == ("menu", 'Open "file"')
    assert messages['Open "file"'].translations == ("Datei öffnen",)
    assert messages["%d item"].translations == ("%d Ding", "%d Dinge")
    assert messages["untranslated"].translations == ()


def test_a_malformed_po_names_the_line() -> None:
    with pytest.raises(DataError, match="line 2"):
        parse_po(b'msgid "a"\nmsgstr unquoted\n', "x.po")


def test_mo_and_po_of_a_real_catalogue_agree() -> None:
    import django

    folder_ = Path(django.__file__).parent / "conf" / "locale" / "fr" / "LC_MESSAGES"
    po = {m.key: m.translations for m in parse_po((folder_ / "django.po").read_bytes()) if m.translations}
    mo = {m.key: m.translations for m in parse_mo((folder_ / "django.mo").read_bytes())}
    assert len(mo) > 200
    assert mo == po


@pytest.mark.parametrize("cut", [0, 10, 27, 40, 200, 3000])
def test_a_torn_mo_is_a_data_error(cut: int) -> None:
    import django

    path = Path(django.__file__).parent / "conf" / "locale" / "fr" / "LC_MESSAGES" / "django.mo"
    with pytest.raises(DataError, match="byte"):
        parse_mo(path.read_bytes()[:cut], "x.mo")


def wheel(folder_: Path, files: dict[str, bytes]) -> None:
    metadata = b"Metadata-Version: 2.1\nName: Some-App\nVersion: 1.2\nLicense-Expression: MIT\n"
    with zipfile.ZipFile(folder_ / "some_app-1.2-py3-none-any.whl", "w") as archive:
        for name, data in (files | {"some_app-1.2.dist-info/METADATA": metadata}).items():
            archive.writestr(name, data)


def po_of(translate: str) -> bytes:
    head = 'msgid ""\nmsgstr "charset=UTF-8"\n\n'
    body = "".join(f'msgid "Sentence number {i} is here."\nmsgstr "{translate} {i}."\n\n' for i in range(30))
    return (head + body).encode()


def test_catalogues_are_read_from_a_wheel_and_the_fuller_locale_wins(tmp_path: Path) -> None:
    few = 'msgid ""\nmsgstr ""\n\nmsgid "Sentence number 1 is here."\nmsgstr "Uma frase só aqui."\n'.encode()
    wheel(
        tmp_path,
        {
            "app/locale/pt_BR/LC_MESSAGES/app.po": few,
            "app/locale/pt_PT/LC_MESSAGES/app.po": po_of("Aqui está a frase"),
            "app/locale/fr/LC_MESSAGES/app.po": po_of("Voici la phrase"),
            "app/locale/it/LC_MESSAGES/app.po": b'msgid "broken\n',
            "app/locale/zh_TW/LC_MESSAGES/app.po": po_of("traditional"),
        },
    )
    spec = SourceSpec(kind="gettext", packages=("some.app",), wheels=str(tmp_path))
    ingestion = Ingestion(CorpusConfig(sources=(spec,)))
    texts: dict[str, str] = {}
    for document in ingestion.documents():
        texts[document.language] = texts.get(document.language, "") + document.text
    assert set(texts) == {"en", "fr", "pt"}
    assert "Aqui está a frase 7." in texts["pt"]
    assert texts["en"].count("Sentence") == 30
    record = ingestion.ledger.records["some.app"]
    assert (record.version, record.licence) == ("1.2", "MIT")
    assert record.problems[0].path == "app/locale/it/LC_MESSAGES/app.po"


def test_a_torn_wheel_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "some_app-1.2-py3-none-any.whl").write_bytes(b"PK\x03\x04 torn")
    spec = SourceSpec(kind="gettext", packages=("some-app",), wheels=str(tmp_path))
    with pytest.raises(DataError, match="not a readable wheel"):
        list(Ingestion(CorpusConfig(sources=(spec,))).documents())
