"""The real Postgres for simulated processes, reached by blocking calls, and away when it is told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from engine.domain.errors import Fenced
from persistence.database import OPTIONS, Database, Session


class _Session(Session):
    """One connection, used by blocking calls."""

    async def rows(self, sql, params=None):
        return self.connection.execute(sql, params).fetchall()

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
        return psycopg.connect(self._url, autocommit=True, row_factory=dict_row, options=OPTIONS, prepare_threshold=0)

    def give_back(self, connection):
        if connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self):
        for connection in self._idle:
            connection.close()
        self._idle = []


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
        await asyncio.sleep(self._random.expovariate(2000))
        if self._postgres.away:
            raise Fenced(reason="Postgres is away")
        connection = self._postgres.take()
        try:
            yield _Session(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Fenced(reason=f"Postgres: {error}") from error
        finally:
            self._postgres.give_back(connection)

    @asynccontextmanager
    async def transaction(self):
        async with self.session() as session:
            with session.connection.transaction():
                yield session
