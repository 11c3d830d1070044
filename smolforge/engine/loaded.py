"""Open a model: weights packed (or mapped, when they were packed before), tokenizer and template, ready to answer.

In: a GGUF file or a Hugging Face folder. Out: ``LoadedModel``: the native model with its codec, limits and digests.
What a second start needs lies in one file (``packed_file.py``), so that it neither parses nor packs anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smolforge.engine import _native, chat_template, packed_file
from smolforge.engine.architectures import ARCHITECTURES, native_shape
from smolforge.engine.codec import Codec, FileCodec
from smolforge.engine.files import Weights, model_files
from smolforge.engine.packed_file import Bundle
from smolforge.errors import ConfigError, FormatError
from smolforge.formats.hf_tokenizer import TokenFacts
from smolforge.store.digest import digest_bytes, digest_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from smolforge.engine.weights import Source

Progress = Callable[[float, str], None]  # share done, what is being done
MAX_YARN = 4.0  # a context may be stretched this far beyond the trained one
MAX_THREADS = 512  # native/model.cpp
THINK, END_THINK = "<think>", "</think>"


@dataclass(frozen=True)
class LoadedModel:
    """A model that can answer. ``context``: positions, prompt and answer together.

    ``digest``: of weights, config and positions; ``tokenizer_digest``: of the tokenizer (both for the prefix store).
    """

    path: Path
    native: _native.Model
    config: Mapping[str, Any]
    codec: Codec
    facts: TokenFacts
    context: int
    digest: str
    tokenizer_digest: str

    @property
    def name(self) -> str:
        """A short name: the file's or folder's."""
        return self.path.stem if self.path.suffix == ".gguf" else self.path.name

    @property
    def vocab_size(self) -> int:
        """Number of logits; may be more than the tokenizer has tokens."""
        return int(self.config["vocab_size"])

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer; it encodes control strings in text as plain text."""
        return self.codec.tokenizer

    @property
    def stop(self) -> frozenset[int]:
        """Ids that end an answer."""
        return self.codec.stop

    @property
    def has_template(self) -> bool:
        """Whether the model can be given chats."""
        return not isinstance(self.codec, FileCodec) or self.facts.chat_template is not None

    @cached_property
    def think(self) -> tuple[int, int] | None:
        """Ids of the tokens that open and close a think block; None where the model has none."""
        ids = self.codec.special.get(THINK), self.codec.special.get(END_THINK)
        return None if ids[0] is None or ids[1] is None else (ids[0], ids[1])

    def encode(self, text: str) -> list[int]:
        """Encode text to be continued, with the begin token where this model wants one."""
        begin = [self.facts.bos] if self.facts.add_bos and self.facts.bos is not None else []
        return [*begin, *self.codec.encode_text([text])[0]]


def open_model(
    path: Path,
    *,
    weights: Weights = "auto",
    threads: int | None = None,
    context: int | None = None,
    cache: bool = True,
    progress: Progress | None = None,
) -> LoadedModel:
    """Open a GGUF file or a Hugging Face folder.

    ``weights``: how unquantized weights are kept ("auto": a GGUF as it is, a folder in 4 bits, below half a billion
    weights in 8); ``threads`` None: one for each physical core; ``context`` None: what the model was made for, and up
    to four times that by YaRN; ``cache`` False: nothing is saved or read from ``$SMOLFORGE_CACHE``. FormatError or
    ConfigError name what is wrong.
    """
    threads = _checked_threads(threads)
    bundle = _bundle(path, weights, threads, cache, progress or (lambda share, what: None))
    config, positions = _with_context(bundle.facts["config"], context, str(path))
    facts = TokenFacts(**{**bundle.facts["tokens"], "eos": tuple(bundle.facts["tokens"]["eos"])})
    if not ARCHITECTURES[config["model_type"]].one_template and facts.chat_template:
        chat_template.warm()  # starts beside the tokenizer
    try:
        native = _native.Model(native_shape(config), bundle.tensors, threads)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None
    return LoadedModel(
        path=path,
        native=native,
        config=config,
        codec=_codec(config, bundle.tokenizer, facts),
        facts=facts,
        context=positions,
        digest=digest_json([bundle.digest, config["rope_scaling"]]),
        tokenizer_digest=digest_bytes(bundle.tokenizer),
    )


def _checked_threads(threads: int | None) -> int:
    """Return how many threads to use; ConfigError for a number, or a ``$SMOLFORGE_ISA``, that cannot be."""
    if threads is not None and not (isinstance(threads, int) and 0 <= threads <= MAX_THREADS):
        raise ConfigError(f"threads is {threads!r}, expected 1 to {MAX_THREADS}, or None for one on each physical core")
    try:
        _native.isa()
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return threads or _native.default_threads()


def _bundle(path: Path, weights: Weights, threads: int, cache: bool, progress: Progress) -> Bundle:
    """Map what was packed before, or pack; only packing needs the readers, which take a while to import."""
    files = model_files(path)
    if not cache:
        return _pack(_open(path, weights, threads), None, progress, "")
    digest = packed_file.source_digest(files, {"weights": weights})
    place = packed_file.packed_path(path.stem if path.suffix == ".gguf" else path.name, digest)
    found = packed_file.open_packed(place, digest)
    if found is not None:
        return found
    source = _open(path, weights, threads)
    writer = packed_file.writer(place, source.shapes, source.packed_bytes)
    try:
        packed = _pack(source, writer, progress, digest)
    except OSError:  # a disk that fills up, a quota: what cannot be kept for the next start still serves this one
        if writer is None:
            raise
        return _pack(source, None, progress, digest)
    return packed if writer is None else packed_file.open_packed(place, digest) or packed


def _open(path: Path, weights: Weights, threads: int) -> Source:
    from smolforge.engine.weights import open_source

    return open_source(path, weights, threads)


def _pack(source: Source, writer: packed_file.PackedWriter | None, progress: Progress, digest: str) -> Bundle:
    """Pack every tensor, into ``writer`` if there is one, else into memory; the source's pages are given back."""
    from smolforge.engine.sources import read_codec

    tokenizer, tokens = read_codec(source)
    facts = {"config": source.config, "tokens": tokens.__dict__}
    tensors: packed_file.Tensors = {}
    state = packed_file.digest_of(facts)
    try:
        for done, name in enumerate(source.shapes):
            progress(done / len(source.shapes), f"packing {name}")
            tensor = _pack_one(source, name)
            source.release(name)
            state.update((tensor if isinstance(tensor, np.ndarray) else tensor.buffer()).data)
            if writer is None:
                tensors[name] = tensor
            else:
                writer.add(name, tensor)
        if writer is not None:
            writer.finish(facts, tokenizer, digest, state.hexdigest())
    except BaseException:
        if writer is not None:
            writer.abandon()
        raise
    return Bundle(tensors, json.loads(json.dumps(facts)), tokenizer, state.hexdigest())


def _pack_one(source: Source, name: str) -> _native.Packed | NDArray[np.float32]:
    shape = source.shapes[name]
    if len(shape) == 1:
        return source.vector(name)
    blocks, kind, row_order = source.matrix(name)
    return _native.pack(blocks, kind, shape[0], shape[1], row_order)


def _with_context(config: Mapping[str, Any], context: int | None, where: str) -> tuple[dict[str, Any], int]:
    """Return the config, stretched by YaRN where more positions are wanted than it was made for, and the positions."""
    made_for = config["max_position_embeddings"]
    if context is None or context <= made_for:
        if context is not None and context < 1:
            raise ConfigError(f"context {context}: expected at least 1 position")
        return dict(config), context or made_for
    factor = context / made_for
    if config["rope_scaling"] is not None or factor > MAX_YARN:
        scaled = config["rope_scaling"] is not None
        limit = "and its positions are scaled already" if scaled else f"{MAX_YARN:g} times that is the most"
        raise ConfigError(f"{where}: context {context}: the model was made for {made_for} positions, {limit}")
    yarn = {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": made_for}
    return {**config, "max_position_embeddings": context, "rope_scaling": yarn}, context


def _codec(config: Mapping[str, Any], tokenizer_json: bytes, facts: TokenFacts) -> Codec:
    """Families of the one template get its codec when their tokenizer can carry chats; others use their own."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(tokenizer_json)
    if ARCHITECTURES[config["model_type"]].one_template and tokenizer.token_to_id("<|im_start|>") is not None:
        from smolforge.tokens.template import ChatCodec

        return ChatCodec(tokenizer, copy=False)
    return FileCodec(tokenizer, facts)
