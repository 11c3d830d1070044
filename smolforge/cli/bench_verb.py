"""`smolforge bench`: how fast a model is here, how near the machine's roof, and what it takes in memory and energy."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from smolforge.cli.options import KV_KINDS, model_arguments, positive

if TYPE_CHECKING:
    from smolforge.engine.bench import Speed


PROMPT_TOKENS = 512


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    model_arguments(parser)
    parser.add_argument(
        "--prompt-tokens", type=int, metavar="N", help=f"tokens to read ({PROMPT_TOKENS}, or what the context leaves)"
    )
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="tokens to write (64)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="times the prompt is read (3)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads (as many as there are cores)")
    parser.add_argument("--kv", choices=KV_KINDS, default="f16", help="how keys and values are kept (f16)")
    parser.add_argument("--json", action="store_true", help="all figures as JSON")


def run(options: argparse.Namespace) -> int:
    """Measure and tell. What happens goes to standard error, the figures to standard output."""
    positive(options, "prompt_tokens", "tokens", "repeats", "threads")
    found = measure(options)
    print(json.dumps(found, indent=2) if options.json else render(found))
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Open, measure, and return everything as a JSON value."""
    from smolforge.cli.opening import chosen_model
    from smolforge.engine import _native
    from smolforge.engine.bandwidth import read_bandwidth
    from smolforge.engine.bench import Bench, positions
    from smolforge.engine.loaded import open_model
    from smolforge.errors import ConfigError
    from smolforge.recipe.energy import EnergyMeter
    from smolforge.recipe.machine import describe

    path = chosen_model(options)
    began = time.perf_counter()
    model = open_model(path, threads=options.threads)
    opened = time.perf_counter() - began
    threads = model.native.threads
    if options.prompt_tokens is None:
        options.prompt_tokens = max(1, min(PROMPT_TOKENS, model.context - positions(0, options.tokens)))
    room = positions(options.prompt_tokens, options.tokens)
    if room > model.context:
        raise ConfigError(
            f"--prompt-tokens {options.prompt_tokens} and --tokens {options.tokens} take {room} positions, the model "
            f"was made for {model.context}"
        )
    bench = Bench(model, options.kv, room)
    meter, busy = EnergyMeter(), time.process_time()
    speed = bench.measure(options.prompt_tokens, options.tokens, options.repeats, _say)
    energy = meter.reading(time.process_time() - busy)
    peak = _peak_memory()  # before the probe takes a buffer of its own
    _say("read bandwidth")
    bandwidth = read_bandwidth(threads)
    machine = describe()
    return {
        "model": str(path),
        "machine": {"processor": machine["processor"], "cores": machine["cores"]},
        "isa": _native.isa(),
        "threads": threads,
        "kv": options.kv,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "open_seconds": round(opened, 3),
        "bandwidth_bytes_per_second": round(bandwidth),
        **_figures(options, speed, bandwidth),
        "peak_memory_bytes": peak,
        **energy,
        "energy_j_per_token": round(energy["energy_j"] / _tokens(options), 4),
    }


def _peak_memory() -> int | None:
    """Return the most bytes this process held, None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def _tokens(options: argparse.Namespace) -> int:
    """Return how many tokens were read and written in all; passes over k rows count as written."""
    from smolforge.engine.bench import ROWS

    passes = max(options.repeats, options.tokens // 2)
    return int(options.prompt_tokens * options.repeats + options.tokens + passes * sum(ROWS))


def _figures(options: argparse.Namespace, speed: Speed, bandwidth: float) -> dict[str, Any]:
    from smolforge.cli.estimate_verb import read_shape
    from smolforge.engine.architectures import tensor_shapes
    from smolforge.engine.estimate import kv_token_bytes, weight_bytes
    from smolforge.engine.weights import targets

    config, stored, _ = read_shape(options.model or options.named_model)
    total, read = weight_bytes(config, stored or targets(tensor_shapes(config, "model"), "auto"))
    read += speed.prompt * kv_token_bytes(config, options.kv)
    one = speed.row_seconds[1]
    return {
        "prompt_tokens": speed.prompt,
        "prefill_tokens_per_second": round(speed.prefill, 1),
        "decode_tokens_per_second": round(speed.decode, 1),
        "rows": {str(k): {"seconds": s, "times_one_row": round(s / one, 2)} for k, s in speed.row_seconds.items()},
        "weight_bytes": total,
        "bytes_read_per_token": read,
        "roofline_share": round(read * speed.decode / bandwidth, 3),
    }


def render(found: dict[str, Any]) -> str:
    """Return the figures as text."""
    from smolforge.cli.table import size_text

    rows = ", ".join(f"{k} rows {part['times_one_row']:.2f}x" for k, part in found["rows"].items() if k != "1")
    machine = found["machine"]
    load = "" if found["load"] is None else f", load {found['load']:.1f}"
    peak = "unknown" if found["peak_memory_bytes"] is None else size_text(found["peak_memory_bytes"])
    bandwidth, read = (size_text(found[key]) for key in ("bandwidth_bytes_per_second", "bytes_read_per_token"))
    lines = {
        "model": found["model"],
        "machine": f"{machine['processor']}, {found['threads']} threads, {found['isa']}{load}",
        "opened in": f"{found['open_seconds']:.2f} s",
        "prefill": f"{found['prefill_tokens_per_second']:.0f} tokens/s over {found['prompt_tokens']} tokens",
        "decode": f"{found['decode_tokens_per_second']:.1f} tokens/s after them, {found['kv']} keys and values",
        "k rows": f"{rows} the time of one",
        "roofline": f"{100 * found['roofline_share']:.0f}% of {bandwidth}/s: a token reads {read}",
        "memory": f"{peak} at most, {size_text(found['weight_bytes'])} of it weights",
        "energy": f"{found['energy_j_per_token']:.3f} J a token read or written; {found['energy_method']}",
    }
    return "\n".join(f"{name:<10} {text}" for name, text in lines.items())


def _say(text: str) -> None:
    print(f"measuring: {text}", file=sys.stderr, flush=True)
