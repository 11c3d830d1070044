"""Near-duplicate removal on planted truth: what is nominated and then verified, beside plain LSH + components.

In: a Parquet file or folder with texts (column ``language`` where there is one; without it, this Python's own help
pages). Planted into them: copies (reformatted, with one word in sixty changed, cut at an end, with a page's frame
around them), letters of one template that say different things, and copies of some letters. Out: precision (removed
documents that really were copies), recall (copies removed) and originals lost, of both ways; seconds of processor time
for a growing number of documents.

    python benchmarks/dedup.py [--documents FOLDER] [--languages en,zh] [--count 1000] [--growth] [--json FILE]

What a source repeats by itself counts against precision here, for both ways: ``others`` are such documents that went.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smolforge.corpus.config import DedupConfig, EngineConfig
from smolforge.corpus.dedup.components import components
from smolforge.corpus.dedup.copies import PAIRS
from smolforge.corpus.dedup.near import find_near_copies
from smolforge.corpus.dedup.tables import ROW_BITS, Pool, Shard
from smolforge.corpus.engine.inline import InlineLauncher
from smolforge.corpus.engine.wave import Runner
from smolforge.corpus.text import kernel
from smolforge.corpus.text.words import HAN
from smolforge.store import QuietProgress

CONTAINMENT = (1.0, 0.95, 0.9, 0.85, 0.8)
LEAST_WORDS, MOST_WORDS = 120, 1500
SHARD_DOCUMENTS = 4000
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
_UNSPACED = re.compile(rf"[{HAN}]|[^\W{HAN}]+|\W+")
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
    language: str
    copy_of: str = ""


def main() -> int:
    """Plant, run both ways, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=Path, help="Parquet file or folder")
    parser.add_argument("--languages", default="en", help="which to read, separated by commas (en)")
    parser.add_argument("--count", type=int, default=1000, help="original documents (1000)")
    parser.add_argument("--containment", type=float, nargs="*", default=CONTAINMENT, metavar="SHARE", help="limits")
    parser.add_argument("--growth", action="store_true", help="also time a quarter and a half of the documents")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    languages = options.languages.split(",")
    texts = original_texts(options.documents, languages, options.count)
    documents = plant(texts)
    rows: dict[str, dict[str, Any]] = {}
    seconds: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        pool, _ = write_pool(Path(place) / "all", documents)
        for limit in options.containment:
            folder = Path(place) / f"verified-{limit}"
            removed, _ = near(pool, folder, DedupConfig(wipe_out_share=1.0, containment=limit))
            rows.setdefault("plain LSH + components", judge(documents, by_components(folder, documents)))
            rows[f"verified, containment {limit:g}"] = judge(documents, removed)
        for part in (4, 2, 1) if options.growth else ():
            some = plant(texts[::part])
            grown, keys = write_pool(Path(place) / f"part-{part}", some)
            seconds[len(some)] = {"keys": keys, "waves": near(grown, Path(place) / f"time-{part}", DedupConfig())[1]}
    print(f"{len(documents)} documents ({options.languages}), {sum(bool(d.copy_of) for d in documents)} of them copies")
    for name, row in rows.items():
        print(
            f"{name:<28} precision {row['precision']:.4f}  recall {row['recall']:.4f}  originals lost {row['lost']}"
            f"  others {row['others']}"
        )
    for count, took in seconds.items():
        print(f"{count:>8} documents: keys {took['keys']:.1f} s, waves {took['waves']:.1f} s")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "seconds": seconds}, indent=2) + "\n")
    return 0


def original_texts(place: Path | None, languages: Sequence[str], count: int) -> list[tuple[str, str]]:
    """Return about ``count`` (text, language) of a fit length, as many of each language where there are."""
    if place is None:
        from pydoc_data import topics

        pairs = [(text, "en") for text in topics.topics.values()]
    else:
        pairs = list(_read(place, languages))
    found: dict[str, list[tuple[str, str]]] = {language: [] for language in languages}
    for text, language in pairs:
        if (
            len(found[language]) < -(-count // len(languages))
            and LEAST_WORDS <= len(pieces(text, language)) <= MOST_WORDS
        ):
            found[language].append((text, language))
    return [pair for each in found.values() for pair in each]


def _read(place: Path, languages: Sequence[str]) -> Iterator[tuple[str, str]]:
    import pyarrow.parquet as pq

    for file in sorted(place.glob("*.parquet")) if place.is_dir() else [place]:
        with pq.ParquetFile(file) as table:
            names = [name for name in ("text", "language") if name in table.schema_arrow.names]
            for batch in table.iter_batches(columns=names):
                for row in batch.to_pylist():
                    if row.get("language", "en") in languages:
                        yield row["text"], row.get("language", "en")


def pieces(text: str, language: str) -> list[str]:
    """Return what copies are changed by: words, with what stands between them where words are not set apart."""
    return _UNSPACED.findall(text) if language == "zh" else text.split(" ")


def together(parts: Sequence[str], language: str) -> str:
    """Undo ``pieces``."""
    return ("" if language == "zh" else " ").join(parts)


def plant(texts: Sequence[tuple[str, str]]) -> list[Planted]:
    """Return originals, copies of a third of them (four kinds), as many letters, and copies of every eighth letter."""
    rng = random.Random(1)
    documents = [Planted(f"original/{i}", text, language) for i, (text, language) in enumerate(texts)]
    kinds: tuple[Callable[[str, str, random.Random], str], ...] = (_reformatted, _reworded, _excerpt, _framed)
    for n, i in enumerate(range(0, len(texts), 3)):
        text, language = texts[i]
        copy = kinds[n % len(kinds)](text, language, rng)
        documents.append(Planted(f"copy/{i}", copy, language, f"original/{i}"))
    for i in range(len(texts) // 3):
        documents.append(Planted(f"letter/{i}", _letter(rng), "en"))
        if i % 8 == 0:
            copy = _reformatted(documents[-1].text, "en", rng)
            documents.append(Planted(f"letter-copy/{i}", copy, "en", f"letter/{i}"))
    return documents


def _reformatted(text: str, language: str, rng: random.Random) -> str:
    parts = pieces(text, language)
    if language == "zh":
        return "".join(part + ("\n" if rng.random() < 0.02 else "") for part in parts)
    return "".join(part + ("\n" if rng.random() < 0.1 else " ") for part in parts).strip()


def _reworded(text: str, language: str, rng: random.Random) -> str:
    """Change one word in sixty."""
    parts = pieces(text, language)
    words = [at for at, part in enumerate(parts) if any(map(str.isalnum, part))]
    for at in rng.sample(words, max(1, len(words) // 60)):
        parts[at] = parts[rng.choice(words)]
    return together(parts, language)


def _excerpt(text: str, language: str, rng: random.Random) -> str:
    parts = pieces(text, language)
    return together(parts[: max(LEAST_WORDS, len(parts) * 9 // 10)], language)


def _framed(text: str, language: str, rng: random.Random) -> str:
    return FRAME + text + FOOT


def _letter(rng: random.Random) -> str:
    return TEMPLATE.format(
        name=rng.choice(NAMES), other=rng.choice(NAMES), town=rng.choice(TOWNS),
        month=rng.choice(("May", "June", "July")), day=rng.randint(1, 30), nights=rng.randint(2, 14),
        price=rng.randint(40, 190), minutes=rng.randint(3, 30),
        number=rng.randint(10_000, 99_999), sight=rng.choice(SIGHTS),
    )  # fmt: skip


def write_pool(folder: Path, documents: Sequence[Planted]) -> tuple[Pool, float]:
    """Write the tables that dedup reads, in shards; return them and the seconds that the keys took."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    shards, config, seconds = [], DedupConfig(), 0.0
    for first in range(0, len(documents), SHARD_DOCUMENTS):
        part = documents[first : first + SHARD_DOCUMENTS]
        texts = [each.text for each in part]
        began = time.process_time()
        settings = (config.bands, config.rows, config.shingle)
        keys, empty = kernel.nominate(kernel.buffer_of(texts), [each.language for each in part], *settings)
        seconds += time.process_time() - began
        columns = {
            "doc_id": [each.doc_id for each in part],
            "source": ["planted"] * len(part),
            "label": [each.language for each in part],
            "characters": pa.array(map(len, texts), pa.int64()),
            "keys": pa.array(
                [[] if none else row for row, none in zip(keys, empty, strict=True)], pa.list_(pa.uint64())
            ),
        }
        size = sum(len(text.encode()) for text in texts)
        shard = Shard(folder / f"a{first}.parquet", folder / f"d{first}.parquet", len(part), size)
        pq.write_table(pa.table(columns), shard.annotations)
        pq.write_table(pa.table({"text": texts}), shard.documents, row_group_size=1000)
        shards.append(shard)
    return Pool(tuple(shards), ("planted",)), seconds


def near(pool: Pool, folder: Path, config: DedupConfig) -> tuple[set[int], float]:
    """Return the numbers of the documents that the waves remove, and the seconds they took."""
    began = time.process_time()
    found = find_near_copies(pool, config, Runner(folder, EngineConfig(), QuietProgress(), InlineLauncher()))
    places = np.concatenate([np.load(folder / PAIRS)[:, 0] for folder in found.copies.folders])
    return set(map(_number, places.tolist())), time.process_time() - began


def _number(place: int) -> int:
    return (place >> ROW_BITS) * SHARD_DOCUMENTS + (place & ((1 << ROW_BITS) - 1))


def by_components(folder: Path, documents: Sequence[Planted]) -> set[int]:
    """Return what the usual way removes: one shared band is an edge, all of a component but its longest document go."""
    joined = components([*folder.glob("near-keys/*/edges.npy"), *folder.glob("near-buckets/part-*")])
    numbers = np.array([_number(place) for place in joined.places.tolist()], np.int64)
    lengths = np.array([len(documents[number].text) for number in numbers.tolist()])
    order = np.lexsort((numbers, -lengths, joined.labels))
    first = np.ones(len(order), np.bool_)
    first[1:] = np.diff(joined.labels[order]) != 0
    return set(numbers[order[~first]].tolist())


def judge(documents: Sequence[Planted], removed: set[int]) -> dict[str, Any]:
    """Score a removal. Of an original and its copy either may go; when both go, the original is lost."""
    gone = {documents[number].doc_id for number in removed}
    pairs = {d.copy_of: d.doc_id for d in documents if d.copy_of}
    right = sum((original in gone) != (copy in gone) for original, copy in pairs.items())
    both = sum(original in gone and copy in gone for original, copy in pairs.items())
    others = sum(d.doc_id in gone for d in documents if not d.copy_of and d.doc_id not in pairs)
    return {
        "precision": right / max(1, len(gone)),
        "recall": right / max(1, len(pairs)),
        "removed": len(gone),
        "lost": both + others,
        "others": others,
    }


if __name__ == "__main__":
    sys.exit(main())
