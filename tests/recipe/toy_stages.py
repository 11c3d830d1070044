"""Three small stages that stand in for the real ones, so that the runner's promises can be tested in milliseconds."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

from pydantic import Field

from smolforge.errors import DataError
from smolforge.recipe.stages import Stage
from smolforge.store import Config, StageContext, StageOutcome


class WriteConfig(Config):
    """Writes `words` to words.txt."""

    words: list[str] = Field(default=["one"])
    outside: Path | None = None

    def fingerprint(self) -> str | None:
        return self.outside.read_text() if self.outside else None


class CountConfig(Config):
    """Counts slowly from 0 to `steps`, one line a step, continuing where an earlier try stopped."""

    steps: int = 3
    seconds_per_step: float = 0.0
    gate: Path | None = None


class JoinConfig(Config):
    """Joins what the others wrote; fails on request."""

    fail: str = ""


def write(config: WriteConfig, context: StageContext) -> StageOutcome:
    context.progress.note(f"writing {len(config.words)} words")
    (context.work / "words.txt").write_text("\n".join(config.words))
    return StageOutcome({"words": len(config.words)}, {})


def count(config: CountConfig, context: StageContext) -> StageOutcome:
    log = context.work / "count.txt"
    first = len(log.read_text().splitlines()) if log.exists() else 0
    (context.work / "resume").mkdir(exist_ok=True)
    (context.work / "resume" / "state.txt").write_text(str(first))
    tries = context.work / "tries.txt"
    tries.write_text((tries.read_text() if tries.exists() else "") + f"{first}\n")
    context.progress.start(config.steps, "steps")
    with log.open("a") as stream:
        for step in range(first, config.steps):
            stream.write(f"{step}\n")
            stream.flush()
            context.progress.update(step + 1, loss=1.0 / (step + 1))
            time.sleep(config.seconds_per_step)
            while config.gate and step + 1 == 2 and not config.gate.exists():
                time.sleep(0.01)
    return StageOutcome({"first": first}, {"last": float(config.steps)}, resume_only=("resume",))


def join(config: JoinConfig, context: StageContext) -> StageOutcome:
    (context.work / "joined.txt").write_text("half")
    if config.fail == "person":
        raise DataError("words.txt:1: expected a longer word")
    if config.fail == "defect":
        raise RuntimeError("this is a defect")
    if config.fail == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(context.work / "joined.txt"))
    if config.fail == "killed":
        os.kill(os.getpid(), 9)
    print("chatter on stdout", file=sys.stdout)
    text = "".join(
        (context.inputs[n].path / f).read_text() for n, f in (("write", "words.txt"), ("count", "count.txt"))
    )
    (context.work / "joined.txt").write_text(text)
    return StageOutcome({"characters": len(text)}, {"seed": float(context.seed)})


_HERE = "tests.recipe.toy_stages"
TOY_STAGES = (
    Stage("write", f"{_HERE}:WriteConfig", f"{_HERE}:write"),
    Stage("count", f"{_HERE}:CountConfig", f"{_HERE}:count"),
    Stage("join", f"{_HERE}:JoinConfig", f"{_HERE}:join", requires=("write",), uses=("count",)),
)


def main(recipe: str) -> None:
    """Run a toy recipe from a process that a test can kill."""
    from smolforge.recipe.display import choose_display
    from smolforge.recipe.load import load_recipe
    from smolforge.recipe.runner import run_recipe

    run_recipe(load_recipe(Path(recipe), stages=TOY_STAGES), choose_display(as_json=True))


if __name__ == "__main__":
    main(sys.argv[1])
