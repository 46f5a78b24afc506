"""Transactions that are sent whole: what one of them breaks is undone, and nothing else."""

from __future__ import annotations

import psycopg
import pytest

from persistence.transact import Transactions

DIVIDE = "SELECT 1 / %(by)s::int"
ENOUGH = 10
"""Times after which psycopg prepares a statement of its own."""


def test_after_one_that_was_refused_the_next_still_knows_its_statements(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        transactions = Transactions(connection)
        for _ in range(ENOUGH):
            connection.execute("SELECT 1")
        transactions.run([(DIVIDE, {"by": 1})])
        with pytest.raises(psycopg.errors.DivisionByZero):
            transactions.run([(DIVIDE, {"by": 0})])
        transactions.run([(DIVIDE, {"by": 1})])
        assert connection.execute("SELECT 2").fetchone() == (2,)


@pytest.fixture
def kept(database_url):
    """What a table keeps, which refuses 0, but only at the commit."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (number integer)")
        connection.execute(
            "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM 1 / NEW.number; RETURN NULL; END $$"
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER look AFTER INSERT ON kept DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION look()"
        )
        yield lambda: [number for (number,) in connection.execute("SELECT number FROM kept ORDER BY 1")]
        connection.execute("DROP TABLE kept")
        connection.execute("DROP FUNCTION look")


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_statements_are_one_transaction(database_url, kept, broken):
    with psycopg.connect(database_url, autocommit=True) as connection:
        transactions = Transactions(connection)
        insert = "INSERT INTO kept VALUES (%(number)s::int)"
        writes = [(insert, {"number": 1}), (insert, {"number": 2})]
        with pytest.raises(psycopg.errors.DivisionByZero):
            transactions.run([*writes[:broken], (DIVIDE, {"by": 0}), *writes[broken:]])
        assert kept() == []
        transactions.run(writes)
        assert kept() == [1, 2]


def test_what_is_refused_at_the_commit_is_not_there(database_url, kept):
    with psycopg.connect(database_url, autocommit=True) as connection:
        transactions = Transactions(connection)
        insert = "INSERT INTO kept VALUES (%(number)s::int)"
        with pytest.raises(psycopg.errors.DivisionByZero):
            transactions.run([(insert, {"number": 1}), (insert, {"number": 0})])
        assert kept() == []
        transactions.run([(insert, {"number": 1})])
        assert kept() == [1]
