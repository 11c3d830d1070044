"""Joules of a stage: from the processor's own counter (RAPL) where it can be read, else an estimate that says so.

Input is /sys/class/powercap and the CPU seconds a stage used; output goes into the manifest's cost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
WATTS_PER_BUSY_CORE = 10.0  # a stated assumption: 8 to 12 W is usual for laptop and server cores under load


class EnergyMeter:
    """Counts joules from its creation on. Call ``poll`` at least every minute: the counters wrap around."""

    def __init__(self, root: Path = POWERCAP) -> None:
        self._packages = [zone for zone in sorted(root.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        self._last = {zone: value for zone in self._packages if (value := _read(zone / "energy_uj")) is not None}
        self._joules = 0.0

    def poll(self) -> None:
        """Add what the counters counted since the last call."""
        for zone, before in self._last.items():
            now = _read(zone / "energy_uj")
            if now is not None:
                wrapped = (_read(zone / "max_energy_range_uj") or 0) if now < before else 0
                self._joules += (now - before + wrapped) / 1e6
                self._last[zone] = now

    def reading(self, cpu_seconds: float) -> dict[str, Any]:
        """Return joules and the method, named in words; ``cpu_seconds`` is what an estimate is made from."""
        self.poll()
        if self._last:
            return {"energy_j": round(self._joules, 3), "energy_method": "RAPL package counters, whole machine"}
        method = f"estimate: CPU seconds x {WATTS_PER_BUSY_CORE:g} W per busy core (no readable RAPL counter)"
        return {"energy_j": round(cpu_seconds * WATTS_PER_BUSY_CORE, 3), "energy_method": method}


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
