"""From a crawl to a table of clean documents: our corpus stage against ``datatrove``'s pipeline, on one core.

In: texts with their languages, and a Python that has datatrove. Out: MB/s of HTML by CPU time, with and without what
starting all processes takes, and what each side kept.
``datatrove`` runs FineWeb's chain as its examples have it: extraction with trafilatura, language, Gopher repetition,
Gopher quality, C4 without the punctuation rule, FineWeb quality, Parquet. Its language model is downloaded at run time,
so both sides use py3langid with the same floor. Ours also removes duplicates and masks personal data.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crawl import Text, write_warc

TURNS = 3
_SUBREAPER = 36  # linux/prctl.h
_FEWER = 20  # times fewer texts, to measure what starting costs
OURS = """
import sys
from pathlib import Path
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.stage import run
from smolforge.store import StageContext
config = {"sources": [sys.argv[1]], "languages": ["en"], "held_out": 0, "max_document_characters": 10_000_000}
run(CorpusConfig.model_validate(config), StageContext(Path(sys.argv[2]), {}, 0))
"""
PEER = """
import sys
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline import filters as f
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers import ParquetWriter
from py3langid.langid import MODEL_FILE, LanguageIdentifier
identify = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
def is_english(document):
    label, confidence = identify.classify(document.text[:1500])
    return label == "en" and confidence >= 0.65
folder, name = sys.argv[1].rsplit("/", 1)
LocalPipelineExecutor(pipeline=[
    WarcReader(folder, glob_pattern=name),
    Trafilatura(favour_precision=True, timeout=10),
    f.LambdaFilter(is_english),
    f.GopherRepetitionFilter(), f.GopherQualityFilter(), f.C4QualityFilter(filter_no_terminal_punct=False),
    f.FineWebQualityFilter(),
    ParquetWriter(sys.argv[2]),
], tasks=1, logging_dir=sys.argv[2] + "/logs").run()
"""


@dataclass
class Side:
    """One side: what its program is, CPU seconds of each turn on a few pages and on all, and how many it kept."""

    python: str
    script: str
    few: list[float] = field(default_factory=list)
    all: list[float] = field(default_factory=list)
    kept: int = 0

    def speed(self, megabytes: float) -> float:
        """Return MB/s for the pages that the large crawl has more: what starting costs is in neither."""
        return megabytes / (min(self.all) - min(self.few))

    def speed_with_start(self, megabytes: float) -> float:
        """Return MB/s of the large crawl, start included."""
        return megabytes / min(self.all)


def end_to_end(texts: Sequence[Text], peer: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the claims and a line to print."""
    ours, theirs = Side(sys.executable, OURS), Side(str(peer), PEER)
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.warc.gz", Path(folder) / "small.warc.gz"
        pages, size = write_warc(large, texts)
        _, size_small = write_warc(small, texts[::_FEWER])
        for turn in range(TURNS):
            for name, side in (("ours", ours), ("datatrove", theirs)):
                output = Path(folder) / f"{name}-{turn}"
                side.few.append(_seconds(side, small, Path(f"{output}-few")))
                side.all.append(_seconds(side, large, output))
                side.kept = _rows(output)
                print(
                    f"turn {turn + 1}: {name} {side.all[-1]:.1f} s, {side.few[-1]:.1f} s of it to start",
                    file=sys.stderr,
                )
    megabytes = (size - size_small) / 1e6
    plain = _claim(ours.speed(megabytes), theirs.speed(megabytes))
    whole = _claim(ours.speed_with_start(size / 1e6), theirs.speed_with_start(size / 1e6))
    what = f"{size / 1e6:.0f} MB of HTML"
    line = (
        f"WARC to Parquet, {pages} responses, {what}: {plain['ours']:.1f} MB/s ({ours.kept} kept), "
        f"datatrove {plain['peer']:.2f} MB/s ({theirs.kept} kept): {plain['ratio']:.1f}x; with the start "
        f"{min(ours.all):.1f} s and {min(theirs.all):.1f} s: {whole['ratio']:.1f}x"
    )
    name = f"WARC to clean Parquet, MB/s of {what} on one core"
    return {name: plain, f"{name}, starts included": whole}, line


def _claim(ours: float, peer: float) -> dict[str, Any]:
    return {"ours": ours, "peer": peer, "ratio": ours / peer, "target": 5.0}


def _seconds(side: Side, warc: Path, output: Path) -> float:
    """Return the CPU time of a process and of all its descendants, user and system.

    A process whose parent was killed is ours to wait for (PR_SET_CHILD_SUBREAPER): else its time would be lost."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    before = os.times()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    command = [side.python, "-c", side.script, str(warc), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{side.python}: {done.stderr[-2000:]}")
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def _rows(output: Path) -> int:
    import pyarrow.parquet as pq

    kept = output / "kept" if (output / "kept").is_dir() else output
    return sum(pq.read_metadata(path).num_rows for path in kept.glob("*.parquet"))


def page_texts(place: Path | None, count: int) -> list[Text]:
    """Return texts in several languages: a person's own table, or what comes with Python and its packages."""
    if place is None:
        from smolforge.corpus.config import CorpusConfig
        from smolforge.corpus.ingest import Ingestion

        found = Ingestion(CorpusConfig()).documents()
        return [Text(each.language, each.text[:8000]) for each in found if each.language != "code"][:count]
    import pyarrow.parquet as pq

    texts: list[Text] = []
    for file in sorted(place.glob("*.parquet")) if place.is_dir() else [place]:
        rows = pq.read_table(file, columns=["language", "text"]).to_pylist()
        texts += [Text(row["language"], row["text"][:8000]) for row in rows]
    step = max(len(texts) // count, 1)
    return texts[::step][:count]


if __name__ == "__main__":
    from edge.models import peers_folder

    source = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    claims, said = end_to_end(page_texts(source, 1200), peers_folder() / "datatrove" / "bin" / "python")
    print(said)
    print(json.dumps(claims))
