"""What held-out documents cost one model of an ablation.

Input: a pretrained model, its tokenizer, and the text of its side. Output: ``scores.json``, a row a document with its
bits; the first token, which no context predicts, costs every model the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from smolforge.corpus.document import Document, read_documents
from smolforge.evaluate.models import open_generator
from smolforge.evaluate.text import FirstToken, document_bits
from smolforge.store import Config, StageContext, StageOutcome, digest_bytes, write_json
from smolforge.tokens.special import END_OF_TEXT
from smolforge.tokens.template import ChatCodec

SCORES = "scores.json"


class AblationScoreConfig(Config):
    """``held_out_bytes``: whole documents of each language, in a keyed order, until so many bytes are reached."""

    held_out_bytes: int = 150_000
    window: int = 256
    batch: int = 64


def chosen(documents: list[Document], limit: int) -> list[Document]:
    """Return documents in an order of their ids' digests until each language has ``limit`` bytes."""
    taken: list[Document] = []
    used: dict[str, int] = defaultdict(int)
    for document in sorted(documents, key=lambda d: digest_bytes(f"ablation/{d.doc_id}".encode())):
        if used[document.language] < limit:
            taken.append(document)
            used[document.language] += document.bytes
    return taken


def run(config: AblationScoreConfig, context: StageContext) -> StageOutcome:
    """Score the held-out documents with the model."""
    documents = chosen(list(read_documents(context.inputs["corpus"].path / "held_out")), config.held_out_bytes)
    codec = ChatCodec.open(context.inputs["tokenizer"].path)
    generator = open_generator(context.inputs["pretrain"].path / "model")
    end = codec.special[END_OF_TEXT]
    encoded = [[*ids, end] for ids in codec.encode_text([document.text for document in documents])]
    first = FirstToken(Counter(), 0, codec.vocab_size)
    context.progress.start(len(encoded), "documents")
    bits = document_bits(generator, encoded, first, config.window, config.batch)
    rows = [
        {"doc_id": d.doc_id, "language": d.language, "group": d.url.partition("#")[0], "bytes": d.bytes, "bits": b}
        for d, b in zip(documents, bits, strict=True)
    ]
    write_json(context.work / SCORES, rows)
    total = sum(d.bytes for d in documents)
    return StageOutcome({"documents": len(rows), "bytes": total}, {"bits_per_byte": sum(bits) / max(1, total)})
