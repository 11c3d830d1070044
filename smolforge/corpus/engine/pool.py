"""The launcher of one machine: ``width`` children, each with its limits, and work for whichever is free.

In: attempts. Out: what became of them. One child's death concerns its own attempt alone.
"""

from __future__ import annotations

import queue
import threading

from smolforge.corpus.engine.child import LimitedChild
from smolforge.corpus.engine.launcher import IMPORTS, Attempt, Finished, perform_limited

JOIN_SECONDS = 0.1


class PoolLauncher:
    """A thread for each child waits for its answers; threads and children begin with the first attempt."""

    def __init__(self, width: int, memory_mib: int, recycle_after: int) -> None:
        self.width = width
        self._limits = (memory_mib, recycle_after)
        self._waiting: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._children: list[tuple[threading.Thread, LimitedChild]] = []

    def submit(self, attempt: Attempt) -> None:
        self._waiting.put(attempt)
        if len(self._children) < self.width:
            self._add_child()

    def done(self) -> list[Finished]:
        found = [self._finished.get()]
        while not self._finished.empty():
            found.append(self._finished.get())
        return found

    def cancel(self) -> None:
        """End children and threads; the next attempt starts others, with queues that the old ones do not know."""
        children, waiting = self._children, self._waiting
        self._children, self._waiting, self._finished = [], queue.SimpleQueue(), queue.SimpleQueue()
        while not waiting.empty():
            waiting.get()
        for _ in children:
            waiting.put(None)
        for thread, child in children:
            while thread.is_alive():  # killed once more where it was just about to start
                child.kill()
                thread.join(JOIN_SECONDS)

    def close(self) -> None:
        self.cancel()

    def _add_child(self) -> None:
        memory_mib, recycle_after = self._limits
        child = LimitedChild(memory_mib=memory_mib, recycle_after=recycle_after, imports=IMPORTS)
        work = (child, self._waiting, self._finished)
        thread = threading.Thread(target=_serve, args=work, name="corpus worker", daemon=True)
        self._children.append((thread, child))
        thread.start()


def _serve(
    child: LimitedChild, waiting: queue.SimpleQueue[Attempt | None], finished: queue.SimpleQueue[Finished]
) -> None:
    """Make one attempt after another in ``child`` until None comes."""
    with child:
        while attempt := waiting.get():
            finished.put(perform_limited(child, attempt))
