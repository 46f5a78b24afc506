"""The real Postgres for simulated processes, reached by blocking calls, and away when it is told to."""

from __future__ import annotations

from contextlib import asynccontextmanager

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row, tuple_row

from engine.domain.errors import Fenced
from persistence.database import OPTIONS, Database, Session

_NO_LOCK = "-c lock_timeout=5000"
"""A lock that another simulated process has over a turn of its own is never free for who waits: he is told so."""


def _tuples(connection, sql, params):
    return connection.cursor(row_factory=tuple_row).execute(sql, params).fetchall()


class _Session(Session):
    """One connection, used by blocking calls."""

    async def rows(self, sql, params=None):
        return self.connection.execute(sql, params).fetchall()

    async def tuples(self, sql, params=None):
        return _tuples(self.connection, sql, params)

    async def row(self, sql, params=None):
        return self.connection.execute(sql, params).fetchone()

    async def run(self, sql, params=None):
        return self.connection.execute(sql, params).rowcount


class Postgres:
    """The server as front doors see it: connections that are used by one after the other, and whether it is `away`.

    A front door that dies leaves nothing in its connection, so the next one may have it: its queries are known there.
    """

    away = False

    def __init__(self, url):
        self._url = url
        self._idle = []

    def take(self):
        if self._idle:
            return self._idle.pop()
        options = f"{OPTIONS} {_NO_LOCK}"
        return psycopg.connect(self._url, autocommit=True, row_factory=dict_row, options=options, prepare_threshold=0)

    def give_back(self, connection):
        if connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self):
        for connection in self._idle:
            connection.close()
        self._idle = []


class _Taken:
    """A connection as long as the block lasts; what goes wrong with it is raised as the real database does."""

    def __init__(self, postgres):
        self._postgres = postgres
        self._connection = postgres.take()

    def __enter__(self):
        return self._connection

    def __exit__(self, kind, error, traceback):
        self._postgres.give_back(self._connection)
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
            raise Fenced(reason=f"Postgres: {error}") from error


class SimulatedDatabase(Database):
    """Postgres for one simulated process.

    A transaction is over before anybody else has a turn: a lock that somebody waits for would never be free.
    """

    def __init__(self, postgres, loop, random):
        self._postgres, self._loop, self._random = postgres, loop, random

    async def open(self):
        pass

    async def close(self):
        pass

    @asynccontextmanager
    async def session(self):
        with await self._taken() as connection:
            yield _Session(connection)

    async def rows(self, sql, params=None):
        with await self._taken() as connection:
            return connection.execute(sql, params).fetchall()

    async def tuples(self, sql, params=None):
        with await self._taken() as connection:
            return _tuples(connection, sql, params)

    async def row(self, sql, params=None):
        with await self._taken() as connection:
            return connection.execute(sql, params).fetchone()

    async def run(self, sql, params=None):
        with await self._taken() as connection:
            return connection.execute(sql, params).rowcount

    async def _taken(self):
        await self._loop.pause(self._random.expovariate(2000))
        if self._postgres.away:
            raise Fenced(reason="Postgres is away")
        return _Taken(self._postgres)

    @asynccontextmanager
    async def transaction(self):
        async with self.session() as session:
            with session.connection.transaction():
                yield session
