"""Labels of educational worth for a sample of documents, from any OpenAI-compatible generator.

Input: document tables and a ``Client`` of a generator. Output: a labelled table (``COLUMNS``) that ``train-quality``
reads. Which documents are asked about is a hash of their ids; what was answered once is in the client's cache and is
not asked again, whatever was killed in between.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from smolforge.corpus.document import read_rows
from smolforge.corpus.scoring import rubric
from smolforge.corpus.split import draw
from smolforge.corpus.synthesize.endpoint import Client
from smolforge.corpus.synthesize.request import Params, Request, Sample
from smolforge.errors import DataError
from smolforge.store.tables import Kind, Row, replace_rows

ANSWER_TOKENS = 200
TRIES = 3  # the first without chance; after an answer that is none, with
COLUMNS: dict[str, Kind] = {
    "doc_id": "text", "text": "text", "language": "text", "source": "text", "score": "integer", "subject": "text",
    "points": "text", "generator": "text", "failure": "text",
}  # fmt: skip
_REFUSED = ("status 400", "status 422")
_READ = ("doc_id", "text", "language", "source")


@dataclass
class Tally:
    """What came of it: documents labelled by score, and failed."""

    scores: list[int]
    failed: int = 0

    @property
    def labelled(self) -> int:
        """Return how many have a score."""
        return sum(self.scores)


def sample(folder: Path, per_language: int, seed: int) -> Iterator[Row]:
    """Yield ``per_language`` documents of each language (all where there are fewer), in the order of the tables.

    DataError where there is no document table.
    """
    paths = sorted(folder.glob("part-*.parquet")) if folder.is_dir() else [folder]
    if not paths:
        raise DataError(f"{folder}: no part-*.parquet files; give a folder of documents, like a corpus stage's 'kept'")
    best: dict[str, list[tuple[float, str]]] = {}
    for path in paths:
        for row in read_rows(path, ("doc_id", "language")):
            heap = best.setdefault(row["language"], [])
            entry = (-draw(seed, row["doc_id"], "label"), row["doc_id"])
            (heapq.heappush if len(heap) < per_language else heapq.heappushpop)(heap, entry)
    chosen = {doc_id for heap in best.values() for _, doc_id in heap}
    for path in paths:
        yield from (row for row in read_rows(path, _READ) if row["doc_id"] in chosen)


def label(rows: Iterable[Row], client: Client, held: bool = True) -> Iterator[Row]:
    """Yield each row with its label, in order; a row without one says in ``failure`` why.

    ``held``: ask for answers in the form of the rubric's schema; a document whose request is refused is asked about
    once more without it, as servers that know no schema refuse.
    """
    waiting: deque[Row] = deque()

    def requests() -> Iterator[Request]:
        for row in rows:
            waiting.append(row)
            yield _request(row["text"], 0, held)

    for reply in client.replies(requests()):
        row = waiting.popleft()
        found, failure = _read(reply.samples[0])
        if found is None:
            found, failure = _again(row["text"], reply.samples[0], failure, client, held)
        points = None if found is None else " ".join(found.points)
        subject, score = (None, None) if found is None else (found.subject, found.score)
        said: Row = {"score": score, "subject": subject, "points": points}
        yield {**row, **said, "generator": client.model, "failure": failure or None}


def _again(text: str, answer: Sample, failure: str, client: Client, held: bool) -> tuple[rubric.Label | None, str]:
    """Ask about a document further times; return its label, or what was wrong with the last answer."""
    for attempt in range(1, TRIES):
        if answer.failure is not None:
            if not (held and answer.failure.startswith(_REFUSED)):
                break
            held = False
        answer = client.reply(_request(text, attempt, held)).samples[0]
        found, failure = _read(answer)
        if found is not None:
            return found, ""
    return None, failure


def write_labels(path: Path, rows: Iterable[Row]) -> Tally:
    """Write labelled rows as a table (whole or not at all) and return their tally."""
    tally = Tally([0] * (len(rubric.POINTS) + 1))

    def counted() -> Iterator[Row]:
        for row in rows:
            if row["score"] is None:
                tally.failed += 1
            else:
                tally.scores[row["score"]] += 1
            yield {name: row[name] for name in COLUMNS}

    replace_rows(path, counted(), COLUMNS)
    return tally


def _request(text: str, attempt: int, held: bool) -> Request:
    params = Params(temperature=0.7 if attempt else 0.0, max_tokens=ANSWER_TOKENS)
    return Request(rubric.messages(text), params, rubric.schema() if held else None, seed=attempt)


def _read(answer: Sample) -> tuple[rubric.Label | None, str]:
    if answer.failure is not None:
        return None, answer.failure
    try:
        return rubric.read_label(answer.text), ""
    except ValueError as error:
        return None, f"no label: {error}"
