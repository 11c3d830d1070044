"""The child's side of `LimitedChild`: import, accept the limits, then answer one call after another until the end.

In: pickled calls on a private pipe of the parent. Out: ("returned", value), ("raised", names) or ("memory", None).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from smolforge.errors import SmolforgeError

PR_SET_PDEATHSIG = 1  # linux/prctl.h
STATUS = Path("/proc/self/status")

_before_calls: int | None = None  # bytes held by Python and the modules that were loaded ahead of calls


def die_with(parent: int) -> None:
    """Ask the system to kill this process when its parent ends; where it cannot, the closed pipe ends it when idle."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def prepare(modules: Sequence[str], mib: int) -> None:
    """Import modules, then allow ``mib`` MiB of private writable memory beyond what was held before any call.

    On a system without /proc nothing says what is held, and there is no limit.
    """
    global _before_calls
    before = _held()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    for name in modules:
        importlib.import_module(name)
    if before is not None and (after := _held()) is not None:
        _before_calls = after if _before_calls is None else _before_calls + after - before
        limit = _before_calls + (mib << 20)
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))


def _held() -> int | None:
    """Return the bytes that RLIMIT_DATA counts (VmData), None on a system without /proc."""
    with contextlib.suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) << 10
    return None


def answer(pipe: Connection[Any, Any]) -> tuple[str, Any]:
    """Read one call and make it. EOFError when the parent has closed."""
    try:
        function, args, kwargs = pipe.recv()
        return "returned", function(*args, **kwargs)
    except EOFError:
        raise
    except MemoryError:
        return "memory", None
    except SmolforgeError as error:
        return "raised", (_public_name(error), str(error), "")
    except Exception as error:
        return "raised", (type(error).__name__, str(error), traceback.format_exc())


def _public_name(error: SmolforgeError) -> str:
    """Return the name of the nearest class that smolforge.errors defines."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == SmolforgeError.__module__)


def main() -> None:
    """Serve the parent named on the command line: descriptor of the pipe, process id (and where to find modules)."""
    pipe: Connection[Any, Any] = Connection(int(sys.argv[1]))
    die_with(int(sys.argv[2]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems refuse what they call their limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a job may merge a file of every shard
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what is printed is among the last words
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            pipe.send(answer(pipe))


if __name__ == "__main__":
    main()
