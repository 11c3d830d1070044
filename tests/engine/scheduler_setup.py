"""A scheduler over the small model whose thread a test can hold."""

from __future__ import annotations

import threading
from typing import Any

from smolforge.engine.admission import Limits
from smolforge.engine.scheduler import Scheduler
from tests.engine.small_model import PATIENCE, SmallModel, SmallPages

PROMPTS = [[1, 2, 3], list(range(20)), [7] * 33, [*range(20), 9, 9, 9], [5]]


class Setup:
    """A scheduler over the small model; ``hold`` keeps its thread inside a call, the one behind ``calls`` more, until
    ``let_go``."""

    def __init__(self, pages: int = 64, context: int = 200, **limits: Any) -> None:
        self.model, self.memory = SmallModel(), SmallPages(pages)
        self.scheduler = Scheduler(self.model, self.memory, context, Limits(**limits))
        self._gate = threading.Event()
        self.inside = threading.Event()

    def hold(self, calls: int = 0) -> None:
        self._gate.clear()
        self.inside.clear()
        free = self.model.calls + calls

        def wait() -> None:
            if self.model.calls < free:
                return
            self.inside.set()
            assert self._gate.wait(PATIENCE)

        self.model.before_call = wait

    def let_go(self) -> None:
        self.model.before_call = None
        self._gate.set()

    def pages_in_use(self) -> int:
        return self.scheduler.between_steps(lambda: self.scheduler.runner.pool.used - len(self.scheduler.runner.store))
