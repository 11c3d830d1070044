"""A Python process of our own for work that may hang, crash or eat memory: it costs one call, never the caller.

In: a module-level function and its arguments. Out: what it returns, or `ChildError` saying what ended it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeVar

from smolforge import errors
from smolforge.corpus.engine.child_main import prepare
from smolforge.errors import SmolforgeError

P = ParamSpec("P")
R = TypeVar("R")
Cause = Literal["memory", "time", "signal", "exit", "raised"]

TOO_MUCH, TOO_LONG = "took more than", "ran longer than"  # how ``why`` begins for ``memory`` and ``time``
START_SECONDS = 300.0  # to import what the caller asked for, on a busy machine
BEGIN = "import sys; sys.path[:] = sys.argv[3:]; from smolforge.corpus.engine.child_main import main; main()"
WORDS_KEPT = 4096  # bytes of standard error, the last ones
LINE_KEPT = 300  # characters of an exception's message
ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
# One job, one core: a library's thread pools would take the others' cores, and memory for each thread. Arrow's own
# allocator reserves a gibibyte at a time; the system's is what the limit on memory can count.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONHASHSEED": "0",
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # it would look for some in every installed package
}


class ChildError(Exception):
    """A call did not return. ``cause`` says which way, ``why`` in a sentence without addresses or numbers of
    processes (the same for the same input), ``words`` are the child's last on standard error.

    ``memory``: it asked for more than its limit. ``time``: it ran longer. ``signal``, ``exit``: it crashed or ended
    itself. ``raised``: the function raised ``why``; the child lives on.
    """

    def __init__(self, cause: Cause, why: str, words: str = "") -> None:
        super().__init__(why)
        self.cause, self.why, self.words = cause, why, words


class LimitedChild:
    """A spawned Python that runs one call after another within limits, started when first used and after each death.

    ``memory_mib`` is what it may take beyond what it holds once ``imports`` (module names) are loaded. It counts
    private writable memory (RLIMIT_DATA), which is what a runaway takes; address space would count mapped files and
    reservations too, of which Arrow and Polars make gibibytes. After ``recycle_after`` calls a new child takes over,
    so that what a library leaks stays bounded. It dies with its parent. Not for use by two threads at once.
    """

    def __init__(self, *, memory_mib: int, recycle_after: int = 1000, imports: Sequence[str] = ()) -> None:
        self.memory_mib, self.recycle_after, self.imports = memory_mib, recycle_after, tuple(imports)
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._calls = 0
        self._loaded: set[str] = set()
        self._words = b""

    @property
    def pid(self) -> int | None:
        """Process id of the living child, None between two."""
        return self._process.pid if self._process else None

    def call(self, function: Callable[P, R], *args: P.args, timeout: float, **kwargs: P.kwargs) -> R:  # type: ignore[valid-type]
        """Return ``function(*args)``; it gets ``timeout`` seconds. ``function`` must be importable by its name.

        Raises ChildError where the call did not return, and a SmolforgeError of the function as itself.
        """
        if self._calls >= self.recycle_after:
            self.close()
        self.load(function.__module__)
        self._calls += 1
        return self._ask((function, args, kwargs), timeout)  # type: ignore[no-any-return]

    def load(self, *modules: str) -> None:
        """Import modules ahead of a call that needs them: what they take does not count against its limits."""
        if self._process and self._process.poll() is not None:  # killed by somebody while it was idle
            self.close()
        if self._process is None:
            self._start()
        missing = [name for name in (*self.imports, *modules) if name not in self._loaded]
        if missing:
            self._ask((prepare, (missing, self.memory_mib), {}), START_SECONDS)
            self._loaded.update(missing)

    def kill(self) -> None:
        """End the child from another thread; a call that runs there raises ChildError."""
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with the programs that it has started

    def close(self) -> None:
        """Kill the child; a later call starts another."""
        self.kill()
        process, pipe = self._process, self._pipe
        self._process, self._pipe, self._calls, self._loaded = None, None, 0, set()
        if process is not None:
            process.wait()
            assert process.stderr is not None
            process.stderr.close()
        if pipe is not None:
            pipe.close()

    def __enter__(self) -> LimitedChild:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        self._pipe, theirs = Pipe()
        self._words = b""
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", BEGIN, str(theirs.fileno()), str(os.getpid()), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C in a terminal is for the parent, which then ends its children
                env={**os.environ, **ENVIRONMENT},
            )
        finally:
            theirs.close()
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)

    def _ask(self, request: Any, timeout: float) -> Any:
        assert self._pipe is not None
        deadline = time.monotonic() + timeout
        try:
            self._pipe.send(request)
            answer = self._answer(deadline)
        except (EOFError, ConnectionError):
            raise self._death() from None
        except BaseException:
            self.close()
            raise
        if answer is None:
            words = self._text()
            self.close()
            raise ChildError("time", f"{TOO_LONG} {timeout:g} s", words)
        kind, value = answer
        if kind == "returned":
            return value
        if kind == "memory":
            words = self._text()
            self.close()  # what it could not free stays with it
            raise ChildError("memory", self._too_much(), words)
        raise _raised(value)

    def _answer(self, deadline: float) -> tuple[str, Any] | None:
        """Wait for the answer while keeping the child's last words; None when it is late."""
        assert self._pipe is not None and self._process is not None and self._process.stderr is not None
        errors_pipe = self._process.stderr.fileno()
        sources: list[Any] = [self._pipe, errors_pipe]
        while (left := deadline - time.monotonic()) > 0:
            ready = wait(sources, left)
            if errors_pipe in ready and not self._listen():
                sources.remove(errors_pipe)
            if self._pipe in ready:
                return self._pipe.recv()  # type: ignore[no-any-return]
        return None

    def _listen(self) -> bool:
        """Read what there is on standard error; False once it is closed."""
        assert self._process is not None and self._process.stderr is not None
        while block := self._process.stderr.read(1 << 16):
            self._words = (self._words + block)[-WORDS_KEPT:]
        return block is None

    def _text(self) -> str:
        self._listen()
        return self._words.decode("utf-8", "replace").strip()

    def _death(self) -> ChildError:
        assert self._process is not None
        code = self._process.wait()
        words = self._text()
        self.close()
        if code == -signal.SIGABRT and ("memory allocation" in words or "bad_alloc" in words):
            return ChildError("memory", self._too_much(), words)
        if code < 0:
            return ChildError("signal", f"its process died of {signal.Signals(-code).name}", words)
        return ChildError("exit", f"its process ended itself with code {code}", words)

    def _too_much(self) -> str:
        return f"{TOO_MUCH} {self.memory_mib} MiB of memory"


def _raised(value: tuple[str, str, str]) -> Exception:
    """Return the error to raise for one raised in the child: (class name, message, traceback)."""
    name, message, trace = value
    known = getattr(errors, name, None)
    if isinstance(known, type) and issubclass(known, SmolforgeError):
        return _same_class(known, message)
    return ChildError("raised", one_line(name, message), trace)


def one_line(name: str, message: str) -> str:
    """Return an exception as one line that is the same on every run: no addresses, not too long."""
    first = ADDRESS.sub("0x…", (message.strip().splitlines() or [""])[0])[:LINE_KEPT]
    return f"{name}: {first}" if first else name


def _same_class(known: type[SmolforgeError], message: str) -> SmolforgeError:
    """Return an error of a class whose ``__init__`` may take other things than its message."""
    error = known.__new__(known, message)
    error.args = (message,)
    return error
