"""The house: all that one process needs to serve requests, opened together and closed together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from msgspec import Struct

from engine.domain.errors import Fenced
from engine.ledger.ledger import Ledger
from engine.sales.catalogue import Catalogue
from engine.sales.ids import Ids
from engine.settings import Settings
from persistence.database import Database

log = logging.getLogger("holdfast.house")


class House(Struct, frozen=True):
    """Stores and services of one process; handlers and jobs get it whole.

    `tokens` is what is known of tokens by the header that brought them: one that comes again is neither parsed nor
    hashed.
    """

    settings: Settings
    database: Database
    ledger: Ledger
    catalogue: Catalogue
    ids: Ids
    tokens: dict[str, Any] = {}


_PATIENCE_S = 30.0
"""How long a process that starts while a store is away waits for it. A store that restarts needs a second or two."""
_RETRY_S = 0.2


@asynccontextmanager
async def open_house(settings: Settings, role: str = "command") -> AsyncIterator[House]:
    """Open both stores and everything on top of them; close in reverse order.

    `role` is what this process is called in metrics. Raises Fenced if a store stays away, SettingsError if the settings
    do not fit the stores.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        async with AsyncExitStack() as stack:
            try:
                house = await _opened(stack, settings, role)
            except Fenced as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("waiting for a store: %s", error)
            else:
                yield house
                return
        await asyncio.sleep(_RETRY_S)


async def _opened(stack: AsyncExitStack, settings: Settings, role: str) -> House:
    database = Database(settings.database_url)
    stack.push_async_callback(database.close)
    await database.open()
    ledger = Ledger(settings, database)
    stack.push_async_callback(ledger.close)
    await ledger.open(role)
    ids = Ids(database)
    stack.push_async_callback(ids.close)
    return House(settings, database, ledger, Catalogue(database, ledger), ids)
