"""The launcher of a cluster: attempts as Ray Core tasks, each made in a child of the Ray worker that takes it.

In: attempts; their outputs must lie on storage that all nodes see. Out: what became of them. Which retries there are
is the runner's decision: Ray has none of its own.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from typing import Any

from smolforge.corpus.engine.child import LimitedChild
from smolforge.corpus.engine.launcher import IMPORTS, Attempt, Finished, perform_limited
from smolforge.errors import ConfigError, MissingDependencyError, SmolforgeError

HERE = "auto"
STARTS = 6
OBJECT_STORE_BYTES = 80 << 20  # attempts and answers are small; what jobs write goes to files
# Read by Ray when it is imported. Nothing is reported to anybody; a cluster of this machine's own talks over its
# loopback device, which Ray calls the manner of Windows and macOS, and its workers count as much as our own would.
# On a busy machine a worker may need more than Ray's 60 seconds to start; a driver waits for ever for those that were
# to be there before it, so none is.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_worker_niceness": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_worker_register_timeout_seconds": "300",
}


class RayLauncher:
    """``address`` is ``auto`` for a cluster of ``width`` worker processes on this machine, which ends with us, or that
    of a running one, whose CPUs say how many attempts run at once."""

    def __init__(self, address: str, width: int, memory_mib: int, recycle_after: int) -> None:
        self._ray = _ray(address)
        self._limits = (memory_mib, recycle_after)
        self._path = sys.path if address == HERE else []  # another machine has its modules in places of its own
        self._running: dict[Any, Attempt] = {}
        self._ours = not self._ray.is_initialized()
        if self._ours:
            _connect(self._ray, address, width)
        self._remote = self._ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")(_perform)

    @property
    def width(self) -> int:
        """CPUs of the cluster as it is now."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def submit(self, attempt: Attempt) -> None:
        reference = self._remote.remote(pickle.dumps(attempt), self._path, *self._limits)
        self._running[reference] = attempt

    def done(self) -> list[Finished]:
        ready, _ = self._ray.wait(list(self._running), num_returns=1)
        return [self._result(reference, self._running.pop(reference)) for reference in ready]

    def cancel(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()

    def close(self) -> None:
        if self._ray.is_initialized():
            self.cancel()
            if self._ours:
                self._ray.shutdown()

    def _result(self, reference: Any, attempt: Attempt) -> Finished:
        try:
            finished: Finished = self._ray.get(reference)
            return finished
        except self._ray.exceptions.RayTaskError as error:
            reason = str(error).strip().splitlines()[-1]  # the first ones are Ray's own
            problem = SmolforgeError(
                f"a worker of the cluster cannot run our jobs: {reason}; is smolforge installed there?"
            )
            return Finished(attempt.number, error=problem)
        except self._ray.exceptions.RayError as error:
            return Finished(attempt.number, words=str(error), lost=True)


_CHILDREN: dict[tuple[int, int], LimitedChild] = {}


def _perform(attempt: bytes, path: list[str], memory_mib: int, recycle_after: int) -> Finished:
    """Run on a Ray worker: make the attempt in the child that this worker keeps for the next ones too.

    ``path``: where else modules are found. The attempt is pickled by us, since Ray would look for its job too early.
    """
    sys.path += [place for place in path if place not in sys.path]
    limits = (memory_mib, recycle_after)
    if limits not in _CHILDREN:
        _CHILDREN[limits] = LimitedChild(memory_mib=memory_mib, recycle_after=recycle_after, imports=IMPORTS)
    return perform_limited(_CHILDREN[limits], pickle.loads(attempt))


def _ray(address: str) -> Any:
    os.environ.update(QUIET | (LOOPBACK if address == HERE else {}))
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise MissingDependencyError("ray", "cluster", "a corpus on a cluster (corpus.cluster)") from None
    return ray


def _connect(ray: Any, address: str, width: int) -> None:
    if address == HERE:
        _start(ray, width)
        return
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError, ImportError) as error:
        raise ConfigError(
            f"corpus.cluster: no Ray cluster answers at '{address}' ({_first_line(error)}); "
            "one that asks for a token needs RAY_AUTH_MODE=token and its token in ~/.ray/auth_token here"
        ) from None


def _start(ray: Any, width: int) -> None:
    """Start a cluster on this machine; Ray gives its processes 15 to 30 seconds, which a busy machine may not have."""
    for tries_left in reversed(range(STARTS)):
        try:
            ray.init(
                address="local",  # without it, Ray joins a cluster that somebody else started here
                num_cpus=width,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )
            return
        except Exception as error:  # what Ray raises here has no class of its own
            ray.shutdown()
            _end_started(error)
            if not tries_left:
                raise SmolforgeError(f"corpus.cluster: Ray does not start here: {_first_line(error)}") from error


def _end_started(error: Exception) -> None:
    """End the processes of a node that did not start: Ray keeps no hold of it, and they would stay as long as we do."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        node: Any = frame.f_locals.get("self")
        if hasattr(node, "kill_all_processes"):
            node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
