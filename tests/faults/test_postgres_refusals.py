"""Postgres answers, but not as one would like: it refuses, it ends sessions, it breaks deadlocks, its disk is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import books
import psycopg
import pytest
from crowd import Client, Crowd, Shop
from gates import gate, waiting
from machine import until

LARGE = (100_000, 100_000)
OTHERS = (
    "FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Orders wait for Postgres for a second only."""
    return {"HOLDFAST_ACK_TIMEOUT_S": "1"}


@contextmanager
def beside(up: Any) -> Iterator[psycopg.Connection]:
    """Be connected to another database of the same server."""
    with psycopg.connect(up.database_url, dbname="template1", autocommit=True) as connection:
        yield connection


async def test_a_postgres_that_refuses_connections_costs_nobody_an_order(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(*LARGE))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        with beside(up) as connection:
            connection.execute("ALTER DATABASE postgres ALLOW_CONNECTIONS false")
            try:
                connection.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")
                await until("orders are taken without Postgres", lambda: crowd.statuses["order 202"] > 20)
            finally:
                connection.execute("ALTER DATABASE postgres ALLOW_CONNECTIONS true")
        before = crowd.confirmed()
        await until("orders are confirmed again", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)


async def test_sessions_that_are_ended_cost_nobody_an_order(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(*LARGE))
    async with crowd.rush():
        with beside(up) as connection:
            for _ in range(5):
                before = crowd.confirmed()
                await until("orders are confirmed", lambda before=before: crowd.confirmed() > before + 10)
                connection.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")
        before = crowd.confirmed()
        await until("orders are confirmed again", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)


async def test_a_postgres_that_may_only_be_read_costs_nobody_an_order(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(*LARGE))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        with beside(up) as connection:
            connection.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
            try:
                connection.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")
                await until("orders are taken", lambda: crowd.statuses["order 202"] > 20)
                status, _, headers = await api.ask("PATCH", crowd.shop.path, {"is_public": False})
                assert (status, headers["Retry-After"].isdigit()) == (503, True)
            finally:
                connection.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
                connection.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")
        before = crowd.confirmed()
        await until("orders are confirmed again", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)


async def test_a_deadlock_with_the_drain_costs_nobody_an_order(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(*LARGE))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        with psycopg.connect(up.database_url) as other:

            async def broken() -> bool:
                # the drain has its watermarks by then and wants positions, the other one the other way round
                other.execute("LOCK TABLE positions IN EXCLUSIVE MODE")
                await until("the drain waits", lambda: waiting(other, "relation = 'positions'::regclass"))
                # whoever has waited for a second breaks it: the other one, if it comes too late
                with suppress(psycopg.errors.DeadlockDetected):
                    other.execute("UPDATE shards SET epoch = epoch")
                other.rollback()
                return "deadlock detected" in worker_log(up)

            await until("the drain is whom it hits", broken)
        before = crowd.confirmed()
        await until("orders are confirmed again", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)


async def test_a_serialisation_failure_of_the_drain_costs_nobody_an_order(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(*LARGE))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        with beside(up) as connection, psycopg.connect(up.database_url) as other:
            connection.execute("ALTER DATABASE postgres SET default_transaction_isolation = 'repeatable read'")
            connection.execute(f"SELECT pg_terminate_backend(pid) {OTHERS} AND pid <> {other.info.backend_pid}")
            before = crowd.confirmed()
            await until("orders are confirmed", lambda: crowd.confirmed() > before + 10)
            other.execute("UPDATE shards SET epoch = epoch")
            await until("the drain waits", lambda: waiting(other, "locktype = 'transactionid'"))
            other.commit()
            before = crowd.confirmed()
            await until("orders are confirmed again", lambda: crowd.confirmed() > before + 25)
            connection.execute("ALTER DATABASE postgres RESET default_transaction_isolation")
    assert "could not serialize access" in worker_log(up)
    await books.compare(up, crowd)


async def test_a_statement_that_is_canceled_costs_nobody_an_order(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(*LARGE))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        with gate(up, "insert") as between, beside(up) as connection:
            between.close()
            await between.reached()
            connection.execute(f"SELECT pg_cancel_backend(pid) {OTHERS} AND wait_event_type = 'Lock'")
        before = crowd.confirmed()
        await until("orders are confirmed again", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)


async def test_a_transaction_that_takes_too_long_for_postgres_is_answered_503(up: Any, api: Client) -> None:
    shop = await api.shop(10)
    with beside(up) as connection, psycopg.connect(up.database_url) as other:
        if connection.info.server_version < 170000:
            pytest.skip("transaction_timeout came with Postgres 17")
        connection.execute("ALTER DATABASE postgres SET transaction_timeout = '500ms'")
        try:
            connection.execute(f"SELECT pg_terminate_backend(pid) {OTHERS} AND pid <> {other.info.backend_pid}")
            other.execute("LOCK TABLE quotas IN EXCLUSIVE MODE")
            [quota] = shop.sizes
            status, _, headers = await api.ask("PATCH", f"{shop.path}quotas/{quota}/", {"size": 12})
            assert (status, headers.get("Retry-After", "").isdigit()) == (503, True)
        finally:
            other.rollback()
            connection.execute("ALTER DATABASE postgres RESET transaction_timeout")
            connection.execute(f"SELECT pg_terminate_backend(pid) {OTHERS} AND pid <> {other.info.backend_pid}")
    await until("all is well again", lambda: sized(api, shop, 12))


async def sized(api: Client, shop: Shop, size: int) -> bool:
    """Tell whether the first quota of an event can be given a size."""
    status, _, _ = await api.ask("PATCH", f"{shop.path}quotas/{next(iter(shop.sizes))}/", {"size": size})
    return status == 200


def worker_log(up: Any) -> str:
    return (Path(up.ready_file).parent / "data" / "logs" / "worker.log").read_text()
