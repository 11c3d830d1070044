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


def die_with(parent: int) -> None:
    """Ask the system to kill this process when its parent ends; where it cannot, the closed pipe ends it when idle."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def limit_memory(mib: int) -> None:
    """Allow ``mib`` MiB of private writable memory beyond what is held now, where the system says how much that is."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    held = _held()
    if held is not None:
        limit = held + (mib << 20)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _held() -> int | None:
    """Return the bytes that RLIMIT_DATA counts (VmData), None on a system without /proc."""
    with contextlib.suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) << 10
    return None


def prepare(path: list[str], imports: Sequence[str], mib: int) -> None:
    """Load what the parent asked for, from where the parent finds it, then accept the limit."""
    sys.path[:] = path
    for name in imports:
        importlib.import_module(name)
    limit_memory(mib)


def answer(pipe: Connection[Any, Any], prepared: bool) -> tuple[str, Any]:
    """Read one request and do what it asks. EOFError when the parent has closed."""
    try:
        if not prepared:
            prepare(*pipe.recv())
            return "returned", None
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
    """Serve the parent named on the command line: descriptor of the pipe, process id."""
    pipe: Connection[Any, Any] = Connection(int(sys.argv[1]))
    die_with(int(sys.argv[2]))
    prepared = False
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            reply = answer(pipe, prepared)
            pipe.send(reply)
            prepared = True


if __name__ == "__main__":
    main()
