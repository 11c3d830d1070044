"""Many items through the engine, one outcome each, in order; what is wrong with one stands in its place.

Input: items as they come, and three steps: make a request or a piece of work of an item, run many, read the result.
Output: results or errors, one an item. A row of a table that cannot be read should not cost the others theirs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from smolforge.errors import SmolforgeError

Item = TypeVar("Item")
Asked = TypeVar("Asked")
Pending = TypeVar("Pending")
Made = TypeVar("Made")


def in_order(
    items: Iterable[Item],
    ask: Callable[[Item], Asked],
    run: Callable[[Iterable[Asked]], Iterator[Pending]],
    read: Callable[[Pending], Made],
) -> Iterator[Made | SmolforgeError]:
    """Yield what ``read`` returns for each item. ``run`` keeps the engine busy (``Engine.streams``, ``run_all``)."""
    refused: deque[SmolforgeError | None] = deque()  # one for each item that was taken, None for one that was asked

    def asked() -> Iterator[Asked]:
        for item in items:
            try:
                made = ask(item)
            except SmolforgeError as error:
                refused.append(error)
            else:
                refused.append(None)
                yield made

    for pending in run(asked()):
        while (error := refused.popleft()) is not None:
            yield error
        try:
            yield read(pending)
        except SmolforgeError as failed:
            yield failed
    yield from (error for error in refused if error is not None)
