"""A worker that is killed or stopped in the middle of its work costs nobody anything but time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import books
import psycopg
import pytest
import redis
from crowd import PRICE, Client, Crowd
from gates import gate
from machine import kill_one, stopped, until

from engine.ledger import keys

KILLS = 4
LARGE = (100_000, 100_000)


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Orders wait for Postgres for five seconds only."""
    return {"HOLDFAST_ACK_TIMEOUT_S": "5"}


async def test_a_worker_killed_in_mid_batch_loses_nothing_and_doubles_nothing(up: Any, api: Client) -> None:
    async with Crowd(api, await api.shop(*LARGE)).rush() as crowd:
        for _ in range(KILLS):
            before = crowd.confirmed()
            await until("orders are confirmed", lambda before=before: crowd.confirmed() > before + 40)
            await kill_one(up, "workers")
    await books.compare(up, crowd)
    assert "order 503" not in crowd.statuses, crowd.statuses


def undrained(up: Any) -> int:
    """Return how many entries wait in all outboxes."""
    with redis.Redis.from_url(up.redis_url) as connection:
        return sum(connection.xlen(name) for name in connection.scan_iter(f"{keys.LAYOUT}:*:outbox"))


def stored(up: Any) -> int:
    """Return how many orders Postgres has."""
    with psycopg.connect(up.database_url) as connection:
        [(orders,)] = connection.execute("SELECT count(*) FROM orders").fetchall()
        return int(orders)


async def after_read(up: Any) -> None:
    """Kill it when it has read entries and Postgres does not answer."""
    with stopped(up, "postgres"):
        await until("there is something to read", lambda: undrained(up) > 10)
        await kill_one(up, "workers")


async def after_insert(up: Any) -> None:
    """Kill it when Postgres has inserted its orders."""
    with gate(up, "insert") as between:
        between.close()
        await between.reached()
        await kill_one(up, "workers")


async def at_commit(up: Any) -> None:
    """Kill it when all that is left to do is the commit."""
    with gate(up, "commit") as between:
        between.close()
        await between.reached()
        await kill_one(up, "workers")


async def after_commit(up: Any) -> None:
    """Kill it when Postgres has committed and nobody has been told: Redis does not answer."""
    with gate(up, "commit") as between:
        between.close()
        await between.reached()
        before = stored(up)
        with stopped(up, "redis"):
            between.open()
            await until("the batch is committed", lambda: stored(up) > before)
            await kill_one(up, "workers")


@pytest.mark.parametrize("moment", [after_read, after_insert, at_commit, after_commit])
async def test_a_worker_killed_at_a_moment_of_its_batch(up: Any, api: Client, moment: Any) -> None:
    crowd = Crowd(api, await api.shop(*LARGE))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        await moment(up)
        before = crowd.confirmed()
        await until("orders are confirmed again", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)


@contextmanager
def another_worker(up: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Have a second worker as long as the block lasts."""
    stores = {"HOLDFAST_REDIS_URL": up.redis_url, "HOLDFAST_DATABASE_URL": up.database_url}
    mails = {"HOLDFAST_MAIL_FOLDER": str(Path(up.ready_file).parent / "mail")}
    command = [sys.executable, "-m", "engine", "worker"]
    with (
        (Path(up.ready_file).parent / "another-worker.log").open("ab") as log,
        subprocess.Popen(command, env={**os.environ, **stores, **mails}, stdout=log, stderr=log) as worker,
    ):
        try:
            yield worker
        finally:
            worker.kill()


async def test_of_two_workers_one_drains_and_the_other_takes_over(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(*LARGE))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        with another_worker(up) as other:
            before = crowd.confirmed()
            with stopped(up, "workers"):
                await until("the other one drains", lambda: crowd.confirmed() > before + 25)
            before = crowd.confirmed()
            await until("the one that was stopped disturbs nobody", lambda: crowd.confirmed() > before + 50)
            other.send_signal(signal.SIGKILL)
            before = crowd.confirmed()
            await until("the first one drains again", lambda: crowd.confirmed() > before + 25)
    await books.compare(up, crowd)


REFUSING = """
CREATE FUNCTION test_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.email = 'poison@example.org' THEN RAISE 'poison' USING ERRCODE = 'check_violation'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER test_refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION test_refuse();
"""


async def test_poison_is_parked_never_confirmed_and_holds_nobody_up(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(*LARGE))
    body: dict[str, Any] = {"email": "poison@example.org", "locale": "en", "payment_provider": "manual"}
    body["positions"] = [{"item": crowd.shop.items[0], "price": PRICE}]
    with psycopg.connect(up.database_url, autocommit=True) as connection:
        connection.execute(REFUSING)
        async with crowd.rush():
            await until("the rush is on", lambda: crowd.confirmed() > 25)
            poisoned = await asyncio.gather(*(api.ask("POST", f"{crowd.shop.path}orders/", body) for _ in range(5)))
            before = crowd.confirmed()
            await until("orders are confirmed", lambda: crowd.confirmed() > before + 25)
        assert [status for status, _, _ in poisoned] == [503] * 5
        assert "order 202" not in crowd.statuses, crowd.statuses
        connection.execute("DROP FUNCTION test_refuse CASCADE")
        parked = connection.execute("DELETE FROM parked_entries RETURNING shard, body").fetchall()
        assert len(parked) == 5
        crowd.unanswered_orders += len(parked)
        # Redis has kept the orders: this is how somebody who has looked brings them home
        with redis.Redis.from_url(up.redis_url) as store:
            for shard, document in parked:
                order = json.loads(document)
                key = keys.order(shard, order["event_id"], order["code"])
                assert store.hget(key, "d") == document.encode()
                entry = {"kind": "order", "id": order["id"], "v": order["version"], "d": document, "key": key}
                store.xadd(keys.outbox(shard), entry)
    await books.compare(up, crowd)
