"""The engine's claims of speed and size, each measured against llama.cpp built natively on the same machine.

Both sides run in turn in one process tree, with the same files, threads and work; a claim is the ratio of medians over
the calmest turns; for extraction, of one mean over all documents (each once, the first not counted), calm or not.
Build the peer first:

    benchmarks/peers.sh
    python benchmarks/engine.py --json engine.json
    python benchmarks/engine.py --quick --only small_decode
"""

from __future__ import annotations

import sys

from edge import concurrent, extraction, small, speed, table

ROWS: dict[str, table.Row] = {
    "small_decode": speed.small_decode,
    "small_prefill": speed.small_prefill,
    "large_decode": speed.large_decode,
    "large_prefill": speed.large_prefill,
    "large_rows": speed.large_rows,
    "long_decode": speed.long_decode,
    "concurrent": concurrent.row,
    "extraction": extraction.row,
    "wheel": small.wheel,
    "import": small.import_time,
    "resident": small.resident,
    "first_token": small.first_token,
}

if __name__ == "__main__":
    sys.exit(table.run(ROWS, __doc__))
