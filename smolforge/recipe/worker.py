"""One stage in a process of its own: ``python -m smolforge.recipe.worker CHANNEL_FD``, job on standard input.

A fresh process per stage gives each its own peak memory, thread pools and random state, gives the memory back before
the next stage, and leaves the runner alive to report when a stage is killed. The runner keeps standard input open; when
it closes, the runner is gone, and this process and everything it started end at once.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from smolforge.errors import SmolforgeError, place_problem
from smolforge.recipe.channel import ChannelProgress
from smolforge.recipe.stages import resolve
from smolforge.store import Artifact, StageContext, StageOutcome


def libraries() -> dict[str, str]:
    """Return the versions of the distributions whose modules this process has imported, and of Python."""
    by_module = importlib.metadata.packages_distributions()
    names = {name for module in list(sys.modules) if "." not in module for name in by_module.get(module, ())}
    versions = {name.lower().replace("_", "-"): importlib.metadata.version(name) for name in names}
    return {"python": sys.version.split()[0], **dict(sorted(versions.items()))}


def execute(job: dict[str, Any], progress: ChannelProgress) -> StageOutcome:
    """Rebuild configuration and inputs from the job and call the stage's function."""
    config = resolve(job["config_class"]).model_validate(job["config"])
    inputs = {name: Artifact.open(Path(path)) for name, path in job["inputs"].items()}
    outcome = resolve(job["run"])(config, StageContext(Path(job["work"]), inputs, job["seed"], progress))
    if not isinstance(outcome, StageOutcome):
        raise TypeError(f"{job['run']} returned {type(outcome).__name__}, not a StageOutcome")
    return outcome


def _execute_on_disk(job: dict[str, Any], progress: ChannelProgress) -> StageOutcome:
    """Execute the job; a full disk or a forbidden folder becomes an error for a person."""
    try:
        return execute(job, progress)
    except OSError as error:
        problem = place_problem(error)
        if problem is None:
            raise
        raise problem from error


def main() -> int:
    """Run the job; exit code 0 when done, the error's own code for a SmolforgeError, 1 with a traceback otherwise."""
    channel = ChannelProgress(int(sys.argv[1]))
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_runner, daemon=True).start()
    try:
        outcome = _execute_on_disk(job, channel)
    except SmolforgeError as error:
        channel.send(kind="error", text=str(error), code=error.exit_code)
        return error.exit_code
    except BaseException:
        traceback.print_exc()
        return 1
    channel.send(
        kind="done",
        counts=outcome.counts,
        metrics=outcome.metrics,
        resume_only=outcome.resume_only,
        libraries=libraries(),
    )
    return 0


def _end_with_the_runner() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing of a finished stage may hold up the run: idle pools, threads of libraries
