"""Near-duplicate removal on planted truth: what is nominated and then verified, beside plain LSH + components.

In: a Parquet file or folder with English texts (without it, this Python's own help pages). Planted into them: copies
(reformatted, with words changed, cut at an end, with a page's frame around them) and documents of one template that say
different things. Out: precision (removed documents that really were copies) and recall (copies removed) of both ways,
for several limits of containment; the number of originals lost.

    python benchmarks/dedup.py [--documents FOLDER] [--count 1000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.texts import english_texts

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.near_dedup import Candidate, buckets, find_near_duplicates, nomination_keys

CONTAINMENT = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6)
LEAST_WORDS, MOST_WORDS = 120, 1500
FRAME = "Home | News | About us | Contact\nSign in to follow this page\n"
FOOT = "\nShare this page\nAll rights reserved. Terms and conditions apply."
NAMES = ("Anna", "Boris", "Carla", "David", "Elena", "Farid", "Greta", "Hugo", "Irene", "Jonas", "Karim", "Laura")
TOWNS = ("Aalen", "Bergen", "Cadiz", "Dover", "Essen", "Faro", "Genoa", "Hania", "Izmir", "Jena", "Kazan", "Lyon")
TEMPLATE = (
    "Thank you for booking with us, {name}. Your room in {town} is reserved from {month} {day} for {nights} nights at "
    "{price} euros a night. Breakfast is served from seven to ten. You can cancel free of charge until two days before "
    "you arrive; after that the first night is charged. Bring an identity card. The reception is open day and night, "
    "and the train station is {minutes} minutes away on foot. Ask for {other} if you need anything, and mention the "
    "number {number}. We look forward to your visit and wish you a good trip to {town}, where {sight}."
)  # fmt: skip
SIGHTS = (
    "the old harbour and its fish market are open every morning",
    "a tram leads up the hill to the castle and the gardens behind it",
    "boats cross the lake to the abbey every hour in summer",
    "the museum of clocks shows seven hundred pieces on three floors",
    "walkers find marked paths through the vineyards along the river",
)


@dataclass(frozen=True)
class Planted:
    """A document; ``copy_of`` names the document it repeats, "" for none."""

    doc_id: str
    text: str
    copy_of: str = ""


def main() -> int:
    """Plant, run both ways, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=Path, help="Parquet file or folder")
    parser.add_argument("--count", type=int, default=1000, help="original documents (1000)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    documents = plant(english_texts(options.documents, 4 * options.count), options.count)
    cache: dict[str, int] = {}
    config = DedupConfig(on_wipe_out="keep", wipe_out_share=1.0)
    keys = {d.doc_id: tuple(map(int, nomination_keys(d.text, "en", config, cache))) for d in documents}
    candidates = [Candidate(d.doc_id, "planted", 0, len(d.text), keys[d.doc_id]) for d in documents]
    rows = {"plain LSH + components": judge(documents, by_components(candidates))}
    texts = {d.doc_id: (d.text, "en") for d in documents}
    for limit in CONTAINMENT:
        found = find_near_duplicates(
            candidates, lambda ids: {i: texts[i] for i in ids}, config.model_copy(update={"containment": limit})
        )
        rows[f"verified, containment {limit:g}"] = judge(documents, set(found.verdicts))
    copies = sum(bool(d.copy_of) for d in documents)
    print(f"{len(documents)} documents, {copies} of them copies")
    for name, row in rows.items():
        print(f"{name:<28} precision {row['precision']:.4f}  recall {row['recall']:.4f}  originals lost {row['lost']}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


def plant(texts: Sequence[str], count: int) -> list[Planted]:
    """Return originals, copies of a third of them (four kinds), and as many letters of one template."""
    rng = random.Random(1)
    whole = [" ".join(text.split(" ")) for text in texts if LEAST_WORDS <= len(text.split()) <= MOST_WORDS][:count]
    documents = [Planted(f"original/{i}", text) for i, text in enumerate(whole)]
    kinds = (_reformatted, _reworded, _excerpt, _framed)
    for i, text in enumerate(whole[: len(whole) // 3]):
        documents.append(Planted(f"copy/{i}", kinds[i % len(kinds)](text, rng), f"original/{i}"))
    return documents + [Planted(f"letter/{i}", _letter(rng)) for i in range(len(whole) // 3)]


def _reformatted(text: str, rng: random.Random) -> str:
    words = text.split()
    return "".join(word + ("\n" if rng.random() < 0.1 else " ") for word in words).strip()


def _reworded(text: str, rng: random.Random) -> str:
    """Change one word in sixty."""
    words = text.split(" ")
    for at in rng.sample(range(len(words)), max(1, len(words) // 60)):
        words[at] = rng.choice(words)
    return " ".join(words)


def _excerpt(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    return " ".join(words[: max(LEAST_WORDS, len(words) * 9 // 10)])


def _framed(text: str, rng: random.Random) -> str:
    return FRAME + text + FOOT


def _letter(rng: random.Random) -> str:
    return TEMPLATE.format(
        name=rng.choice(NAMES), other=rng.choice(NAMES), town=rng.choice(TOWNS),
        month=rng.choice(("May", "June", "July")), day=rng.randint(1, 30), nights=rng.randint(2, 14),
        price=rng.randint(40, 190), minutes=rng.randint(3, 30),
        number=rng.randint(10_000, 99_999), sight=rng.choice(SIGHTS),
    )  # fmt: skip


def by_components(candidates: Sequence[Candidate]) -> set[str]:
    """Return what the usual way removes: one shared band is an edge, all of a component but its longest document go."""
    parent = {c.doc_id: c.doc_id for c in candidates}

    def root(item: str) -> str:
        while parent[item] != item:
            item = parent[item]
        return item

    for bucket in buckets(candidates).values():
        for other in bucket[1:]:
            parent[root(other.doc_id)] = root(bucket[0].doc_id)
    components: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        components[root(candidate.doc_id)].append(candidate)
    return {c.doc_id for members in components.values() for c in sorted(members, key=lambda c: c.order)[1:]}


def judge(documents: Sequence[Planted], removed: set[str]) -> dict[str, Any]:
    """Score a removal. Of an original and its copy either may go; when both go, the original is lost."""
    pairs = {d.copy_of: d.doc_id for d in documents if d.copy_of}
    right = sum((original in removed) != (copy in removed) for original, copy in pairs.items())
    lost = sum(original in removed and copy in removed for original, copy in pairs.items())
    lost += sum(d.doc_id in removed for d in documents if not d.copy_of and d.doc_id not in pairs)
    return {
        "precision": right / max(1, len(removed)),
        "recall": right / max(1, len(pairs)),
        "removed": len(removed),
        "lost": lost,
    }


if __name__ == "__main__":
    sys.exit(main())
