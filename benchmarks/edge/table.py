"""The command line that the benchmark scripts share: which rows, how long, and the printed table.

In: the rows a script has. Out: the table on standard output, a JSON file where it is asked for, and the exit code.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from . import machine
from .claims import Claim
from .setting import Setting

Row = Callable[[Setting], list[Claim]]
TURNS, QUICK_TURNS = 7, 3


def run(rows: Mapping[str, Row], about: str | None) -> int:
    """Run the rows asked for on the command line; return 1 if a target was missed, else 0."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(rows), action="append", help="a row; may be given several times")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TURNS} turns instead of {TURNS}, of less work")
    parser.add_argument("--threads", type=int, default=2, help="of both sides (default 2)")
    parser.add_argument("--json", type=Path, help="also write {claim: {ours, peer, ratio, target}} here")
    arguments = parser.parse_args()
    setting = Setting(arguments.threads, QUICK_TURNS if arguments.quick else TURNS, arguments.quick)
    print("\n".join(machine.describe(setting.threads)), flush=True)
    print(f"{'claim':<34} {'ours':>9} {'peer':>9} {'unit':<18} {'ratio':>7} {'target':>8}")
    claims = []
    for name in arguments.only or rows:
        for claim in rows[name](setting):
            print(claim.line(), flush=True)
            claims.append(claim)
    if arguments.json:
        arguments.json.write_text(json.dumps({c.name: c.record() for c in claims}, indent=2) + "\n", encoding="utf-8")
    return 0 if all(claim.met for claim in claims) else 1
