"""The launcher of tests and debuggers: attempts run in this process, one after another, without limits.

In: attempts. Out: what became of them. A crash of the job is a crash of this process.
"""

from __future__ import annotations

import traceback

from smolforge.corpus.engine.child import one_line
from smolforge.corpus.engine.launcher import Attempt, Finished, perform
from smolforge.errors import SmolforgeError


class InlineLauncher:
    """Runs each attempt in the calling process when its result is asked for."""

    width = 1

    def __init__(self) -> None:
        self._waiting: list[Attempt] = []

    def submit(self, attempt: Attempt) -> None:
        self._waiting.append(attempt)

    def done(self) -> list[Finished]:
        attempt = self._waiting.pop(0)
        try:
            perform(attempt.job, attempt.task, attempt.output, attempt.argument)
        except SmolforgeError as error:
            return [Finished(attempt.number, error=error)]
        except Exception as error:
            return [Finished(attempt.number, one_line(type(error).__name__, str(error)), traceback.format_exc())]
        return [Finished(attempt.number)]

    def cancel(self) -> None:
        self._waiting.clear()

    def close(self) -> None:
        self.cancel()
