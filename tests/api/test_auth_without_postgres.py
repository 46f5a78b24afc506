"""Tokens while Postgres stands still, and once it is back. Real Postgres, really stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from standstill import standing

from engine.domain.errors import Unauthenticated
from engine.embedded.postgres import postgres_server
from engine.http.auth import authenticate
from persistence import access
from persistence.database import Database
from persistence.migrate import migrate


@contextmanager
def stopped(folder: Path) -> Iterator[None]:
    """Stop every process of the Postgres whose data is somewhere below `folder`."""
    [file] = folder.rglob("postmaster.pid")
    with standing(int(file.read_text().split()[0])):
        yield


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Any]:
    with postgres_server(tmp_path) as url:
        migrate(url)
        database = Database(url)
        await database.open()
        yield SimpleNamespace(database=database, tokens={})
        await database.close()


async def test_a_known_token_is_good_while_postgres_is_away_and_dies_when_it_is_back(
    house: Any, tmp_path: Path
) -> None:
    await access.create_organizer(house.database, "o", "O")
    token = await access.create_token(house.database, "o", "test", ["can_view_orders"])
    first = await authenticate(house, f"Token {token}")
    assert first.permissions == {"can_view_orders"}
    await asyncio.sleep(1.05)
    with stopped(tmp_path):
        begun = time.monotonic()
        everybody = await asyncio.gather(*(authenticate(house, f"Token {token}") for _ in range(20)))
        assert everybody == [first] * 20
        # half a second, and not once for each of them
        assert time.monotonic() - begun < 8
        took = []
        for _ in range(5):
            begun = time.monotonic()
            assert await authenticate(house, f"Token {token}") == first
            took.append(time.monotonic() - begun)
        assert min(took) < 0.1
    assert await access.revoke_token(house.database, token)
    assert not await access.revoke_token(house.database, token)
    await asyncio.sleep(1.05)
    with pytest.raises(Unauthenticated):
        await authenticate(house, f"Token {token}")


async def test_organizers_and_tokens_of_the_command_line_are_checked(house: Any) -> None:
    one = await access.create_organizer(house.database, "o", "O")
    assert await access.create_organizer(house.database, "o", "Again") == one
    for slug in ("", "a b", "a/b", "a\x00", "x" * 51):
        with pytest.raises(ValueError, match="slug"):
            await access.create_organizer(house.database, slug, "O")
    with pytest.raises(LookupError):
        await access.create_token(house.database, "nobody", "test")
    with pytest.raises(ValueError, match="can_fly"):
        await access.create_token(house.database, "o", "test", ["can_fly"])
