"""Learning-rate schedules as pure functions of the step: warm-up, then WSD, cosine, linear or constant.

Input: a ScheduleConfig and a stretch of steps. Output: the factor the optimizer's peak rates are multiplied with.
WSD (warm-up, stable, decay) is the schedule of SmolLM2 and SmolLM3: constant, then linear to ``final_fraction``.
"""

from __future__ import annotations

import math

from smolforge.errors import ConfigError
from smolforge.train.config import ScheduleConfig


def check_schedule(schedule: ScheduleConfig, total_steps: int) -> None:
    """Raise ConfigError where warm-up and decay do not fit into ``total_steps``."""
    used = schedule.warmup_steps + (schedule.decay_steps if schedule.name == "wsd" else 0)
    if used > total_steps:
        raise ConfigError(
            f"schedule: warmup_steps {schedule.warmup_steps} + decay_steps {schedule.decay_steps} are more than the "
            f"{total_steps} steps of the stage"
        )


def learning_rate_factor(schedule: ScheduleConfig, step: int, total_steps: int) -> float:
    """Return the factor for ``step`` in [0, total_steps): step 0 of a warm-up over n steps gets 1/n, never 0."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    floor = schedule.final_fraction
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "wsd":
        left = total_steps - step
        return 1.0 if left > schedule.decay_steps else floor + (1 - floor) * left / (schedule.decay_steps + 1)
    progress = (step - schedule.warmup_steps) / max(1, total_steps - schedule.warmup_steps)
    shape = 0.5 * (1 + math.cos(math.pi * progress)) if schedule.name == "cosine" else 1 - progress
    return floor + (1 - floor) * shape
