"""What each step of the corpus stage does, in a sentence for readers, and which settings it goes by."""

from __future__ import annotations

MEANING = {
    "ingest": "reads the sources; a torn file costs what is torn",
    "poisoned": "leaves out what no process survives",
    "extract": "takes the text out of web pages and drops blocked addresses and pages without text",
    "exact_dedup": "keeps one of several documents with the same text (white space folded)",
    "language": "keeps documents that are clearly in a wanted language and in its script",
    "rules": "keeps documents whose measures lie within the limits of their source's profile",
    "quality": "keeps what a quality model scores high enough",
    "toxicity": "drops what a list of terms and a model both call toxic",
    "near_dedup": "drops a document whose text stands in one that stays (MinHash nominates, containment decides)",
    "line_dedup": "cuts lines that many documents of a host share",
    "substring_dedup": "cuts long passages that an earlier document has",
    "line_rules": "cuts page furniture line by line",
    "decontaminate": "drops documents that hold an item of a benchmark",
    "pii": "masks personal data",
    "held_out": "puts a share of each language aside, whole groups of related documents together",
    "budget": "keeps each language within its byte budget, chosen by hash",
}

# Keys of the configuration; a section stands for all its settings.
SETTINGS = {
    "ingest": ("max_document_characters",),
    "extract": ("extract",),
    "exact_dedup": ("indexes",),
    "language": ("languages", "language"),
    "rules": ("rules",),
    "quality": ("quality",),
    "toxicity": ("toxicity",),
    "near_dedup": ("dedup",),
    "line_dedup": ("line_dedup",),
    "substring_dedup": ("substring_dedup",),
    "line_rules": ("line_rules",),
    "decontaminate": ("decontaminate",),
    "pii": ("pii",),
    "held_out": ("held_out", "held_out_min_bytes"),
    "budget": ("max_bytes_per_language",),
}
