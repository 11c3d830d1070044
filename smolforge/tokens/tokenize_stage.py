"""The ``tokenize`` stage: documents and conversations become token shards.

Input: the artifacts ``corpus``, ``synthesize`` and ``tokenizer``. Output: a shard folder per language, per set, per
held-out language, and ``preferences/chosen`` and ``preferences/rejected``, which the reader mixes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from smolforge.errors import DataError
from smolforge.store import StageContext, StageOutcome, digest_file
from smolforge.tokens.config import TokenizeConfig
from smolforge.tokens.inputs import corpus_texts, input_folder, read_jsonl
from smolforge.tokens.shards import ShardHeader, ShardWriter
from smolforge.tokens.special import END_OF_TEXT
from smolforge.tokens.template import ChatCodec

BATCH = 2048  # documents or conversations encoded at a time


class Tokenizing:
    """One run of the stage: the codec, the folder, and what was counted."""

    def __init__(self, config: TokenizeConfig, folder: Path, tokenizer: Path) -> None:
        self.config, self.folder = config, folder
        self.codec = ChatCodec.open(tokenizer)
        self.digest = digest_file(tokenizer)
        self.headers: dict[str, ShardHeader] = {}
        self.cut: dict[str, int] = {}
        self.dropped: dict[str, int] = {}

    def _writer(self, name: str) -> ShardWriter:
        return ShardWriter(self.folder / name, vocab_size=self.codec.vocab_size, tokenizer=self.digest, name=name)

    def documents(self, name: str, texts: Iterable[str]) -> None:
        """Write a shard of plain text; each document ends with the end-of-text token."""
        end, limit = self.codec.special[END_OF_TEXT], self.config.max_document_tokens
        writer = self._writer(name)
        with writer:
            for batch in _batches(texts):
                for text, ids in zip(batch, self.codec.encode_text(batch), strict=True):
                    if limit and len(ids) >= limit:
                        ids, self.cut[name] = ids[: limit - 1], self.cut.get(name, 0) + 1
                    writer.add([*ids, end], text_bytes=len(text.encode()))
        self.headers[name] = writer.header

    def conversations(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        """Write a shard of chats with their targets; those longer than the limit are left out."""
        limit = self.config.max_conversation_tokens
        writer = self._writer(name)
        with writer:
            for batch in _batches(rows):
                for encoded in self.codec.encode_many(batch):
                    if limit and len(encoded.ids) > limit:
                        self.dropped[name] = self.dropped.get(name, 0) + 1
                        continue
                    writer.add(encoded.ids, encoded.mask, text_bytes=int(self.codec.token_bytes[encoded.ids].sum()))
        self.headers[name] = writer.header

    def preferences(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write chosen and rejected answers as two aligned shards; a pair is left out when either is too long.

        Both follow the same prompt, also where one of them thinks although the mode says not to.
        """
        limit = self.config.max_conversation_tokens
        sides = [self.codec.answers([row[side] for row in rows]) for side in ("chosen", "rejected")]
        line_end = self.codec.encode_text(["\n"])[0]
        names = ("preferences/chosen", "preferences/rejected")
        with self._writer(names[0]) as chosen, self._writer(names[1]) as rejected:
            for row, *pair in zip(rows, *sides, strict=True):
                prompt = self.codec.prompt(row["prompt"], row.get("mode", "think"), row.get("tools"))
                if limit and len(prompt) + max(map(len, pair)) >= limit:
                    self.dropped["preferences"] = self.dropped.get("preferences", 0) + 1
                    continue
                for writer, answer in zip((chosen, rejected), pair, strict=True):
                    mask = [0] * len(prompt) + [1] * len(answer) + [0] * len(line_end)
                    ids = [*prompt, *answer, *line_end]
                    writer.add(ids, mask, text_bytes=int(self.codec.token_bytes[ids].sum()))
        for name, writer in zip(names, (chosen, rejected), strict=True):
            self.headers[name] = writer.header


def run(config: TokenizeConfig, context: StageContext) -> StageOutcome:
    """Write every shard; the same inputs give the same bytes. DataError names the file and row of bad input."""
    corpus, synthesized = input_folder(context, "corpus"), input_folder(context, "synthesize")
    for leftover in context.work.iterdir():
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    stage = Tokenizing(config, context.work, input_folder(context, "tokenizer") / "tokenizer.json")
    jobs: list[tuple[str, Any]] = []
    for folder, prefix in (("kept", ""), *((("held_out", "held_out-"),) if config.held_out else ())):
        languages = config.languages if folder == "kept" else None
        for language, texts in corpus_texts(corpus / folder, languages).items():
            if folder == "kept" or config.languages is None or language in config.languages:
                jobs.append((f"{prefix}{language}" if prefix else text_shard(language), texts))
    context.progress.start(len(jobs) + len(config.sets) + len(config.document_sets) + config.preferences, "shards")
    for name, texts in jobs:
        stage.documents(name, texts)
        context.progress.update(len(stage.headers), shard=name)
    for name in config.sets:
        stage.conversations(name, read_jsonl(synthesized / f"{name}.jsonl"))
        context.progress.update(len(stage.headers), shard=name)
    for name in config.document_sets:
        stage.documents(name, (_text(row, name) for row in read_jsonl(synthesized / f"{name}.jsonl")))
        context.progress.update(len(stage.headers), shard=name)
    if config.preferences:
        stage.preferences(list(read_jsonl(synthesized / "preferences.jsonl")))
    return _outcome(stage)


def text_shard(language: str) -> str:
    """Name of the shard of a corpus language: ``text-fr``, but ``code`` and ``math`` as they are."""
    return f"text-{language}" if len(language) == 2 else language


def _text(row: dict[str, Any], name: str) -> str:
    if not isinstance(row.get("text"), str):
        raise DataError(f"{name}.jsonl: row {row.get('id', row.get('doc_id', '?'))} has no text")
    return str(row["text"])


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _outcome(stage: Tokenizing) -> StageOutcome:
    shards = {
        name: {
            "documents": header.documents, "tokens": header.tokens, "supervised_tokens": header.supervised_tokens,
            "bytes": header.bytes,
        }
        for name, header in stage.headers.items()
    }  # fmt: skip
    counts = {"shards": shards, "cut_documents": stage.cut, "dropped_conversations": stage.dropped}
    return StageOutcome(counts=counts, metrics={f"tokens/{name}": float(h.tokens) for name, h in stage.headers.items()})
