"""Which arithmetic a stage trains in: float32, or bfloat16 autocast over float32 master weights.

``auto`` asks the machine, because bfloat16 on a CPU without bfloat16 units is many times slower than float32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch


def cpu_has_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 in hardware (AVX512-BF16, AMX, or the Arm extension)."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16 "))


def resolve(wanted: str, device: torch.device) -> tuple[torch.dtype, str]:
    """Return the compute dtype and the reason for it, in words that go into the manifest."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted], "set by the recipe"
    if device.type == "cuda":
        return (
            (torch.bfloat16, "GPU with bfloat16")
            if torch.cuda.is_bf16_supported()
            else (torch.float32, "GPU without bfloat16")
        )
    return (
        (torch.bfloat16, "CPU with bfloat16 units")
        if cpu_has_bfloat16()
        else (torch.float32, "CPU without bfloat16 units")
    )


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Return the context of the forward pass; weights and optimizer stay float32 either way."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)
