"""The house: all that one process needs to serve requests, opened together and closed together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from engine.ledger.ledger import Ledger
from engine.sales.catalogue import Catalogue
from engine.sales.ids import Ids
from engine.settings import Settings
from persistence.database import Database


class House(Struct, frozen=True):
    """Stores and services of one process; handlers and jobs get it whole."""

    settings: Settings
    database: Database
    ledger: Ledger
    catalogue: Catalogue
    ids: Ids


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Open both stores and everything on top of them; close in reverse order."""
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url)
        stack.push_async_callback(database.close)
        await database.open()
        ledger = Ledger(settings, database)
        stack.push_async_callback(ledger.close)
        await ledger.open()
        yield House(settings, database, ledger, Catalogue(database, ledger), Ids(database))
