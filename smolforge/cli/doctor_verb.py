"""`smolforge doctor`: what this machine has, what of smolforge works on it, and what to install for the rest."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import platform
from pathlib import Path
from typing import Any

# extra → the packages it brings whose absence is felt, as (distribution, module)
EXTRAS: dict[str, list[tuple[str, str]]] = {
    "train": [("torch", "torch"), ("safetensors", "safetensors")],
    "data": [
        ("pyarrow", "pyarrow"),
        ("py3langid", "py3langid"),
        ("phonenumbers", "phonenumbers"),
        ("home-assistant-intents", "home_assistant_intents"),
        ("hassil", "hassil"),
        ("reasoning-gym", "reasoning_gym"),
        ("django", "django"),
    ],
    "dev": [("transformers", "transformers"), ("xllamacpp", "xllamacpp"), ("pytest", "pytest"), ("mypy", "mypy")],
}
NANO_DISK, NANO_MEMORY = 2 * 10**9, 3 * 10**9


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--json", action="store_true", help="the findings as JSON")


def run(options: argparse.Namespace) -> int:
    """Look and tell."""
    found = examine(Path.cwd())
    print(json.dumps(found, indent=2) if options.json else render(found))
    return 0


def examine(folder: Path) -> dict[str, Any]:
    """Return everything as a JSON value. Torch is imported only if it is there."""
    import smolforge
    from smolforge.recipe.energy import EnergyMeter
    from smolforge.recipe.machine import describe, free_disk_bytes

    machine = describe()
    packages = {
        extra: {name: _version(name) if importlib.util.find_spec(module) else None for name, module in wanted}
        for extra, wanted in EXTRAS.items()
    }
    return {
        "smolforge": smolforge.__version__,
        "python": platform.python_version(),
        "machine": machine | {"disk_free_bytes": free_disk_bytes(folder)},
        "energy": EnergyMeter().reading(0.0)["energy_method"],
        "engine": _engine(),
        "models": _models(),
        "torch": _torch() if packages["train"]["torch"] else None,
        "packages": packages,
        "advice": _advice(packages, machine["memory_bytes"], free_disk_bytes(folder)),
    }


def render(found: dict[str, Any]) -> str:
    """Return the findings as text."""
    machine = found["machine"]
    sets = " ".join(machine["instruction_sets"]) or "none that matter"
    memory, disk = machine["memory_bytes"] / 2**30, machine["disk_free_bytes"] / 2**30
    lines = [
        f"smolforge {found['smolforge']}, Python {found['python']}, {machine['system']} on {machine['architecture']}",
        f"processor   {machine['processor']}, {machine['cores']} cores",
        f"instructions {sets}",
        f"memory      {memory:.1f} GiB, disk {disk:.0f} GiB free",
        f"energy      {found['energy']}",
        f"torch       {_torch_line(found['torch'])}",
        f"engine      {_engine_line(found['engine'])}",
        f"model       {found['models']['default'] or found['models']['problem']}",
        f"cache       {found['models']['cache']}{'' if found['models']['cache_exists'] else ' (not there yet)'}",
    ]
    for extra, packages in found["packages"].items():
        shown = ", ".join(f"{name} {version or 'absent'}" for name, version in packages.items())
        lines.append(f"[{extra}]".ljust(12) + shown)
    return "\n".join([*lines, "", *(found["advice"] or ["everything the nano recipe needs is here"])])


def _engine() -> dict[str, Any]:
    """Return the kernels' instruction sets, best first, and the one in use; or why there are no kernels."""
    try:
        from smolforge.engine import _native

        return {"sets": _native.isas(), "in_use": _native.isa(), "threads": _native.default_threads()}
    except (ImportError, ValueError) as error:  # not built for this system; or SMOLFORGE_ISA names no set
        return {"problem": str(error)}


def _engine_line(found: dict[str, Any]) -> str:
    if "problem" in found:
        return f"cannot run: {found['problem']}"
    return f"{found['in_use']} kernels (of {', '.join(found['sets'])}), {found['threads']} threads"


def _models() -> dict[str, Any]:
    """Return the model that is used where none is named, and where the Hugging Face cache is."""
    from smolforge.cli.models import find_model
    from smolforge.errors import SmolforgeError
    from smolforge.hub.places import cache_root

    root = cache_root()
    found: dict[str, Any] = {"default": None, "problem": None, "cache": str(root), "cache_exists": root.is_dir()}
    try:
        found["default"] = str(find_model(None))
    except SmolforgeError as error:
        found["problem"] = str(error)
    return found


def _torch() -> dict[str, Any]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "gpus": gpus,
        "cuda": torch.version.cuda,
    }


def _torch_line(found: dict[str, Any] | None) -> str:
    if found is None:
        return "absent"
    gpus = ", ".join(found["gpus"]) or "no GPU"
    return f"{found['version']}, {found['threads']} threads, {found['capability']}, {gpus}"


def _advice(packages: dict[str, dict[str, str | None]], memory: int, disk: int) -> list[str]:
    missing = {
        extra: [name for name, version in wanted.items() if version is None] for extra, wanted in packages.items()
    }
    purpose = {"train": "training and running models", "data": "building a corpus", "dev": "the test suite"}
    advice = [
        f"for {purpose[extra]}: pip install 'smolforge[{extra}]'  (absent: {', '.join(names)})"
        for extra, names in missing.items()
        if names
    ]
    if memory < NANO_MEMORY:
        advice.append(
            f"the nano recipe wants {NANO_MEMORY / 1e9:.0f} GB of memory; this machine has {memory / 1e9:.1f}"
        )
    if disk < NANO_DISK:
        advice.append(f"the nano recipe wants {NANO_DISK / 1e9:.0f} GB of free disk; there are {disk / 1e9:.1f}")
    return advice


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "present"
