"""``lm-eval`` as it is, its ``local-completions`` on a small local task, against the real server: the engine's scores.

The tokenizer is asked from the server (``tokenizer_backend=auto``): nothing of the model is needed at the client.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smolforge import Engine
from smolforge.generator import Sampling
from tests.serve import offline
from tests.serve.client import Client

pytest.importorskip("lm_eval")
TASKS = Path(__file__).with_name("lm_eval_tasks")
ROWS = [json.loads(line) for line in (TASKS / "capitals.jsonl").read_text(encoding="utf-8").splitlines()]
pytestmark = pytest.mark.slow  # it imports torch, transformers and datasets


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    import datasets
    import huggingface_hub

    offline.only_loopback(monkeypatch)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.chdir(TASKS)  # the tasks name their data beside themselves
    yield
    assert offline.LEFT == []


def evaluated(client: Client, engine: Engine, task: str, **arguments: Any) -> dict[str, Any]:
    """Run a task and return lm-eval's results."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    made = {"base_url": f"{client.url}/v1/completions", "model": engine.model.name, "max_retries": 1, **arguments}
    found = lm_eval.simple_evaluate(
        model="local-completions",
        model_args=made,
        tasks=[task],
        task_manager=TaskManager(include_path=str(TASKS), include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
    )
    assert found is not None
    return dict(found)


@pytest.mark.parametrize("arguments", [{}, {"batch_size": 16}, {"num_concurrent": 4}], ids=["one", "batch", "parallel"])
def test_scores_are_the_engines(client: Client, engine: Engine, arguments: dict[str, Any]) -> None:
    found = evaluated(client, engine, "capitals", **arguments)
    right = 0
    for sample in found["samples"]["capitals"]:
        row = ROWS[sample["doc_id"]]
        choices = [f" {choice}" for choice in row["choices"]]
        expected = engine.score(f"The capital city of {row['country']} is", choices)
        scores = [float(one[0]) for one in sample["filtered_resps"]]
        assert scores == pytest.approx(expected, abs=1e-4), row
        right += scores.index(max(scores)) == row["answer"]
    assert found["results"]["capitals"]["acc,none"] == pytest.approx(right / len(ROWS))
    assert right > len(ROWS) / 2  # a model that guesses has a quarter


def test_written_answers_are_the_engines(client: Client, engine: Engine) -> None:
    found = evaluated(client, engine, "capitals_written", num_concurrent=4)
    for sample in found["samples"]["capitals_written"]:
        expected = engine.generate(sample["arguments"][0][0], max_tokens=8, stop=["\n"]).text
        assert sample["resps"][0][0] == expected
    assert found["results"]["capitals_written"]["exact_match,none"] > 0.5


def test_a_prompt_behind_which_the_answer_ends_keeps_its_last_score(client: Client, engine: Engine) -> None:
    """lm-eval asks for one token more and leaves the last score out: there must be one, whatever that token is."""
    prompt = engine.codec.prompt([{"role": "user", "content": "Say hi."}], "no_think")
    answer = engine.chat([{"role": "user", "content": "Say hi."}], sampling=Sampling())
    assert answer.finish == "stop"
    asked = {"prompt": [[*prompt, *answer.tokens]], "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0}
    lists = client.post("/v1/completions", asked).json["choices"][0]["logprobs"]
    scores = lists["token_logprobs"]
    assert lists["tokens"][-1] == "<|im_end|>" and {len(part) for part in lists.values()} == {len(scores)}
    assert sum(scores[len(prompt) : -1]) == pytest.approx(engine.score([prompt], [answer.tokens])[0], abs=1e-4)
