"""Find a model and open it for the verbs that answer: a folder, a GGUF file, or the newest finished run's export.

Input is a path or nothing; output is a chat model and its tool list: ``tools.json`` of its folder, or of the run it
lies in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smolforge.errors import ArtifactError, ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from smolforge.model.decoder import Decoder
    from smolforge.tasks.chat import ChatModel
    from smolforge.tokens.template import ChatCodec

RUNS = Path("runs")
TOOLS = "tools.json"


@dataclass(frozen=True)
class OpenModel:
    """A model that answers, where it came from, and its tools if it was trained on a fixed list."""

    path: Path
    chat: ChatModel
    tools: list[dict[str, Any]] | None


def runs_with(stage: str, root: Path = RUNS) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield (finished folder of ``stage``, run file) of every run below ``root`` that has it, newest first."""
    from smolforge.recipe.runner import RUN_FILE
    from smolforge.store.artifact import MANIFEST

    files = sorted(root.glob(f"*/{RUN_FILE}"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files:
        run = _run_file(file)
        folder = file.parent / run["stages"].get(stage, "-")
        if (folder / MANIFEST).is_file():
            yield folder, run


def open_model(path: Path | None) -> OpenModel:
    """Open ``path``, or the newest run's export; ConfigError says how to get a model when there is none."""
    path = path or _newest()
    if not path.exists():
        raise ConfigError(f"{path}: no such model; expected a folder with config.json, or a .gguf file")
    path = path / "hf" if (path / "hf" / "config.json").is_file() else path
    return OpenModel(path, _chat_model(path), _tools(path))


def _run_file(file: Path) -> dict[str, Any]:
    from smolforge.store import read_json

    run = read_json(file)
    stages = run.get("stages") if isinstance(run, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(folder, str) for folder in stages.values()):
        raise ArtifactError(f"{file}: not a run file; remove it and run the recipe again")
    return dict(run)


def _newest() -> Path:
    for folder, _ in runs_with("export"):
        return folder / "hf"
    for folder, _ in runs_with("merge"):
        return folder / "model"
    raise ConfigError(
        f"there is no finished run below {RUNS}/ to talk to; make one with 'smolforge run recipes/nano.yaml', "
        "or name a model folder"
    )


def _chat_model(path: Path) -> ChatModel:
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("torch", "train", "running a model") from None
    from smolforge.model.checkpoint import load_pretrained
    from smolforge.model.generator import TorchGenerator
    from smolforge.tasks.chat import ChatModel
    from smolforge.tokens.template import ChatCodec

    if path.suffix == ".gguf":
        decoder, codec = _read_gguf(path)
    elif (path / "config.json").is_file():
        decoder, codec = load_pretrained(path, dtype=torch.float32), ChatCodec.open(path)
    else:
        raise ConfigError(f"{path}: not a model; expected a folder with config.json, or a .gguf file")
    shape = decoder.config
    return ChatModel(TorchGenerator(decoder.eval()), codec, shape.vocab_size, shape.max_position_embeddings)


def _read_gguf(path: Path) -> tuple[Decoder, ChatCodec]:
    """Read a GGUF file's weights to float32, and its tokenizer: the answers are those of the quantized weights."""
    import torch
    from tokenizers import Tokenizer

    from smolforge.formats.gguf_model import GGUFModel
    from smolforge.formats.gguf_tokenizer import to_tokenizer_json
    from smolforge.model.checkpoint import load_tensors
    from smolforge.model.decoder import Decoder
    from smolforge.model.hf_config import from_hf
    from smolforge.tokens.template import ChatCodec

    model = GGUFModel(path)
    tensors = {name: torch.from_numpy(array) for name, array in model.tensors()}
    decoder = load_tensors(Decoder(from_hf(model.config, where=str(path))), tensors, where=str(path))
    return decoder, ChatCodec(Tokenizer.from_str(json.dumps(to_tokenizer_json(model.tokenizer))))


def _tools(path: Path) -> list[dict[str, Any]] | None:
    """Return the model's tool list: ``tools.json`` in its folder, or what the run it lies in was synthesized with."""
    from smolforge.recipe.runner import RUN_FILE
    from smolforge.store import read_json

    folder = path if path.is_dir() else path.parent
    places = [folder / TOOLS]
    for parent in folder.resolve().parents:
        if (parent / RUN_FILE).is_file():
            places.append(parent / _run_file(parent / RUN_FILE)["stages"].get("synthesize", "-") / TOOLS)
            break
    found = next((place for place in places if place.is_file()), None)
    return list(read_json(found)) if found else None
