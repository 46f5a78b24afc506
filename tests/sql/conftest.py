"""The database of all tests, through the pool that everything else uses."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from persistence.database import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()
