"""Databases of a test's own, on the server of all tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
from psycopg import conninfo, sql

from persistence.cards import cards

_numbers = count(1)


def upsert_values(*documents: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of the query that writes orders, for these alone."""
    encoded = [json.dumps(document).encode() for document in documents]
    return {"docs": json.dumps(documents), "cards": cards(encoded), "earlier": "[]", "split": []}


@contextmanager
def empty_database(server_url: str) -> Iterator[str]:
    name = f"schema{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield conninfo.make_conninfo(server_url, dbname=name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
