"""A model opened for the verbs that answer: which one, on which backend, with which tools.

Input is a verb's options. Output is a chat model that every task can use, and the engine where it is that which runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from smolforge.errors import ConfigError

if TYPE_CHECKING:
    from smolforge.engine.engine import Engine
    from smolforge.tasks.chat import ChatModel
    from smolforge.tokens.template import ChatCodec


@dataclass(frozen=True)
class OpenModel:
    """A model that answers, where it came from, and its tools if it was trained on a fixed list.

    ``engine`` is None on the torch backend.
    """

    path: Path
    chat: ChatModel
    tools: list[dict[str, Any]] | None
    engine: Engine | None


def chosen_model(options: argparse.Namespace) -> Path:
    """Return the path of the model that the options name; ConfigError says how to get one."""
    from smolforge.cli.models import find_model

    if options.model and options.named_model:
        raise ConfigError(f"two models are named, {options.model!r} and {options.named_model!r}; name one")
    return find_model(options.model or options.named_model)


@contextmanager
def open_model(options: argparse.Namespace) -> Iterator[OpenModel]:
    """Open the model that the options name, and close it after the block."""
    from smolforge.cli.models import tools_of

    path = chosen_model(options)
    if options.backend == "torch":
        from smolforge.cli.torch_backend import open_in_torch

        given = [name for name in ("threads", "kv", "context") if getattr(options, name) is not None]
        if given:
            raise ConfigError(f"--{given[0]} belongs to the native engine, not to --backend torch")
        yield OpenModel(path, open_in_torch(path), tools_of(path), None)
        return
    with open_engine(options, path) as engine:
        from smolforge.tasks.chat import ChatModel

        codec = cast("ChatCodec", engine.codec)  # tasks use what every codec has
        yield OpenModel(path, ChatModel(engine, codec, engine.vocab_size, engine.context), tools_of(path), engine)


@contextmanager
def open_engine(options: argparse.Namespace, path: Path) -> Iterator[Engine]:
    """Open ``path`` on the native engine; packing a model for the first time shows how far it is."""
    from smolforge.cli.progress import progress
    from smolforge.engine.engine import Engine

    with progress(f"first use of {path.name}", "%") as shown:
        engine = Engine.open(
            path,
            threads=options.threads,
            context=options.context,
            kv=options.kv or "f16",
            progress=lambda share, what: shown.update(100 * share, 100, what),
        )
    with engine:
        yield engine
