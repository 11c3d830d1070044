"""A small model that has learned a few commands, with its tokenizer and held-out rows, as finished artifacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from smolforge.model.checkpoint import save_pretrained  # noqa: E402
from smolforge.model.config import ModelConfig  # noqa: E402
from smolforge.model.decoder import Decoder  # noqa: E402
from smolforge.model.initialise import initialise  # noqa: E402
from smolforge.store import write_json  # noqa: E402
from smolforge.store.artifact import Artifact, Manifest  # noqa: E402
from smolforge.tokens.config import TokenizerConfig  # noqa: E402
from smolforge.tokens.template import ChatCodec, render  # noqa: E402
from smolforge.tokens.tokenizer import train_tokenizer  # noqa: E402
from smolforge.tokens.tokenizer_stage import write_tokenizer_side_files  # noqa: E402

AREAS = {"kitchen": "Küche", "bedroom": "Schlafzimmer", "office": "Büro", "garden": "Garten", "salon": "客厅"}
THINGS = ("light", "fan", "cover")


def command_rows() -> list[dict[str, Any]]:
    rows = []
    for area, local in AREAS.items():
        for thing in THINGS:
            for verb, name in (("on", "HassTurnOn"), ("off", "HassTurnOff")):
                call = {"name": name, "arguments": {"area": area, "domain": thing}}
                messages = [
                    {"role": "user", "content": f"Turn {verb} the {thing}, {local}!"},
                    {"role": "assistant", "content": "", "tool_calls": [call]},
                ]
                rows.append(
                    {"id": f"{area}-{thing}-{verb}", "messages": messages, "mode": "no_think", "language": "en"}
                )
    return rows


def train(decoder: Decoder, codec: ChatCodec, rows: list[dict[str, Any]], steps: int) -> None:
    """Learn the answers by heart: enough for choices with clear margins."""
    encoded = codec.encode_many(rows)
    longest = max(len(row.ids) for row in encoded)
    tokens = torch.full((len(rows), longest), codec.pad)
    labels = torch.full((len(rows), longest), -100)
    for i, row in enumerate(encoded):
        tokens[i, : len(row.ids)] = torch.tensor(row.ids)
        targets = [token if supervised else -100 for token, supervised in zip(row.ids, row.mask, strict=True)]
        labels[i, : len(row.ids) - 1] = torch.tensor(targets[1:])
    optimizer = torch.optim.AdamW(decoder.parameters())
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 8e-3 * (1 - step / steps)
        logits = decoder.logits(decoder(tokens))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Artifacts as the stages before export leave them: ``tokenizer``, ``synthesize`` and ``merge``."""
    root: Path = tmp_path_factory.mktemp("artifacts")
    rows = command_rows()
    config = TokenizerConfig(vocab_size=640, scaffold=('"HassTurnOn"', '"HassTurnOff"'))
    tokenizer = train_tokenizer({"en": [render(row["messages"], mode="no_think") for row in rows]}, [], config)
    codec = ChatCodec(tokenizer)
    folder = root / "tokenizer"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    write_tokenizer_side_files(folder, codec, config)
    (root / "synthesize").mkdir()
    for name in ("commands_train", "commands_seen"):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (root / "synthesize" / f"{name}.jsonl").write_text(text, encoding="utf-8")
    shape = ModelConfig(
        vocab_size=codec.vocab_size,
        hidden_size=64,
        intermediate_size=160,
        n_layers=4,
        n_heads=4,
        n_kv_heads=2,
        max_position_embeddings=512,
        initializer_range=0.1,
    )
    decoder = initialise(Decoder(shape), seed=1)
    train(decoder, codec, rows, steps=100)
    save_pretrained(decoder, root / "merge" / "model")
    artifacts = {}
    for stage in ("tokenizer", "synthesize", "merge"):
        write_json(root / stage / "manifest.json", Manifest(stage, stage, "1", {}, {}, 0).__dict__)
        artifacts[stage] = Artifact.open(root / stage)
    return artifacts
