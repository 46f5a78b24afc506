"""Places in a drain's transaction where a test can make it wait, by triggers of Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from machine import until

_LOCK = 4_711_000

_OPEN = f"""
CREATE FUNCTION test_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared({_LOCK}); RETURN NULL; END $$;
"""
_AT = {
    "insert": "CREATE TRIGGER test_gate AFTER INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION test_gate()",
    "commit": """
        CREATE CONSTRAINT TRIGGER test_gate AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION test_gate()
    """,
}


class Gate:
    """Whoever writes an order waits at the gate while it is closed."""

    def __init__(self, keeper: psycopg.Connection) -> None:
        self._keeper = keeper

    def close(self) -> None:
        self._keeper.execute(f"SELECT pg_advisory_lock({_LOCK})")

    def open(self) -> None:
        self._keeper.execute("SELECT pg_advisory_unlock_all()")

    async def reached(self) -> None:
        """Wait until somebody stands before it."""
        await until(
            "the drain is at the gate", lambda: waiting(self._keeper, f"locktype = 'advisory' AND objid = {_LOCK}")
        )


def waiting(connection: psycopg.Connection, what: str) -> bool:
    """Tell whether anybody waits for a lock."""
    return connection.execute(f"SELECT FROM pg_locks WHERE NOT granted AND {what}").fetchone() is not None


@contextmanager
def gate(up: Any, at: str) -> Iterator[Gate]:
    """Have a gate after the insert of orders, or at the commit, as long as the block lasts."""
    with psycopg.connect(up.database_url, autocommit=True) as keeper:
        keeper.execute(_OPEN)
        try:
            keeper.execute(_AT[at])
            yield Gate(keeper)
        finally:
            keeper.execute("SELECT pg_advisory_unlock_all()")
            keeper.execute("DROP FUNCTION test_gate CASCADE")
