"""`smolforge estimate`: whether a model fits a machine's memory, and how fast it would answer here."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    from smolforge.cli.models import HELP

    parser.add_argument("model", nargs="?", help=f"a recipe's preset (nano, 135m, 3b ...), a config.json, or {HELP}")
    parser.add_argument("--context", type=int, default=4096, metavar="N", help="tokens to hold (4096)")
    parser.add_argument("--memory", type=memory_bytes, metavar="SIZE", help="e.g. 4GB or 3.5GiB (this machine's)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads that read (as many as cores may be used)")
    parser.add_argument("--bandwidth", type=memory_bytes, metavar="SIZE", help="read bandwidth a second (measured)")
    parser.add_argument("--json", action="store_true", help="all ways as JSON")


def memory_bytes(text: str) -> float:
    """Read a size such as ``4GB``; argparse says what is wrong with it."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ki|mi|gi|k|m|g|)b?(?:/s)?\s*", text, re.IGNORECASE)
    if found is None or float(found[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; expected e.g. 4GB or 3.5GiB")
    return float(found[1]) * UNITS[found[2].lower()]


def run(options: argparse.Namespace) -> int:
    """Compute and tell; what does not fit is an answer too."""
    from smolforge.cli.options import positive
    from smolforge.engine.bandwidth import read_bandwidth
    from smolforge.engine.estimate import best, estimate
    from smolforge.recipe import machine

    positive(options, "context", "threads")
    config, stored, what = read_shape(options.model)
    memory = options.memory or machine.memory_bytes()
    bandwidth = options.bandwidth or read_bandwidth(options.threads or machine.usable_cores())
    ways = estimate(config, stored, options.context, memory, bandwidth)
    chosen = best(ways)
    found = {
        "model": what,
        "context": options.context,
        "made_for": config["max_position_embeddings"],
        "memory_bytes": memory,
        "bandwidth_bytes_per_second": bandwidth,
        "fits": chosen is not None,
        "best": chosen and chosen.as_dict(),
        "ways": [way.as_dict() for way in ways],
    }
    print(json.dumps(found, indent=2) if options.json else render(found))
    return 0


def render(found: dict[str, Any]) -> str:
    """Return the ways as a table, and the one to take."""
    from smolforge.cli.table import render as table
    from smolforge.cli.table import size_text

    heads = ["weights", "kv", "weights take", "kv takes", "in all", "fits", "tokens/s", f"at {found['context']:,}"]
    rows = [
        [way["weights"], way["kv"], *(size_text(way[key]) for key in ("weight_bytes", "kv_bytes", "total_bytes")),
         "yes" if way["fits"] else "no", _rate(way["tokens_per_second"]), _rate(way["tokens_per_second_full"])]
        for way in found["ways"]
    ]  # fmt: skip
    chosen = found["best"]
    memory = size_text(found["memory_bytes"])
    if chosen:
        verdict = f"fits {memory}: {chosen['weights']} weights, {chosen['kv']} keys and values"
    else:
        least = min(way["total_bytes"] for way in found["ways"])
        verdict = f"does not fit {memory}: at least {size_text(least)} are needed"
    notes = [f"{found['model']}: {verdict}"]
    if found["context"] > found["made_for"]:
        notes.append(f"the model was made for {found['made_for']:,} tokens; YaRN stretches that up to four times")
    bandwidth = size_text(found["bandwidth_bytes_per_second"])
    notes.append(f"tokens/s: {bandwidth}/s of read bandwidth, of which decoding reaches about 80%; an estimate")
    return "\n".join([table(heads, rows, right={2, 3, 4, 6, 7}), "", *notes])


def _rate(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def read_shape(name: str | None) -> tuple[dict[str, Any], dict[str, str] | None, str]:
    """Return (flat config, types the file keeps or None, what it is called)."""
    from smolforge.cli.models import find_model
    from smolforge.formats.hf_config import flat_config, read_config
    from smolforge.model.presets import PRESETS

    if name in PRESETS and not Path(name).exists():
        from smolforge.model.hf_config import to_hf
        from smolforge.model.presets import preset

        return flat_config(to_hf(preset(name)), name), None, f"preset {name}"
    if name and Path(name).name == "config.json" and Path(name).is_file():
        return read_config(Path(name)), None, name
    path = find_model(name)
    if path.suffix != ".gguf":
        return read_config(path), None, str(path)
    from smolforge.formats.gguf_model import GGUFModel

    model = GGUFModel(path)
    types = {tensor: model.info(tensor).kind.name for tensor in model.shapes}
    quantized = any(kind.startswith(("Q", "IQ")) for kind in types.values())
    return model.config, types if quantized else None, str(path)
