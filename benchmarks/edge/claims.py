"""What a benchmark row reports: a figure of ours, the peer's, their ratio and the target.

In: medians. Out: a line of the printed table, and the JSON form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Claim:
    """One figure. ``ratio`` says how many times better ours is than the peer; without a peer it is the figure itself.

    ``target`` bounds the ratio from below, or, where there is no peer and ``better`` is "lower", the figure from above.
    """

    name: str
    ours: float
    peer: float | None
    target: float
    unit: str
    better: Better = "higher"
    note: str = ""

    @property
    def ratio(self) -> float:
        if self.peer is None:
            return self.ours
        return self.ours / self.peer if self.better == "higher" else self.peer / self.ours

    @property
    def met(self) -> bool:
        return self.ratio <= self.target if self.peer is None and self.better == "lower" else self.ratio >= self.target

    def record(self) -> dict[str, Any]:
        """The JSON form."""
        fields = {"ours": self.ours, "peer": self.peer, "ratio": self.ratio, "target": self.target, "met": self.met}
        return {**fields, "unit": self.unit, "note": self.note}

    def line(self) -> str:
        """One row of the printed table."""
        sign = "≤" if self.peer is None and self.better == "lower" else "≥"
        peer = "" if self.peer is None else f"{self.peer:.4g}"
        ratio = "" if self.peer is None else f"{self.ratio:.2f}×"
        mark = "met" if self.met else "NOT MET"
        target = f"{sign} {self.target:g}"
        figures = f"{self.ours:>9.4g} {peer:>9} {self.unit:<18} {ratio:>7} {target:>8}"
        return f"{self.name:<34} {figures}  {mark:<7}  {self.note}"
