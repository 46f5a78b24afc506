"""`holdfast migrate`, `organizer` and `token`: the schema, and who may ask."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from engine.commands import stores
from engine.domain.permissions import PERMISSIONS
from engine.settings import Settings, SettingsError
from persistence import access
from persistence.database import Database
from persistence.migrate import migrate

T = TypeVar("T")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what `arguments.action` says."""
    settings = stores.with_postgres(settings)
    return _ACTIONS[arguments.action](arguments, settings.database_url)


def with_database(url: str, use: Callable[[Database], Awaitable[T]]) -> T:
    """Run a coroutine function on an open database; return what it returns."""

    async def opened() -> T:
        async with AsyncExitStack() as stack:
            database = Database(url, connections_max=1)
            stack.push_async_callback(database.close)
            await database.open()
            return await use(database)

    return asyncio.run(opened())


def _migrate(arguments: argparse.Namespace, url: str) -> int:
    applied = migrate(url)
    print("\n".join(f"applied {name}" for name in applied) or "nothing to do: the schema is current")
    return 0


def _organizer_create(arguments: argparse.Namespace, url: str) -> int:
    migrate(url)
    try:
        with_database(url, lambda d: access.create_organizer(d, arguments.slug, arguments.name or arguments.slug))
    except ValueError as error:
        raise SettingsError(str(error)) from None
    print(f"organizer {arguments.slug} is there; next: holdfast token create --organizer {arguments.slug}")
    return 0


def _token_create(arguments: argparse.Namespace, url: str) -> int:
    permissions = arguments.permission or PERMISSIONS
    try:
        token = with_database(url, lambda d: access.create_token(d, arguments.organizer, arguments.name, permissions))
    except (LookupError, ValueError) as error:
        raise SettingsError(str(error)) from None
    print(token)
    return 0


def _token_revoke(arguments: argparse.Namespace, url: str) -> int:
    given: str = arguments.token
    token = sys.stdin.readline().strip() if given == "-" else given
    if not with_database(url, lambda d: access.revoke_token(d, token)):
        raise SettingsError("no such token is active")
    print("revoked: it is refused within a second")
    return 0


_ACTIONS = {
    "migrate": _migrate,
    "organizer create": _organizer_create,
    "token create": _token_create,
    "token revoke": _token_revoke,
}
