"""The server under load: right answers, no failures and flat memory for minutes, and its pace beside llama-server's.

First the greedy answers are computed one after the other in this process. Then many clients ask `smolforge serve` at
once; some leave in the middle, some send nonsense or hostile schemas. Last, it and llama-server (built by
benchmarks/peers.sh, same file, same threads) are rushed in turn with the same new questions.

    python benchmarks/serve.py --clients 200 --seconds 180 --json serve.json
    python benchmarks/serve.py --quick
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from edge import machine, peer
from edge.claims import Claim
from edge.models import packaged_model
from load.ours import served
from load.questions import Question, questions
from load.rounds import in_turn
from load.soak import Tally, soak

from smolforge.engine.engine import Engine
from smolforge.generator import Sampling

CONTEXT, KNOWN = 2048, 48
LIMITS = ("--parallel", "32", "--queue", "1024")
GROWTH = 2.0  # megabytes a minute that a server may seem to grow by, on a machine that measures in pages


def known_answers(model: Path, threads: int) -> list[tuple[Question, str]]:
    """Return questions with their greedy answers, each computed alone and without drafts."""
    with Engine.open(model, threads=threads, context=CONTEXT) as engine:
        return [
            (one, engine.chat(one.messages, sampling=Sampling(), max_tokens=one.max_tokens, speculate=False).text)
            for one in questions(KNOWN)
        ]


def soundness(tally: Tally, seconds: float) -> list[Claim]:
    """Return what must hold, with what was done."""
    done = ", ".join(f"{count} {kind}" for kind, count in tally.done.items())
    for what in (*tally.wrong[:5], *tally.failed[:5]):
        print(f"  {what}", file=sys.stderr)
    before, after = tally.memory[len(tally.memory) // 2][1], tally.memory[-1][1]
    return [
        Claim("wrong answers", len(tally.wrong), None, 0, "answers", "lower", f"{seconds:.0f} s: {done}"),
        Claim("failures", len(tally.failed), None, 0, "requests", "lower", "status 5xx, or broken off"),
        Claim("memory, second half", tally.slope(), None, GROWTH, "MB/min", "lower", f"{before:.0f} to {after:.0f} MB"),
    ]


def pace(ours: int, theirs: int, clients: int, rounds: int) -> list[Claim]:
    """Return the figures of both servers under the same rush."""
    mine, peers = in_turn(ours, theirs, clients, rounds)
    note = f"{clients} clients at once, {rounds} rounds in turn"
    firsts = [
        Claim(f"first token, p{p}", mine.first(p), peers.first(p), 1.0, "s", "lower", note) for p in (50, 99)
    ]  # fmt: skip
    return [*firsts, Claim("tokens in all", mine.rate, peers.rate, 1.5, "tok/s", note=note)]


def run(arguments: argparse.Namespace) -> Iterator[Claim]:
    """Run all phases and yield claims as they are measured; the peer is left out where it is not built."""
    model, threads, clients = packaged_model(), arguments.threads, arguments.clients
    known = known_answers(model, threads) if arguments.seconds else []
    with served(model, threads=threads, context=CONTEXT, options=LIMITS) as ours:
        if known:
            yield from soundness(soak(ours, known, clients, arguments.seconds), arguments.seconds)
        if not arguments.rounds:
            return
        if not peer.available():
            print("llama-server is not built (benchmarks/peers.sh): its side is left out", file=sys.stderr)
            return
        slots = ("-np", str(arguments.slots), "--cache-ram", "0")
        with peer.server(model, threads=threads, context=CONTEXT * arguments.slots, options=slots) as theirs:
            yield from pace(ours.port, theirs.port, clients, arguments.rounds)


def main() -> int:
    """Run and print the table; exit code 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200, help="at once (200)")
    parser.add_argument("--seconds", type=float, default=180, help="of mixed load (180; 0: none)")
    parser.add_argument("--rounds", type=int, default=3, help="of both servers in turn (3; 0: none)")
    parser.add_argument("--slots", type=int, default=8, help="of llama-server (8, faster here than 32)")
    parser.add_argument("--quick", action="store_true", help="24 clients, 20 seconds, one round")
    parser.add_argument("--threads", type=int, default=2, help="of both servers (2)")
    parser.add_argument("--json", type=Path, help="also write {claim: {ours, peer, ratio, target}} here")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.clients, arguments.seconds, arguments.rounds = 24, 20.0, 1
    if peer.available():
        print("\n".join(machine.describe(arguments.threads)), flush=True)
    print(f"{'claim':<34} {'ours':>9} {'peer':>9} {'unit':<18} {'ratio':>7} {'target':>8}", flush=True)
    claims = []
    for claim in run(arguments):
        print(claim.line(), flush=True)
        claims.append(claim)
    if arguments.json:
        arguments.json.write_text(json.dumps({c.name: c.record() for c in claims}, indent=2) + "\n", encoding="utf-8")
    return 0 if all(claim.met for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
