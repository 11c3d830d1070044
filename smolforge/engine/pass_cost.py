"""What a forward pass costs by its rows, learned from passes that were timed on a machine that others may use too.

Input: (rows, seconds) of passes. Output: the seconds that so many rows may be expected to take. A straight line through
all that was measured, the newest weighing most, follows the machine where it becomes slower; what a number of rows
costs beside the line (kernels work in tiles) is believed the more, the oftener it was measured.
"""

from __future__ import annotations

_KEPT = 0.97  # share of its weight that a measurement keeps when the next one comes
_OUTLIER = 2.0  # a pass this many times slower than expected was disturbed and counts as this much
_ROW = 0.1  # of a pass over one row: what a further row costs where nothing else is known
_TRUST = 10.0  # of that assumption, in squared rows
_SMOOTHING = 0.15  # weight of the newest residue of a number of rows
_FEW = 4.0  # measurements after which such a residue counts half


class PassCost:
    """Seconds of a pass by its rows; any unit before the first measurement."""

    def __init__(self) -> None:
        self._first, self._slope = 1.0, _ROW  # of one row, and of every further one
        self._weight = self._x = self._xx = self._y = self._xy = 0.0  # sums over measurements; x: rows beyond the first
        self._beside: dict[int, tuple[float, int]] = {}  # by rows: seconds above the line, and how often measured

    def observe(self, rows: int, seconds: float) -> None:
        """Take the time of one pass."""
        if self._weight:
            seconds = min(seconds, _OUTLIER * self[rows])
        x = rows - 1.0
        self._weight = _KEPT * self._weight + 1
        self._x, self._xx = _KEPT * self._x + x, _KEPT * self._xx + x * x
        self._y, self._xy = _KEPT * self._y + seconds, _KEPT * self._xy + x * seconds
        self._fit()
        mean, count = self._beside.get(rows, (0.0, 0))
        residue = seconds - self._line(rows)
        self._beside[rows] = (mean + max(_SMOOTHING, 1 / (count + 1)) * (residue - mean), count + 1)

    def __getitem__(self, rows: int) -> float:
        """Return the expected seconds of a pass over ``rows`` rows."""
        mean, count = self._beside.get(rows, (0.0, 0))
        return max(self._line(rows) + mean * count / (count + _FEW), 1e-9)

    def _line(self, rows: int) -> float:
        return self._first + self._slope * (rows - 1)

    def _fit(self) -> None:
        """Least squares, with the assumed cost of a row as a further term: _TRUST · (slope − _ROW · first)²."""
        a, b, d = self._weight + _TRUST * _ROW**2, self._x - _TRUST * _ROW, self._xx + _TRUST
        determinant = a * d - b * b
        self._first = (d * self._y - b * self._xy) / determinant
        self._slope = max((a * self._xy - b * self._y) / determinant, 0.0)
