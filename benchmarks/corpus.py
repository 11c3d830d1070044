"""The corpus' rules and signatures against ``datatrove``'s, on the same documents, in turns, one core each.

In: a Parquet file or folder with a column ``text`` (and ``language``: English is taken; without it, this Python's own
help pages), and a Python that has datatrove, by default the one of the virtual environment $SMOLFORGE_PEERS/datatrove:
``python -m venv P && P/bin/pip install datatrove spacy orjson tokenizers 'xxhash<4'`` and, for the crawl (``crawl.py``,
``warc_row.py``), ``'trafilatura<1.12' lxml_html_clean warcio faust-cchardet python-magic py3langid pyarrow``.
Out: MB/s of CPU time, the share of equal keep-or-drop decisions, and the documents judged otherwise.

    python benchmarks/corpus.py [--documents FOLDER] [--count 3000] [--pages 1200 5000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.models import peers_folder
from edge.texts import english_texts
from warc_row import end_to_end, page_texts

TURNS = 3
PEER_RULES = """
import json, sys, time
from datatrove.data import Document
from datatrove.pipeline import filters as f
chain = [f.GopherRepetitionFilter(), f.GopherQualityFilter(), f.C4QualityFilter(filter_no_terminal_punct=False)]
chain.append(f.FineWebQualityFilter())
texts = json.load(open(sys.argv[1]))
for step in chain:  # what is loaded on first use is not timed
    step.filter(Document(text="It is a warm day. " * 40, id=""))
def verdict(text):
    document = Document(text=text, id="")
    for step in chain:
        found = step.filter(document)
        if found is not True:
            return type(step).__name__ + " " + found[1]
    return ""
began = time.process_time()
verdicts = [verdict(text) for text in texts]
json.dump({"seconds": time.process_time() - began, "results": verdicts}, sys.stdout)
"""
PEER_MINHASH = """
import json, sys, time
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
texts = json.load(open(sys.argv[1]))
step = MinhashDedupSignature("/nowhere", MinhashConfig())  # 14 x 8 on word 5-grams, 64 bits, as ours
sign = lambda text: step.get_signature(step.get_shingles(text))
sign("It is a warm day. " * 40)
began = time.process_time()
count = sum(len(sign(text)) for text in texts)
json.dump({"seconds": time.process_time() - began, "results": count}, sys.stdout)
"""


@dataclass(frozen=True)
class Turns:
    """Best MB/s of each side, and what each found in its last turn."""

    ours: float
    peer: float
    mine: Any
    theirs: Any

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.ours / self.peer


def main() -> int:
    """Run the turns and print the claims."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=Path, help="Parquet file or folder")
    parser.add_argument("--count", type=int, default=3000, help="documents (3000)")
    parser.add_argument(
        "--pages", type=int, nargs="+", default=[1200], help="crawls: how many texts become pages (1200: 61 MB of HTML)"
    )
    parser.add_argument("--peer", type=Path, default=peers_folder() / "datatrove" / "bin" / "python")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if not options.peer.is_file():
        print(f"not measured: {options.peer} is missing; see the top of {__file__}", file=sys.stderr)
        return 0
    texts = english_texts(options.documents, options.count)
    print(f"{len(texts)} documents, {_megabytes(texts):.1f} MB")
    claims = {**_rules(texts, options.peer), **_stage_rules(texts), **_signatures(texts, options.peer)}
    for count in options.pages:
        found, line = end_to_end(page_texts(options.documents, count), options.peer)
        print(line)
        claims |= found
    if options.json:
        options.json.write_text(json.dumps(claims, indent=2) + "\n")
    return 0


def _rules(texts: list[str], peer: Path) -> dict[str, Any]:
    from smolforge.corpus.rules.fineweb import FineWebRules, judge

    rules = FineWebRules()
    found = _turns(texts, lambda: judge(rules.measure(texts)), PEER_RULES, peer)
    different = [(a, b) for a, b in zip(found.mine, found.theirs, strict=True) if bool(a) != bool(b)]
    for a, b in different[:20]:
        print(f"judged otherwise: ours {a or 'kept'}, datatrove {b or 'kept'}")
    same = 1 - len(different) / len(texts)
    print(f"rule chain: {found.ours:.2f} MB/s, datatrove {found.peer:.3f} MB/s: {found.ratio:.1f}x; same {same:.2%}")
    return {
        "rule chain, MB/s on one core": _claim(found, 20.0),
        "same decisions as datatrove": {"ours": same, "peer": None, "ratio": None, "target": 0.995},
    }


def _stage_rules(texts: list[str]) -> dict[str, Any]:
    """Time what the corpus stage does with a source of ``rules: fineweb``: all annotations, then the judge."""
    import numpy as np

    from smolforge.corpus.annotate import annotate
    from smolforge.corpus.config import CorpusConfig
    from smolforge.corpus.document import Document
    from smolforge.corpus.judge import judge

    config = CorpusConfig.model_validate({"sources": [{"kind": "pydoc_topics", "rules": "fineweb"}]})
    meta = {"profile": "fineweb"}
    documents = (
        Document.make(text, url=str(i), source="web", licence="", language="en", meta=meta)
        for i, text in enumerate(texts)
    )
    read = [(document, None) for document in documents]
    annotate(read[:1], config)  # its tables are not timed
    best = 0.0
    for _ in range(TURNS):
        began = time.process_time()
        for first in range(0, len(read), 512):
            table = annotate(read[first : first + 512], config)
            list(judge(table, np.ones(table.num_rows, bool), config))
        best = max(best, _megabytes(texts) / (time.process_time() - began))
    print(f"the stage with these rules, every annotation and decision: {best:.2f} MB/s")
    return {"annotate and judge with rules: fineweb, MB/s": {"ours": best, "peer": None, "ratio": None, "target": None}}


def _signatures(texts: list[str], peer: Path) -> dict[str, Any]:
    from smolforge.corpus.config import DedupConfig
    from smolforge.corpus.text.kernel import buffer_of, nominate

    shape = DedupConfig()
    nominate(
        buffer_of(["It is a warm day."]), ["en"], shape.bands, shape.rows, shape.shingle
    )  # its tables are not timed

    def sign() -> int:
        keys, _ = nominate(buffer_of(texts), ["en"] * len(texts), shape.bands, shape.rows, shape.shingle)
        return int(keys.size)

    found = _turns(texts, sign, PEER_MINHASH, peer)
    print(f"MinHash: {found.ours:.2f} MB/s, datatrove {found.peer:.3f} MB/s: {found.ratio:.1f}x")
    return {"MinHash signatures, MB/s on one core": _claim(found, 10.0)}


def _claim(found: Turns, target: float) -> dict[str, float]:
    return {"ours": found.ours, "peer": found.peer, "ratio": found.ratio, "target": target}


def _turns(texts: list[str], work: Callable[[], Any], script: str, peer: Path) -> Turns:
    """Run both sides in turns over the same texts; CPU time of one process each."""
    size, ours, peers = _megabytes(texts), [], []
    mine = theirs = None
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        for turn in range(TURNS):
            began = time.process_time()
            mine = work()
            ours.append(size / (time.process_time() - began))
            done = subprocess.run([peer, "-c", script, file.name], capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            peers.append(size / found["seconds"])
            theirs = found["results"]
            print(f"turn {turn + 1}: {ours[-1]:.2f} MB/s, datatrove {peers[-1]:.3f}", file=sys.stderr)
    return Turns(max(ours), max(peers), mine, theirs)


def _megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


if __name__ == "__main__":
    sys.exit(main())
