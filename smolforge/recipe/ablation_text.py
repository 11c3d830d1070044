"""The text of one side of an ablation: its training documents without anything of the common held-out text.

Input: the side's corpus, and the corpus whose held-out documents judge both sides. Output: ``kept/``, ``held_out/`` and
``aligned.jsonl``, a corpus as the later stages know it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.document import Document, ShardWriter, read_documents
from smolforge.corpus.text.words import nomination_words
from smolforge.errors import DataError
from smolforge.store import Config, StageContext, StageOutcome

WORDS = 8  # words in a row that count as a passage (characters in Chinese)


class AblationTextConfig(Config):
    """``overlap``: a training document goes when so much of it is held-out text, or so much of a held-out one is it."""

    overlap: float = 0.2
    shard_bytes: int = 32_000_000


@lru_cache(maxsize=1 << 20)
def _word(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def passages(document: Document) -> NDArray[np.uint64]:
    """Return a hash of every passage of ``WORDS`` words, uint64 (passages,); shorter texts are one passage."""
    found = np.array([_word(word) for word in nomination_words(document.text, document.language)], np.uint64)
    length = min(WORDS, len(found))
    if length == 0:
        return found
    hashes = np.zeros(len(found) - length + 1, np.uint64)
    for k in range(length):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + found[k : len(found) - length + k + 1]
    return np.unique(hashes)


class HeldOut:
    """The passages of held-out documents, and which document each is from."""

    def __init__(self, documents: Iterable[Document]) -> None:
        parts = [passages(document) for document in documents]
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        every = np.concatenate([np.empty(0, np.uint64), *parts])
        self._hashes, first = np.unique(every, return_index=True)
        self._owner = owner[first]
        self._sizes = np.maximum(1, np.bincount(self._owner, minlength=len(parts)))

    def overlap(self, document: Document) -> float:
        """Return the larger of: the share of the document that is held-out text, the share of a held-out one in it."""
        own = passages(document)
        if not len(own) or not len(self._hashes):
            return 0.0
        place = np.minimum(np.searchsorted(self._hashes, own), len(self._hashes) - 1)
        hits = self._owner[place[self._hashes[place] == own]]
        if not len(hits):
            return 0.0
        return float(max(len(hits) / len(own), (np.bincount(hits, minlength=len(self._sizes)) / self._sizes).max()))


def run(config: AblationTextConfig, context: StageContext) -> StageOutcome:
    """Copy the side's documents without those that overlap with held-out text; DataError where there is none."""
    corpus, judge = context.inputs["corpus"].path, context.inputs["held_out"].path
    for leftover in context.work.iterdir():
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    judges = list(read_documents(judge / "held_out"))
    if not judges:
        raise DataError(f"{judge / 'held_out'}: no documents to judge by; raise corpus.held_out")
    held_out, counts = HeldOut(judges), Counter[str]()
    kept, judged = (
        ShardWriter(context.work / "kept", config.shard_bytes),
        ShardWriter(context.work / "held_out", config.shard_bytes),
    )
    context.progress.start(None, "documents")
    for document in read_documents(corpus / "kept"):
        taken = held_out.overlap(document) < config.overlap
        counts["kept" if taken else "overlapping"] += 1
        counts["kept_bytes" if taken else "overlapping_bytes"] += document.bytes
        if taken:
            kept.add(document)
        done = counts["kept"] + counts["overlapping"]
        if done % 256 == 0:
            context.progress.update(done)
    for document in judges:
        judged.add(document)
    kept.close()
    judged.close()
    if (corpus / "aligned.jsonl").is_file():
        shutil.copyfile(corpus / "aligned.jsonl", context.work / "aligned.jsonl")
    names = ("kept", "kept_bytes", "overlapping", "overlapping_bytes")
    return StageOutcome({**{name: counts[name] for name in names}, "held_out": len(judges)})
