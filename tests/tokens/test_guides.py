"""The guides of mixtures and tokenizers: their recipe loads, their commands run, their figures are the code's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from smolforge.cli.main import main
from smolforge.recipe.load import load_recipe
from smolforge.recipe.mixture import mixture_plan
from smolforge.tokens.config import PRESETS, TokenizerConfig
from smolforge.tokens.published import published

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "docs" / "guides"


def test_the_recipe_of_the_mixture_guide_loads_and_keeps_its_cap(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (GUIDES / "mixture.md").read_text(), re.DOTALL)
    (tmp_path / "mixed.yaml").write_text(text)
    plan = mixture_plan(load_recipe(tmp_path / "mixed.yaml", [f"output={tmp_path}/out"]))
    assert plan.problems == []
    assert {(row.phase, row.source): row.wanted for row in plan.rows} == pytest.approx(
        {("stable", "text-en"): 719_200, ("stable", "text-fr"): 100_000, ("decay", "text-en"): 204_800}
    )


def test_the_commands_of_the_mixture_guide_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    guide = (GUIDES / "mixture.md").read_text()
    commands = [line.strip() for line in guide.splitlines() if line.startswith("    smolforge")]
    assert len(commands) == 2
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0
    assert "finemath_4plus" in capsys.readouterr().out
    last = {row.source: row for row in mixture_plan(load_recipe(ROOT / "recipes" / "3b.yaml")).rows}
    assert f"reads FineMath-4+ {last['finemath_4plus'].epochs_so_far:.1f} times" in guide
    assert all(f"`{name.removeprefix('smollm3/')}`" in guide or f"`mixture: {name}`" in guide for name in published())


def test_the_presets_of_the_tokenizer_guide_are_those_of_the_code() -> None:
    guide = (GUIDES / "tokenizer.md").read_text()
    for name, fields in PRESETS.items():
        assert f"`{name}`" in guide and f"{fields['vocab_size']:,}" in guide
        assert f"`{TokenizerConfig(preset=name).pre_tokenizer}`" in guide
    assert "`parity_limit` (1.3)" in guide and TokenizerConfig().parity_limit == 1.3
