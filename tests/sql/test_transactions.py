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
