"""The connection pool, and psycopg's errors turned into ours."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row, tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from engine.domain.errors import Fenced

Row = dict[str, Any]
Params = Mapping[str, Any] | None


OPTIONS = (
    "-c timezone=UTC -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
    # who waits for a lock and is cut off must leave, or what he has locked himself stays so
    " -c client_connection_check_interval=2000"
)
"""What a session asks of the server; the machine of a session that holds a lock may vanish without a word."""
KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""And the server's machine may vanish."""
AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,  # a standby, or a master that was told to write no more
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.TransactionTimeout,
)
"""What psycopg says when the server is not there for us, or not now: trying again is right."""
_SILENCE_S = 10.0
"""How long the server may take over one answer; a server that hangs must not hang everybody who asks it something."""
_RECONNECT_S = 1.0
"""A lost connection is not tried again for longer than this: the pool waits longer each time, and would still be
waiting when Postgres is long back. Whoever asks next has a new one made at once."""


_WAITING_MAX = 1000
"""Who may wait for a connection: as many as there may be answers within the time that one waits for it. More are told
at once to come again, rather than after that time."""


class _Connection(psycopg.AsyncConnection[Row]):
    """A connection that is cut when the server is silent for too long: what waits for it then gets an error.

    Cancelling the wait instead would ask the server to cancel, and it does not answer that either.
    """

    async def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        cut = asyncio.get_running_loop().call_later(_SILENCE_S, self._cut)
        try:
            return await super().wait(gen, *args, **options)
        finally:
            cut.cancel()

    def _cut(self) -> None:
        if not self.closed:
            with socket.socket(fileno=os.dup(self.fileno())) as copy:
                copy.shutdown(socket.SHUT_RDWR)


async def _check(connection: _Connection) -> None:
    """Ask a connection whether it is there if there is something to be read that nobody asked for: its end, mostly.

    A server that has gone without a word is found by whoever asks it something (`_Connection`).
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(connection)


class Session:
    """One connection, inside a transaction if it came from `Database.transaction`."""

    def __init__(self, connection: psycopg.AsyncConnection[Row]) -> None:
        self.connection = connection

    async def rows(self, sql: str, params: Params = None) -> list[Row]:
        """Return all rows of a query, each a dict by column name."""
        cursor = await self.connection.execute(sql, params)
        return await cursor.fetchall()

    async def tuples(self, sql: str, params: Params = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query as they stand: of thousands, dicts take as long to make as the rest to read."""
        cursor = self.connection.cursor(row_factory=tuple_row)
        await cursor.execute(sql, params)
        return await cursor.fetchall()

    async def row(self, sql: str, params: Params = None) -> Row | None:
        """Return the first row or None."""
        cursor = await self.connection.execute(sql, params)
        return await cursor.fetchone()

    async def run(self, sql: str, params: Params = None) -> int:
        """Run a statement; return how many rows it changed."""
        cursor = await self.connection.execute(sql, params)
        return cursor.rowcount


class Database:
    """Postgres for one process. Every method raises Fenced while the server cannot be reached."""

    def __init__(self, url: str, *, connections_max: int = 8, timeout_s: float = 5.0) -> None:
        self.url = url
        self._pool: AsyncConnectionPool[_Connection] = AsyncConnectionPool(
            url,
            connection_class=_Connection,
            min_size=1,
            max_size=connections_max,
            timeout=timeout_s,
            max_waiting=_WAITING_MAX,
            reconnect_timeout=_RECONNECT_S,
            open=False,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "options": OPTIONS,
                "connect_timeout": round(timeout_s),
                **KEEPALIVE,
            },
            check=_check,
        )

    async def open(self) -> None:
        try:
            await self._pool.open(wait=True)
        except PoolTimeout as error:
            raise Fenced(reason=f"Postgres: {error}") from error

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Yield a connection in autocommit mode."""
        try:
            async with self._pool.connection() as connection:
                yield Session(connection)
        except (*AWAY, PoolTimeout) as error:
            raise Fenced(reason=f"Postgres: {error}") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Yield a connection inside one transaction, committed at the end, rolled back on any error."""
        async with self.session() as session, session.connection.transaction():
            yield session

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """Yield a connection all of whose reads are of the moment of its first one."""
        async with self.session() as session:
            await session.connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
            try:
                async with session.connection.transaction():
                    yield session
            finally:
                if not session.connection.closed:
                    await session.connection.set_isolation_level(None)

    async def rows(self, sql: str, params: Params = None) -> list[Row]:
        async with self.session() as session:
            return await session.rows(sql, params)

    async def tuples(self, sql: str, params: Params = None) -> list[tuple[Any, ...]]:
        async with self.session() as session:
            return await session.tuples(sql, params)

    async def row(self, sql: str, params: Params = None) -> Row | None:
        async with self.session() as session:
            return await session.row(sql, params)

    async def run(self, sql: str, params: Params = None) -> int:
        async with self.session() as session:
            return await session.run(sql, params)
