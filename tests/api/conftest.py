"""A client of the running server, and events to try things in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import told
from shop import Api, Shop

from persistence.database import Database


@pytest.fixture(scope="session")
def api(server: Any) -> Iterator[Api]:
    """A client bound to the organizer, with a token that may do everything; all that it reads has to be as told."""
    with httpx.Client(
        base_url=f"{server.base_url}/api/v1/organizers/{server.organizer}/",
        headers={"Authorization": f"Token {server.token}"},
        timeout=30,
        event_hooks={"response": [told.check]},
    ) as client:
        yield client


@pytest.fixture
async def database(server: Any) -> AsyncIterator[Database]:
    """Its Postgres."""
    opened = Database(server.database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def shop(api: Api) -> Callable[..., Shop]:
    """A factory of fresh events; fields of the event go in by name (series: has_subevents=True)."""

    def make(**fields: Any) -> Shop:
        return Shop(api, **fields)

    return make
