"""The tokenizer's chapter of the report: parity before and after, and other tokenizers, where the stage wrote them."""

from __future__ import annotations

from pathlib import Path

from smolforge.recipe.report.blocks import Chart, Note, Table
from smolforge.recipe.report.data_sections import tokenizer_section
from smolforge.recipe.report.gather import Gathered
from smolforge.store import write_json
from smolforge.store.artifact import Manifest, finish

FERTILITY = {
    "en": {"tokens_per_word": 1.5, "bytes_per_token": 3.9, "split_words": 0.2, "texts": 3, "parity": 1.0},
    "ru": {"tokens_per_word": 2.0, "bytes_per_token": 5.9, "split_words": 0.6, "texts": 7, "parity": 1.3},
}
PARITY = {"limit": 1.3, "plain": {"plain_share": 1.0, "languages": {"en": 1.0, "ru": 1.7}, "worst": 1.7},
          "tried": [], "measured": {"en": 1.0, "ru": 1.3}, "worst": 1.3}  # fmt: skip
COMPARISON = {
    name: {"vocab_size": 65_536, "worst_parity": 1.3, "unused": 0.25, "renyi_efficiency": 0.44, "languages": FERTILITY}
    for name in ("this", "another")
}


def chapter(folder: Path, **files: object) -> tuple[list[str], str]:
    """Return the kinds of blocks and all their text."""
    work = folder / "work"
    work.mkdir(parents=True)
    write_json(work / "fertility.json", FERTILITY)
    for name, value in files.items():
        write_json(work / f"{name}.json", value)
    artifact = finish(work, folder / "done", Manifest("tokenizer", "t", "1", {}, {}, 0, counts={"vocab_size": 65_536}))
    blocks = tokenizer_section(Gathered({"tokenizer": artifact})).blocks
    text = "".join(
        b.svg + b.caption if isinstance(b, Chart) else str(b.rows) if isinstance(b, Table) else str(vars(b))
        for b in blocks
    )
    return [type(block).__name__ for block in blocks], text


def test_parity_and_other_tokenizers_are_drawn_where_they_are_known(tmp_path: Path) -> None:
    plain, _ = chapter(tmp_path / "plain")
    both, text = chapter(tmp_path / "both", parity=PARITY, comparison=COMPARISON)
    assert both == [*plain, Note.__name__, Chart.__name__, Chart.__name__, Table.__name__]
    assert "1.30 times English's tokens; the limit was 1.3" in text
    assert "plain BPE" in text and "another" in text and "65,536" in text and "25.0" in text
