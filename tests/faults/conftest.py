"""A Holdfast of each file's own: what breaks here must not break others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from books import audit
from crowd import Client, client


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """HOLDFAST_* variables; files that need some have a fixture of this name."""
    return {}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], run_up: Any) -> Iterator[Any]:
    """Two front doors, a worker, Redis and Postgres; in the end the audit has to find nothing."""
    with run_up(tmp_path_factory.mktemp("faults"), "--processes", "2", environment=environment) as running:
        yield running
        audit(running)


@pytest.fixture
async def api(up: Any) -> AsyncIterator[Client]:
    """A client of it."""
    async with client(up) as connected:
        yield connected
