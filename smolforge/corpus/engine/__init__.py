"""Waves of jobs over parts of files: the same bytes on one core and on a cluster, whatever is killed meanwhile.

In: tasks that name rows, bytes or files. Out: one file or folder a task, and a list of the items that
no process survived.
"""

from smolforge.corpus.engine.child import ChildError, LimitedChild
from smolforge.corpus.engine.task import Job, Part, Ranges, Task, kept_batches, parquet_parts
from smolforge.corpus.engine.wave import Poisoned, Runner

__all__ = [
    "ChildError",
    "Job",
    "LimitedChild",
    "Part",
    "Poisoned",
    "Ranges",
    "Runner",
    "Task",
    "kept_batches",
    "parquet_parts",
]
