"""Text that every Python machine holds: standard library sources, their docstrings, and the language reference.

Input: the running interpreter's files. Output: code documents and English reference documents (licence: PSF-2.0).
"""

from __future__ import annotations

import ast
import inspect
import os
import platform
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from smolforge.corpus.config import CorpusConfig, SourceSpec
from smolforge.corpus.document import Document
from smolforge.corpus.ingest.report import Ledger, SourceRecord
from smolforge.corpus.text.words import split_text
from smolforge.store import digest_bytes

_LICENCE = "PSF-2.0"
_SKIPPED_FOLDERS = "site-packages dist-packages test tests idlelib __pycache__ lib2to3 ensurepip turtledemo msilib"
_SKIPPED = frozenset(_SKIPPED_FOLDERS.split())


def open_python(spec: SourceSpec, ledger: Ledger) -> SourceRecord:
    """Start the record of a source that the interpreter brings."""
    name = spec.kind.replace("_", "-")
    return ledger.open(spec.name or name, platform.python_version(), spec.licence or _LICENCE)


def read_stdlib(spec: SourceSpec, config: CorpusConfig, record: SourceRecord) -> Iterator[Document]:
    """Yield the standard library: by a hash of its path a module gives its code or its docstrings, never both,
    so that no text is both a code and an English document."""
    root = Path(sysconfig.get_path("stdlib"))
    names = list(_modules(root))
    names.sort(key=lambda name: digest_bytes(name.encode()))
    total = 0
    for name in names:
        if spec.max_bytes is not None and total >= spec.max_bytes:
            record.leave_out("modules over max_bytes")
            continue
        try:
            source = (root / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError) as error:
            record.problem(name, "byte 0", f"not readable as UTF-8 ({error})")
            continue
        docs_only = int(digest_bytes(f"docstrings\0{name}".encode())[:8], 16) < spec.docstring_share * 2**32
        for document in _module_documents(name, source, docs_only, record, spec, config):
            total += document.bytes
            yield document


def _modules(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIPPED]
        for file in files:
            if file.endswith(".py") and not (Path(folder) / file).is_symlink():
                yield (Path(folder) / file).relative_to(root).as_posix()


def _module_documents(
    name: str, source: str, docs_only: bool, record: SourceRecord, spec: SourceSpec, config: CorpusConfig
) -> Iterator[Document]:
    text = docstrings(source, name, record) if docs_only else source
    language, profile = ("en", "reference") if docs_only else ("code", spec.profile)
    for index, piece in enumerate(split_text(text, config.max_document_characters)):
        yield Document.make(
            piece,
            url=f"python:{name}" + (f"#{index}" if index else ""),
            source=record.name,
            licence=spec.licence or _LICENCE,
            language=language,
            meta={"profile": profile},
        )


def docstrings(source: str, name: str, record: SourceRecord) -> str:
    """Return a module's docstrings (module, classes, functions) in source order, as paragraphs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        record.problem(name, f"line {getattr(error, 'lineno', 1)}", f"not Python source ({error})")
        return ""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = sorted(
        (node for node in ast.walk(tree) if isinstance(node, documented)), key=lambda node: getattr(node, "lineno", 0)
    )
    found = [ast.get_docstring(node) for node in nodes]
    return "\n\n".join(inspect.cleandoc(text) for text in found if text)


def read_topics(spec: SourceSpec, config: CorpusConfig, record: SourceRecord) -> Iterator[Document]:
    """Yield the topics of the interactive help: the language reference as plain text."""
    from pydoc_data.topics import topics

    for topic in sorted(topics):
        for index, piece in enumerate(split_text(topics[topic].strip(), config.max_document_characters)):
            yield Document.make(
                piece,
                url=f"pydoc:{topic}" + (f"#{index}" if index else ""),
                source=record.name,
                licence=spec.licence or _LICENCE,
                language="en",
                meta={"profile": spec.profile},
            )
