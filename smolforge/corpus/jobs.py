"""Jobs over shards: a job is a pure function from one shard path and a folder to the shard it writes there.

Input: shard paths and a module-level function. Output: one file a shard, in the order of the input, with the same
bytes whether the work ran in this process or in a pool; a cluster scheduler may run the same function.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from smolforge.store import Progress, QuietProgress

ShardJob = Callable[[Path, Path, Any], None]


def map_shards(
    job: ShardJob,
    shards: Sequence[Path],
    folder: Path,
    argument: Any,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Path]:
    """Run ``job(shard, folder / shard.name, argument)`` for every shard and return the written paths in order.

    ``job`` and ``argument`` must be picklable by reference (a module-level function, a frozen config). The first
    error of a shard is raised here, whichever process it happened in.
    """
    progress = progress or QuietProgress()
    folder.mkdir(parents=True, exist_ok=True)
    outputs = [folder / shard.name for shard in shards]
    progress.start(len(shards), "shards")
    if workers == 1 or len(shards) < 2:
        for done, (shard, output) in enumerate(zip(shards, outputs, strict=True), 1):
            job(shard, output, argument)
            progress.update(done)
        return outputs
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(shards)), mp_context=context) as pool:
        futures = [pool.submit(job, shard, output, argument) for shard, output in zip(shards, outputs, strict=True)]
        for done, future in enumerate(futures, 1):
            future.result()
            progress.update(done)
    return outputs
