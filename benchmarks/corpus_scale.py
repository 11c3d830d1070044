"""How the corpus stage grows with its input: memory stays flat, CPU seconds grow in line, two workers halve the time.

In: texts of a Parquet file or folder with a column ``text``, or by default the help pages and modules of this Python.
They are varied without chance until there are enough (``grow.py``): copies, near copies and e-mail addresses among
them, so that every step has work. Out: peak memory of the driver and of the largest worker, CPU seconds a gigabyte at
each size, and the wall time of one and of two workers; a plot with ``--plot``. What FILE of ``--json`` has already is
not measured again.

    python benchmarks/corpus_scale.py [--documents FOLDER] [--sizes 1 2 4] [--workers] [--json FILE] [--plot FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grow import Base, base_texts, write_shards

FLAT, LINEAR, FASTER = 1.15, 1.15, 1.8  # targets: largest over smallest, and one worker's time over that of two
STAGE = r"""
import json, re, resource, sys, time
from pathlib import Path
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.stage import run
from smolforge.store import StageContext
config = {"sources": [sys.argv[1]], "workers": int(sys.argv[3]), "dedup": {"wipe_out_share": 0.5}}
began = time.monotonic()
outcome = run(CorpusConfig.model_validate(config), StageContext(Path(sys.argv[2]), {}, 0))
own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
json.dump({
    "wall": time.monotonic() - began,
    "cpu": sum(each.ru_utime + each.ru_stime for each in (own, children)),
    "driver_cpu": own.ru_utime + own.ru_stime,
    "driver_mib": int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024,
    "worker_mib": children.ru_maxrss / 1024,
    "counts": outcome.counts,
}, sys.stdout)
"""


@dataclass(frozen=True)
class Run:
    """One run of the stage: gigabytes of text in, peak MiB resident, seconds of all processes' CPU and on the clock."""

    gigabytes: float
    workers: int
    wall: float
    cpu: float
    driver_cpu: float
    driver_mib: float
    worker_mib: float
    counts: dict[str, Any]

    @property
    def cost(self) -> float:
        """CPU seconds a gigabyte."""
        return self.cpu / self.gigabytes

    def line(self) -> str:
        """Return the run as a line to print."""
        return (
            f"{self.gigabytes:.2f} GB, {self.workers} workers: {self.wall:.0f} s, {self.cpu:.0f} s of CPU "
            f"({self.cost:.0f} s/GB, driver {self.driver_cpu:.1f} s), "
            f"peak driver {self.driver_mib:.0f} MiB, largest worker {self.worker_mib:.0f} MiB"
        )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=Path, help="Parquet file or folder")
    parser.add_argument("--sizes", type=float, nargs="+", default=[1.0, 2.0, 4.0], help="gigabytes of text (1 2 4)")
    parser.add_argument("--workers", action="store_true", help="also compare one and two workers on the smallest size")
    parser.add_argument("--folder", type=Path, help="where to write, about 1.5 times the text (a temporary folder)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="SVG of CPU seconds and memory over gigabytes")
    options = parser.parse_args()
    file: Path | None = options.json
    runs = [Run(**row) for row in json.loads(file.read_text())["runs"]] if file and file.is_file() else []
    wanted = [(size, os.cpu_count() or 1) for size in options.sizes]
    wanted += [(min(options.sizes), workers) for workers in (1, 2) if options.workers]
    missing = [each for each in dict.fromkeys(wanted) if each not in {(run.gigabytes, run.workers) for run in runs}]
    texts = base_texts(options.documents) if missing else []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for size, workers in missing:
            runs.append(_run(Path(folder), texts, size, workers))
    claims = _claims(runs)
    for name, claim in claims.items():
        print(f"{name}: {claim['ours']:.1f} against {claim['peer']:.1f}, ratio {claim['ratio']:.3f}")
    if options.plot:
        from scale_plot import draw

        options.plot.write_text(
            draw([(run.gigabytes, run.cpu, run.driver_mib, run.worker_mib) for run in _grown(runs)])
        )
    if file:
        file.write_text(json.dumps({**claims, "runs": [asdict(run) for run in runs]}, indent=2) + "\n")
    return 0


def _run(folder: Path, texts: list[Base], gigabytes: float, workers: int) -> Run:
    """Build a corpus of so much text in a process of its own."""
    source, work = folder / "input", folder / "work"
    if not source.is_dir() or json.loads((folder / "written").read_text()) != gigabytes:
        shutil.rmtree(source, ignore_errors=True)
        write_shards(source, texts, int(gigabytes * 1e9))
        (folder / "written").write_text(json.dumps(gigabytes))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, "-c", STAGE, str(source), str(work), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    shutil.rmtree(work)
    run = Run(gigabytes, workers, **json.loads(done.stdout))
    print(run.line(), file=sys.stderr)
    return run


def _grown(runs: list[Run]) -> list[Run]:
    """Return the runs that differ in size alone, the smallest first."""
    return sorted((run for run in runs if run.workers == (os.cpu_count() or 1)), key=lambda run: run.gigabytes)


def _claims(runs: list[Run]) -> dict[str, dict[str, float]]:
    grown = _grown(runs)
    claims = _growth(grown[0], grown[-1]) if len(grown) > 1 else {}
    walls = {(run.gigabytes, run.workers): run.wall for run in runs}
    for (size, workers), one in sorted(walls.items()):
        if workers == 1 and (two := walls.get((size, 2))):
            claims["two workers, times as fast as one"] = _claim(two, one, FASTER) | {"ratio": one / two}
    return claims


def _growth(first: Run, last: Run) -> dict[str, dict[str, float]]:
    span = f"{last.gigabytes:g} GB over {first.gigabytes:g} GB"
    return {
        f"peak memory of the largest worker, MiB, {span}": _claim(last.worker_mib, first.worker_mib, FLAT),
        f"peak memory of the driver, MiB, {span}": _claim(last.driver_mib, first.driver_mib, FLAT),
        f"CPU seconds a GB, {span}": _claim(last.cost, first.cost, LINEAR),
    }


def _claim(ours: float, peer: float, target: float) -> dict[str, float]:
    return {"ours": ours, "peer": peer, "ratio": ours / peer, "target": target}


if __name__ == "__main__":
    sys.exit(main())
