"""A quality model on frozen embeddings: our own small head on any BERT-like encoder in a Hugging Face folder.

Input: labelled examples and the encoder's folder on this disk (``config.json``, ``model.safetensors``, a tokenizer).
Output: a ``HeadModel`` with ``QualityModel``'s ``probabilities``, and one ``.npz`` file that holds the head and the
digest of the encoder it belongs to. The encoder runs in torch and transformers, which are asked for by name when a head
is used and at no other time: the corpus works without them. On a CPU it is slower than the linear model by far.
"""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.scoring.quality import LONGEST, Floats, QualityModel, sigmoid
from smolforge.corpus.scoring.training import Example, Judged, divided, judged, platt
from smolforge.errors import ConfigError, FormatError, MissingDependencyError
from smolforge.store import digest_file, digest_json, write_atomic

FORMAT = "smolforge-head-1"
MOST_TOKENS = 512
PULL = 1.0  # strength, in examples, of the pull of each weight to 0
F32 = NDArray[np.float32]


class Scorer(Protocol):
    """What the quality step needs of a model."""

    def probabilities(self, texts: Sequence[str], languages: Sequence[str]) -> F32:
        """Return the calibrated probability that each text is good, float32 (n,)."""


class Encoder:
    """Embeds texts: the mean of the last layer over the first 512 tokens. One text at a time, without padding, so that
    an embedding does not depend on its neighbours."""

    def __init__(self, folder: Path) -> None:
        for name in ("config.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise ConfigError(f"{folder}: no {name} there; expected the folder of a BERT-like model")
        self._torch, transformers = _package("torch"), _package("transformers")
        self.folder, self.digest = folder, encoder_digest(folder)
        try:
            options = {"local_files_only": True, "trust_remote_code": False}
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **options)
            self._model = transformers.AutoModel.from_pretrained(str(folder), use_safetensors=True, **options).eval()
        except (OSError, ValueError, KeyError) as error:
            raise FormatError(f"{folder}: not an encoder that transformers can open ({error})") from None

    def embed(self, texts: Sequence[str]) -> F32:
        """Return float32 (n, hidden)."""
        rows = []
        with self._torch.inference_mode():
            for text in texts:
                given = self._tokenizer(text[:LONGEST], truncation=True, max_length=MOST_TOKENS, return_tensors="pt")
                rows.append(self._model(**given).last_hidden_state[0].float().mean(0).numpy())
        width = int(self._model.config.hidden_size)
        return np.stack(rows).astype(np.float32) if rows else np.empty((0, width), np.float32)


class HeadModel:
    """``weights`` float64 (hidden,), a bias, the line (slope, shift) that calibrates, and the encoder below."""

    def __init__(self, encoder: Encoder, weights: Floats, bias: float, slope: float, shift: float) -> None:
        self.encoder, self.weights, self.bias, self.slope, self.shift = encoder, weights, bias, slope, shift

    def margins(self, texts: Sequence[str]) -> Floats:
        """Return the uncalibrated log-odds, float64 (n,)."""
        return np.asarray([float(row @ self.weights) + self.bias for row in self.encoder.embed(texts)])

    def probabilities(self, texts: Sequence[str], languages: Sequence[str]) -> F32:
        """Return the calibrated probability that each text is good, float32 (n,); the languages make no difference."""
        return np.asarray(sigmoid(self.slope * self.margins(texts) + self.shift), np.float32)

    def save(self, path: Path) -> None:
        """Write the head, with folder and digest of its encoder."""
        facts = {
            "format": FORMAT, "encoder": str(self.encoder.folder.resolve()), "digest": self.encoder.digest,
            "bias": self.bias, "slope": self.slope, "shift": self.shift,
        }  # fmt: skip
        file = io.BytesIO()
        np.savez(file, weights=self.weights, facts=np.array(json.dumps(facts)))
        write_atomic(path, file.getvalue())


def load_scorer(path: Path) -> Scorer:
    """Read a quality model of either kind; FormatError where a head's encoder is another one than it was trained on."""
    try:
        with np.load(path, allow_pickle=False) as file:
            facts, weights = json.loads(str(file["facts"])), file["weights"]
            if not isinstance(facts, dict) or facts.get("format") != FORMAT:
                return QualityModel.load(path)
            numbers = [float(facts[name]) for name in ("bias", "slope", "shift")]
            folder, digest = Path(facts["encoder"]), facts["digest"]
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile):
        return QualityModel.load(path)  # says what is wrong
    encoder = Encoder(folder)
    if encoder.digest != digest:
        raise FormatError(f"{path}: {folder} has changed since this head was trained; train it again")
    if weights.shape != (encoder.embed([""]).shape[1],) or not np.isfinite([*numbers, *weights]).all():
        raise FormatError(f"{path}: not a head of {folder}")
    return HeadModel(encoder, weights.astype(np.float64), *numbers)


def train_head(examples: Sequence[Example], folder: Path) -> tuple[HeadModel, Judged]:
    """Fit a logistic regression on the embeddings, calibrate it and judge it; the encoder stays as it is.

    DataError where there are too few examples.
    """
    seen, calibrating, judging = divided(examples)
    encoder = Encoder(folder)
    weights, bias = _fitted(encoder.embed([e.text for e in seen]), np.array([e.good for e in seen], np.float64))
    head = HeadModel(encoder, weights, bias, 1.0, 0.0)
    truth = np.array([e.good for e in calibrating], np.float64)
    slope, shift = platt(head.margins([e.text for e in calibrating]), truth)
    found = judged(head.margins([e.text for e in judging]), judging, slope, shift)
    return HeadModel(encoder, weights, bias, slope, shift), found


def _fitted(rows: F32, truth: Floats, steps: int = 30) -> tuple[Floats, float]:
    """Return weights (hidden,) and bias of a ridge logistic regression, by Newton's method on scaled columns."""
    middle, spread = rows.mean(0, dtype=np.float64), rows.std(0, dtype=np.float64) + 1e-6
    X_NK = np.hstack([(rows - middle) / spread, np.ones((len(rows), 1))])
    pull = np.full(X_NK.shape[1], PULL)
    pull[-1] = 1e-6
    place = np.zeros(X_NK.shape[1])

    def loss(at: Floats) -> float:
        return float((np.logaddexp(0, X_NK @ at) - truth * (X_NK @ at)).sum() + (pull * at * at).sum() / 2)

    for _ in range(steps):
        p = sigmoid(X_NK @ place)
        hessian = (X_NK * (p * (1 - p))[:, None]).T @ X_NK + np.diag(pull)
        change = np.linalg.solve(hessian, X_NK.T @ (p - truth) + pull * place)
        while loss(place - change) > loss(place) and np.abs(change).max() > 1e-9:
            change /= 2
        place -= change
        if np.abs(change).max() < 1e-8:
            break
    weights = place[:-1] / spread
    return weights, float(place[-1] - weights @ middle)


def encoder_digest(folder: Path) -> str:
    """Return the digest of what decides an embedding: configuration, weights, tokenizer."""
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
    return digest_json({name: digest_file(folder / name) for name in names if (folder / name).is_file()})


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingDependencyError(name, "encoder", "a quality head on an encoder") from None
