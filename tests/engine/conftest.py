"""What tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.scheduler_setup import Setup


@pytest.fixture
def setup() -> Iterator[Setup]:
    made = Setup()
    yield made
    made.let_go()
    made.scheduler.close()
