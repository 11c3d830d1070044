"""The corpus' rules against ``datatrove``'s, on the same documents, in turns, one core each.

In: a Parquet file or folder with a column ``text`` (and ``language``: English is taken; without it, this Python's own
help pages), and a Python that has datatrove, by default the one of the virtual environment $SMOLFORGE_PEERS/datatrove:
``python -m venv P && P/bin/pip install datatrove spacy orjson 'xxhash<4'``.
Out: MB/s of CPU time, the share of equal keep-or-drop decisions, and the documents judged otherwise.

    python benchmarks/corpus.py [--documents FOLDER] [--count 3000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edge.models import peers_folder

TURNS = 3
PEER = """
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
json.dump({"seconds": time.process_time() - began, "verdicts": verdicts}, sys.stdout)
"""


def main() -> int:
    """Run the turns and print the claims."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=Path, help="Parquet file or folder")
    parser.add_argument("--count", type=int, default=3000, help="documents (3000)")
    parser.add_argument("--peer", type=Path, default=peers_folder() / "datatrove" / "bin" / "python")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if not options.peer.is_file():
        print(f"not measured: {options.peer} is missing; see the top of {__file__}", file=sys.stderr)
        return 0
    texts = _texts(options.documents, options.count)
    size = sum(len(text.encode()) for text in texts) / 1e6
    ours, peers, mine, theirs = _turns(texts, size, options.peer)
    different = [(a, b) for a, b in zip(mine, theirs, strict=True) if bool(a) != bool(b)]
    for a, b in different[:20]:
        print(f"judged otherwise: ours {a or 'kept'}, datatrove {b or 'kept'}")
    same = 1 - len(different) / len(texts)
    best, peer = max(ours), max(peers)
    print(f"{len(texts)} documents, {size:.1f} MB; kept {sum(not v for v in mine)}")
    print(f"rule chain: {best:.2f} MB/s, datatrove {peer:.3f} MB/s: {best / peer:.1f}x; same decisions {same:.2%}")
    claims = {
        "rule chain, MB/s on one core": {"ours": best, "peer": peer, "ratio": best / peer, "target": 20.0},
        "same decisions as datatrove": {"ours": same, "peer": None, "ratio": None, "target": 0.995},
    }
    if options.json:
        options.json.write_text(json.dumps(claims, indent=2) + "\n")
    return 0


def _turns(texts: list[str], size: float, peer: Path) -> tuple[list[float], list[float], list[str], list[str]]:
    from smolforge.corpus.fineweb import FineWebRules, judge

    rules = FineWebRules()
    ours, peers = [], []
    mine: list[str] = []
    theirs: list[str] = []
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        for turn in range(TURNS):
            began = time.process_time()
            mine = judge(rules.measure(texts))
            ours.append(size / (time.process_time() - began))
            done = subprocess.run([peer, "-c", PEER, file.name], capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            peers.append(size / found["seconds"])
            theirs = found["verdicts"]
            print(f"turn {turn + 1}: {ours[-1]:.2f} MB/s, datatrove {peers[-1]:.3f}", file=sys.stderr)
    return ours, peers, mine, theirs


def _texts(place: Path | None, count: int) -> list[str]:
    if place is None:
        from pydoc_data import topics

        return list(topics.topics.values())[:count]
    import pyarrow.parquet as pq

    texts: list[str] = []
    for file in sorted(place.glob("*.parquet")) if place.is_dir() else [place]:
        table = pq.read_table(file)
        languages = table["language"].to_pylist() if "language" in table.column_names else ["en"] * table.num_rows
        texts += [t for t, language in zip(table["text"].to_pylist(), languages, strict=True) if language == "en"]
        if len(texts) >= count:
            break
    return texts[:count]


if __name__ == "__main__":
    sys.exit(main())
