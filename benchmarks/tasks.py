"""The tasks' claims of speed, each measured against llama-server of llama.cpp built natively on the same machine.

Both sides run in turn in one process tree, with the same model file, threads, prompts and work; llama-server has the
flags that were fastest for each. A claim is the ratio of medians over the calmest turns; for extraction, of means over
all documents. Build the peer first:

    benchmarks/peers.sh
    python benchmarks/tasks.py --json tasks.json
    python benchmarks/tasks.py --quick --only classification
"""

from __future__ import annotations

import sys

from edge import classification, extraction, routing, table

ROWS: dict[str, table.Row] = {
    "extraction": extraction.row,
    "extraction_together": extraction.together,
    "classification": classification.row,
    "documents": routing.row,
}

if __name__ == "__main__":
    sys.exit(table.run(ROWS, __doc__))
