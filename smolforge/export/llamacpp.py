"""What llama.cpp itself answers from a GGUF file: greedy tokens on one thread, by the optional ``xllamacpp`` wheel.

In: a file and prompts as token ids. Out: the tokens and speeds, from a process of its own, so that an abort in foreign
code cannot take the run down. llama.cpp multiplies quantized weights with activations rounded to 8 bits (F16 weights:
to float16), where our decoder keeps float32: choices closer than that rounding may differ.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from smolforge.errors import FormatError, MissingDependencyError

TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class LlamaCppRun:
    """Greedy continuations (without the stop token) and the speed over all prompts, in tokens per second."""

    tokens: list[list[int]]
    tokens_per_second: float | None
    prompt_tokens_per_second: float | None
    build: str


def available() -> bool:
    """Whether the ``xllamacpp`` package is installed."""
    return importlib.util.find_spec("xllamacpp") is not None


def run_llama_cpp(
    path: Path, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int] = ()
) -> LlamaCppRun:
    """Continue each prompt greedily with llama.cpp: one thread, float32 cache. Answers end before a ``stop`` id.

    MissingDependencyError without ``xllamacpp``; FormatError if llama.cpp does not load or answer, with its last words.
    """
    if not available():
        raise MissingDependencyError("xllamacpp", "dev", "asking llama.cpp")
    job = {"model": str(path), "prompts": [list(map(int, p)) for p in prompts], "max_new_tokens": max_new_tokens}
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise FormatError(f"{path}: llama.cpp did not answer within {TIMEOUT_SECONDS} s") from None
    line = next((text for text in done.stdout.splitlines() if text.startswith('{"answers"')), None)
    if done.returncode or line is None:
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise FormatError(f"{path}: llama.cpp failed on it (exit {done.returncode}): {words[:300]}")
    found = json.loads(line)
    return _summary(found["answers"], found["build"], frozenset(stop))


def _summary(answers: Sequence[dict[str, Any]], build: str, stop: frozenset[int]) -> LlamaCppRun:
    def rate(kind: str) -> float | None:
        counted = sum(answer["timings"][f"{kind}_n"] for answer in answers)
        seconds = sum(answer["timings"][f"{kind}_ms"] for answer in answers) / 1000
        return counted / seconds if seconds else None

    tokens = [list(takewhile(lambda token: token not in stop, answer["tokens"])) for answer in answers]
    return LlamaCppRun(tokens, rate("predicted"), rate("prompt"), build)


def start_server(xllamacpp: Any, model: str, context: int) -> Any:
    """Return llama.cpp's server object over a file, one thread and slot; it listens on a free port of 127.0.0.1."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx = context
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.warmup = params.fit_params = params.ui = params.cache_prompt = False
    params.n_gpu_layers = 0
    params.verbosity = 0
    return xllamacpp.Server(params)


def _worker() -> None:
    xllamacpp: Any = importlib.import_module("xllamacpp")
    job = json.load(sys.stdin)
    context = max(map(len, job["prompts"])) + job["max_new_tokens"] + 8
    server = start_server(xllamacpp, job["model"], context)
    answers = []
    for prompt in job["prompts"]:
        given = server.handle_completions(
            {
                "prompt": prompt,
                "n_predict": job["max_new_tokens"],
                "temperature": 0,
                "n_probs": 1,
                "cache_prompt": False,
            }
        )
        if "choices" not in given:
            raise SystemExit(f"llama.cpp answered {str(given)[:200]}")
        choice = given["choices"][0]
        content = (choice.get("logprobs") or {}).get("content") or []
        answers.append({"tokens": [row["id"] for row in content], "timings": given["timings"]})
    print(json.dumps({"answers": answers, "build": str(xllamacpp.BUILD_INFO)}), flush=True)


if __name__ == "__main__":
    _worker()
