"""Databases of a test's own, on the server of all tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
from psycopg import conninfo, sql
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.rows import tuple_row

from persistence.parts import decode
from persistence.queries import Queries
from persistence.rows import KINDS, Rows

_ORDERS = Queries("orders")
_numbers = count(1)


class _Array(bytes):
    """Rows in Postgres' binary form."""


class _ArrayDumper(Dumper):
    """Sends rows as they are; the statement says of which type."""

    format = Format.BINARY
    oid = 0

    def dump(self, obj: _Array) -> bytes:
        return obj


psycopg.adapters.register_dumper(_Array, _ArrayDumper)


def upsert(connection: psycopg.Connection[Any], *documents: dict[str, Any]) -> None:
    """Write orders over a connection of a test's own."""
    cursor = connection.cursor(row_factory=tuple_row)
    types = dict(cursor.execute(_ORDERS["row_types"], {"names": list(KINDS)}).fetchall())
    rows = Rows()
    for document in documents:
        encoded = json.dumps(document).encode()
        rows.add(decode(encoded), encoded)
    arrays = {name: _Array(array) for name, array in rows.arrays(types).items()}
    cursor.execute(_ORDERS["upsert"], arrays)


@contextmanager
def empty_database(server_url: str) -> Iterator[str]:
    name = f"schema{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield conninfo.make_conninfo(server_url, dbname=name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
