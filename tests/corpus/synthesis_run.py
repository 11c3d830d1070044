"""A small generated stage for tests, in this process or in one that can be killed: ``synthesis_run.py ROOT JSON``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from smolforge.corpus.document import Document, write_documents
from smolforge.corpus.synthesize.config import SynthesizeConfig
from smolforge.recipe.generators import run
from smolforge.store import Artifact, Manifest, Progress, QuietProgress, StageContext, StageOutcome

PLACES = ("Aveiro", "Bergen", "Cadiz", "Dunkirk", "Esbjerg", "Faro", "Genoa", "Hastings", "Ischia", "Jaffa")


def towers(count: int) -> list[Document]:
    """Return short English documents, each about a lighthouse of its own."""
    documents = []
    for number in range(count):
        place = f"{PLACES[number % len(PLACES)]} {number}"
        text = (
            f"The lighthouse of {place} was built in {1800 + number}. It is {40 + number} metres high and stands on "
            f"the sand of the coast; its light is seen far out at sea. A stair of {200 + number} steps leads to the "
            "lantern, and visitors may climb it in the afternoon. Its keeper writes down every ship that passes by."
        )
        documents.append(Document.make(text, url=place, source="towers", licence="CC0-1.0", language="en"))
    return documents


def corpus(folder: Path, documents: list[Document]) -> Artifact:
    """Write a finished corpus with these kept documents."""
    write_documents(folder / "kept", documents)
    return Artifact(folder, Manifest("corpus", "0", "1", {}, {}, 0))


def generate(root: Path, generated: dict[str, Any], progress: Progress | None = None) -> StageOutcome:
    """Run the stage on ``root/corpus``, into ``root/work``, with replies kept in ``root/requests.sqlite``."""
    work = root / "work"
    work.mkdir(exist_ok=True)
    config = SynthesizeConfig(templates=False, generated=generated)  # type: ignore[arg-type]
    given = Artifact(root / "corpus", Manifest("corpus", "0", "1", {}, {}, 0))
    return run(config, StageContext(work, {"corpus": given}, 3, progress or QuietProgress()))


def contents(root: Path) -> dict[str, bytes]:
    """Return every file the stage wrote."""
    files = sorted(path for path in (root / "work").rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


if __name__ == "__main__":
    generate(Path(sys.argv[1]), json.loads(sys.argv[2]))
