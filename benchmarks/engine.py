"""The engine's claims of speed and size, each measured against llama.cpp built natively on the same machine.

Both sides run in turn in one process tree, with the same files, threads and work; a claim is the ratio of medians over
the calmest turns; for extraction, of one mean over all documents (each once, the first not counted), calm or not.
Decoding at 16k context has no row yet (docs/lab.md says why). Build the peer first:

    benchmarks/peers.sh
    python benchmarks/engine.py --json engine.json
    python benchmarks/engine.py --quick --only small_decode
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from edge import concurrent, extraction, machine, small, speed
from edge.claims import Claim
from edge.setting import Setting

ROWS: dict[str, Callable[[Setting], list[Claim]]] = {
    "small_decode": speed.small_decode,
    "small_prefill": speed.small_prefill,
    "large_decode": speed.large_decode,
    "large_prefill": speed.large_prefill,
    "large_rows": speed.large_rows,
    "concurrent": concurrent.row,
    "extraction": extraction.row,
    "wheel": small.wheel,
    "import": small.import_time,
    "resident": small.resident,
    "first_token": small.first_token,
}
TURNS, QUICK_TURNS = 7, 3


def main() -> None:
    """Run the rows asked for and print the table; exit code 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(ROWS), action="append", help="a row; may be given several times")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TURNS} turns instead of {TURNS}")
    parser.add_argument("--threads", type=int, default=2, help="of both sides (default 2)")
    parser.add_argument("--json", type=Path, help="also write {claim: {ours, peer, ratio, target}} here")
    arguments = parser.parse_args()
    setting = Setting(arguments.threads, QUICK_TURNS if arguments.quick else TURNS, arguments.quick)
    print("\n".join(machine.describe(setting.threads)), flush=True)
    print(f"{'claim':<34} {'ours':>9} {'peer':>9} {'unit':<18} {'ratio':>7} {'target':>8}")
    claims = []
    for name in arguments.only or ROWS:
        for claim in ROWS[name](setting):
            print(claim.line(), flush=True)
            claims.append(claim)
    if arguments.json:
        arguments.json.write_text(json.dumps({c.name: c.record() for c in claims}, indent=2) + "\n", encoding="utf-8")
    sys.exit(0 if all(claim.met for claim in claims) else 1)


if __name__ == "__main__":
    main()
