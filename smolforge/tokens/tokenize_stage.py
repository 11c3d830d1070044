"""The ``tokenize`` stage: documents and conversations become token shards.

Input: the artifacts ``corpus`` and ``tokenizer``, and ``synthesize`` where sets are named. Output: a shard folder per
language or source (``shards_by``), per set, per held-out language, and ``preferences/chosen`` and
``preferences/rejected``, which the reader mixes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from smolforge.errors import DataError
from smolforge.store import StageContext, StageOutcome, digest_file, read_json
from smolforge.tokens.config import TokenizeConfig
from smolforge.tokens.inputs import Row, corpus_rows, input_folder, read_jsonl
from smolforge.tokens.shard_names import ShardNames
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

    def corpus(self, rows: Iterable[Row], name_of: Callable[[Row], str]) -> None:
        """Write the documents of a table, each to the shard that ``name_of`` gives it; all shards in one pass."""
        with ExitStack() as stack:
            writers: dict[str, ShardWriter] = {}
            waiting: dict[str, list[Row]] = {}
            for row in rows:
                name = name_of(row)
                if name not in writers:
                    self._check_new(name)
                    writers[name], waiting[name] = stack.enter_context(self._writer(name)), []
                waiting[name].append(row)
                if len(waiting[name]) == BATCH:
                    self._add(writers[name], waiting[name])
                    waiting[name] = []
            for name, batch in waiting.items():
                self._add(writers[name], batch)
        self.headers |= {name: writers[name].header for name in sorted(writers)}

    def _check_new(self, name: str) -> None:
        if name in self.headers or name in (*self.config.sets, *self.config.document_sets):
            raise DataError(f"two things would be the shard '{name}'; rename the source or the set")

    def documents(self, name: str, texts: Iterable[str]) -> None:
        """Write a shard of plain text; each document ends with the end-of-text token."""
        with self._writer(name) as writer:
            for batch in _batches(texts):
                self._add(writer, [Row(text, "", "", None) for text in batch])
        self.headers[name] = writer.header

    def _add(self, writer: ShardWriter, rows: Sequence[Row]) -> None:
        end, limit, name = self.codec.special[END_OF_TEXT], self.config.max_document_tokens, writer.name
        for row, ids in zip(rows, self.codec.encode_text([row.text for row in rows]), strict=True):
            if limit and len(ids) >= limit:
                ids, self.cut[name] = ids[: limit - 1], self.cut.get(name, 0) + 1
            writer.add([*ids, end], text_bytes=len(row.text.encode()), difficulty=row.difficulty)

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
    corpus = input_folder(context, "corpus")
    for leftover in context.work.iterdir():
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    tokenizer = input_folder(context, "tokenizer")
    stage = Tokenizing(config, context.work, tokenizer / "tokenizer.json")
    form = read_json(tokenizer / "special_tokens.json").get("normalization")
    context.progress.start(1 + config.held_out + len(config.sets) + len(config.document_sets) + config.preferences, "")
    names = ShardNames(config.shards_by)
    kept = corpus_rows(corpus / "kept", config.languages, difficulty=config.difficulty, form=form)
    stage.corpus(kept, lambda row: names.name(row.source, row.language))
    context.progress.update(1, shards=len(stage.headers))
    if config.held_out:
        held = corpus_rows(corpus / "held_out", form=form)
        stage.corpus(
            (row for row in held if config.languages is None or row.language in config.languages),
            lambda row: f"held_out-{row.language}",
        )
        context.progress.update(2, shards=len(stage.headers))
    _synthesized(stage, config, context)
    return _outcome(stage)


def _synthesized(stage: Tokenizing, config: TokenizeConfig, context: StageContext) -> None:
    """Write the sets that the configuration names."""
    if not (config.sets or config.document_sets or config.preferences):
        return
    folder, done = input_folder(context, "synthesize"), 1 + config.held_out
    for number, name in enumerate((*config.sets, *config.document_sets), 1):
        rows = read_jsonl(folder / f"{name}.jsonl")
        if name in config.sets:
            stage.conversations(name, rows)
        else:
            stage.documents(name, (_text(row, name) for row in rows))
        context.progress.update(done + number, shard=name)
    if config.preferences:
        stage.preferences(list(read_jsonl(folder / "preferences.jsonl")))


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
