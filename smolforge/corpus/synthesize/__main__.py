"""Look at samples: ``python -m smolforge.corpus.synthesize --show 5 [--seed 1] [--languages en fr]``.

Builds small sets in a temporary folder and prints the first rows of each to standard output.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

from smolforge.corpus.synthesize.config import LANGUAGES, CommandsConfig, SynthesizeConfig
from smolforge.corpus.synthesize.stage import run
from smolforge.errors import SmolforgeError
from smolforge.store import StageContext


def main() -> int:
    """Print samples of every set; 2 for what a person can fix."""
    parser = argparse.ArgumentParser(prog="python -m smolforge.corpus.synthesize", description=__doc__)
    parser.add_argument("--show", type=int, default=5, metavar="N", help="rows per set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--languages", nargs="+", default=list(LANGUAGES), choices=LANGUAGES)
    options = parser.parse_args()
    config = SynthesizeConfig(
        languages=tuple(options.languages),
        commands=CommandsConfig(train=300, seen=30, templates=30, values=30, documents=30),
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            run(config, StageContext(work=Path(folder), inputs={}, seed=options.seed))
            for path in sorted(Path(folder).glob("*.jsonl")):
                print(f"== {path.name}")
                with path.open(encoding="utf-8") as lines:
                    print(*itertools.islice(lines, options.show), sep="")
    except SmolforgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
