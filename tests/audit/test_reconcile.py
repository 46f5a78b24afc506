"""Reconciliation sees what differs between the stores while sales go on, tells metrics of it, and changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
import pytest
import redis
from auditing import audit, environment, rules
from fresh import fresh
from stored import key_of

import workers.repair
from engine.domain.errors import Fenced
from engine.ledger.books import Books
from engine.settings import Settings
from persistence import catalogue, reconciliation
from persistence.database import Database
from persistence.reconciliation import Difference
from workers.reconcile import Reconciler

PATIENCE_S = 60
"""How long something that has to happen may take on a busy machine."""


@pytest.fixture(scope="module")
def client(own_server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"{own_server.base_url}/api/v1/organizers/{own_server.organizer}/",
        headers={"Authorization": f"Token {own_server.token}"},
        timeout=30,
    ) as connected:
        yield connected


class Sale:
    """An event with a quota of a thousand, one hold and one order."""

    def __init__(self, client: httpx.Client, slug: str) -> None:
        self.client, self.slug = client, slug
        event = {"name": {"en": "A"}, "slug": slug, "currency": "EUR", "date_from": "2031-01-01T10:00:00Z"}
        self.post("events/", event)
        self.item = self.post(f"events/{slug}/items/", {"name": {"en": "T"}, "default_price": "1.00"})["id"]
        quota = {"name": "All", "size": 1000, "items": [self.item], "variations": []}
        self.quota = self.post(f"events/{slug}/quotas/", quota)["id"]
        self.post(f"events/{slug}/cartpositions/", {"item": self.item, "price": "1.00"})
        self.order()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def order(self) -> Any:
        return self.post(f"events/{self.slug}/orders/", {"email": "a@example.org", "positions": [{"item": self.item}]})

    def open(self) -> bool:
        """Tell whether sales go on."""
        body = {"item": self.item, "price": "1.00"}
        return self.client.post(f"events/{self.slug}/cartpositions/", json=body).status_code == 201

    def available(self) -> int:
        path = f"events/{self.slug}/quotas/{self.quota}/availability/"
        return int(self.client.get(path).json()["available_number"])


@pytest.fixture
def sale(client: httpx.Client) -> Sale:
    return Sale(client, fresh("r"))


@asynccontextmanager
async def opened(server: Any) -> AsyncIterator[tuple[Database, Reconciler]]:
    database = Database(server.database_url)
    books = Books(Settings(redis_url=server.redis_url))
    await database.open()
    await books.open()
    try:
        yield database, Reconciler(database, books, 64)
    finally:
        await books.close()
        await database.close()


async def compare(server: Any, slug: str, crowd: Sequence[asyncio.Task[None]] = ()) -> list[Difference]:
    """Compare an event until that comes to an end; who is in the crowd leaves where the machine is too busy for it."""
    deadline = time.monotonic() + 2 * PATIENCE_S
    leaving = time.monotonic() + PATIENCE_S / 3
    async with opened(server) as (database, reconciler):
        with psycopg.connect(server.database_url) as connection:
            row = connection.execute("SELECT organizer_id FROM events WHERE slug = %s", (slug,)).fetchone()
        assert row is not None
        event = await catalogue.load_event(database, row[0], slug)
        assert event is not None
        while (found := await reconciler.compare(event)) is None:
            assert time.monotonic() < deadline, "it comes to no end"
            if time.monotonic() > leaving:
                for one in crowd[1:]:
                    one.cancel()
        return found


async def test_right_books_differ_in_nothing(own_server: Any, sale: Sale) -> None:
    assert await compare(own_server, sale.slug) == []


async def test_nothing_differs_in_a_rush(own_server: Any, sale: Sale) -> None:
    """Postgres is never where Redis is, and yet every comparison finds the books right."""
    stop = asyncio.Event()

    async def buy() -> None:
        async with httpx.AsyncClient(base_url=sale.client.base_url, headers=sale.client.headers, timeout=30) as buyer:
            while not stop.is_set():
                hold = {"item": sale.item, "price": "1.00"}
                cart = (await buyer.post(f"events/{sale.slug}/cartpositions/", json=hold)).json()
                order = {
                    "email": "a@example.org",
                    "positions": [{"item": sale.item}],
                    "consume_carts": [cart["cart_id"]],
                }
                made = await buyer.post(f"events/{sale.slug}/orders/", json=order)
                assert made.status_code == 201
                path = f"events/{sale.slug}/orders/{made.json()['code']}/"
                await buyer.post(path + "mark_canceled/", json={"send_email": False})

    buyers = [asyncio.create_task(buy()) for _ in range(8)]
    found = [await compare(own_server, sale.slug, buyers) for _ in range(12)]
    stop.set()
    for end in await asyncio.gather(*buyers, return_exceptions=True):
        assert end is None or isinstance(end, asyncio.CancelledError), end
    assert [one for one in found if one] == []


@pytest.mark.parametrize(
    ("field", "rule", "word"),
    [
        ("n{item}.0.0", "Redis counts as many pending units as Postgres has", "Postgres never got"),
        ("h{item}.0.0", "as many units are held as cart positions hold", "somebody other"),
        ("u{quota}", "used = held + pending + paid + blocked + waiting - exited", "somebody other"),
    ],
)
async def test_a_counter_that_is_wrong_is_told_with_its_cause(
    own_server: Any, sale: Sale, field: str, rule: str, word: str
) -> None:
    key = key_of(own_server, sale.slug, "event")
    with redis.Redis.from_url(own_server.redis_url) as store:
        store.hincrby(key, field.format(item=sale.item, quota=sale.quota), 1)
    found = await compare(own_server, sale.slug)
    assert found
    assert {one.rule: one.cause for one in found}[rule].find(word) >= 0
    repaired(own_server)


async def test_lost_deadlines_are_told_of_an_event_with_very_many_holds_and_of_vouchers(
    own_server: Any, sale: Sale
) -> None:
    voucher = {"max_usages": 3, "item": sale.item, "block_quota": True, "valid_until": "2031-01-01T10:00:00Z"}
    sale.post(f"events/{sale.slug}/vouchers/", voucher)
    key = key_of(own_server, sale.slug, "holds")
    async with opened(own_server) as (database, reconciler):
        with psycopg.connect(own_server.database_url) as connection:
            row = connection.execute("SELECT organizer_id FROM events WHERE slug = %s", (sale.slug,)).fetchone()
        assert row is not None
        event = await catalogue.load_event(database, row[0], sale.slug)
        assert event is not None
        assert await reconciler.problems(event, rows_max=0) == []
        with redis.Redis.from_url(own_server.redis_url) as store:
            store.delete(key.rpartition("holds")[0] + "due")
        [told] = await reconciler.problems(event, rows_max=0) or []
        assert (told.rule, told.found) == ("each hold has its deadline, each deadline its hold", 0)
        found = await reconciler.compare(event) or []
    assert {one.rule for one in found} == {told.rule, "each voucher that keeps units free has its deadline"}
    assert all("deleted deadlines" in one.cause for one in found)
    await asyncio.to_thread(repaired, own_server)


async def test_a_lost_order_is_told_and_a_metric_can_count_it(own_server: Any, sale: Sale) -> None:
    lose = "UPDATE positions SET canceled = %s WHERE event_id = (SELECT id FROM events WHERE slug = %s)"
    told = "SELECT rule, cause FROM differences JOIN events ON events.id = event_id WHERE slug = %s"
    with psycopg.connect(own_server.database_url, autocommit=True) as database:
        database.execute(lose, (True, sale.slug))
        deadline = time.monotonic() + 2 * PATIENCE_S
        while not (rows := database.execute(told, (sale.slug,)).fetchall()):
            assert time.monotonic() < deadline, "the worker has not told"
            await asyncio.sleep(0.1)
        async with opened(own_server) as (connected, _):
            progress = await reconciliation.progress(connected)
        database.execute(lose, (False, sale.slug))
        rule, cause = (
            "Redis counts as many pending units as Postgres has",
            "Redis counts orders that Postgres never got",
        )
        assert rows == [(rule, f"{cause}, or somebody has written to Redis")]
        assert progress.differences[rule] >= 1
        assert progress.compared > 0
        while database.execute(told, (sale.slug,)).fetchall():
            assert time.monotonic() < deadline, "what is right again is not forgotten"
            await asyncio.sleep(0.1)


# ------------------------------------------------------------------------------------------------------------- repair


def repair(server: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", "audit", "--repair"]
    return subprocess.run(command, env=environment(server), capture_output=True, text=True, timeout=180, check=False)


def repaired(server: Any) -> str:
    """Repair the books; return what was said. They must be right afterwards, and sales go on soon."""
    done = repair(server)
    assert done.returncode == 0, done.stdout + done.stderr
    deadline = time.monotonic() + PATIENCE_S
    while httpx.get(f"{server.base_url}/health/ready", timeout=PATIENCE_S).status_code != 200:
        assert time.monotonic() < deadline, "sales do not go on"
        time.sleep(0.05)
    return done.stdout


def set_field(field: str, value: int) -> Callable[[Any, Sale], None]:
    def change(server: Any, sale: Sale) -> None:
        key = key_of(server, sale.slug, "event")
        with redis.Redis.from_url(server.redis_url) as store:
            store.hset(key, field.format(item=sale.item, quota=sale.quota), value)

    return change


def lose_deadline(server: Any, sale: Sale) -> None:
    key = key_of(server, sale.slug, "holds")
    with redis.Redis.from_url(server.redis_url) as store:
        due = key.rpartition("holds")[0] + "due"
        [member] = [one for one in store.zrange(due, 0, -1) if one.startswith(key.rpartition(":")[2].encode() + b":")]
        store.zrem(due, member)
        store.zadd(due, {member.rpartition(b":")[0] + b":987654321": 9999999999999})


def lose_deadlines(server: Any, sale: Sale) -> None:
    key = key_of(server, sale.slug, "holds")
    with redis.Redis.from_url(server.redis_url) as store:
        store.delete(key.rpartition("holds")[0] + "due")


def lose_hold(server: Any, sale: Sale) -> None:
    key = key_of(server, sale.slug, "holds")
    with redis.Redis.from_url(server.redis_url) as store:
        store.delete(key)


@pytest.mark.parametrize(
    "damage",
    [set_field("n{item}.0.0", 77), set_field("u{quota}", 1), lose_deadline, lose_deadlines, lose_hold],
    ids=["pending", "used", "deadline", "deadlines", "hold"],
)  # fmt: skip
def test_what_was_broken_on_purpose_is_repaired(own_server: Any, sale: Sale, damage: Callable[..., None]) -> None:
    damage(own_server, sale)
    status, finding = audit(own_server)
    assert (status, finding["ok"]) == (1, False)
    assert audit(own_server)[0] == 1, "the audit alone repairs nothing"
    said = repaired(own_server)
    assert "rebuilt" in said
    assert sale.slug in said
    assert audit(own_server)[0] == 0
    left = sale.available()
    sale.order()
    assert sale.available() == left - 1


def test_a_lost_outbox_is_told_and_made_anew_by_the_next_worker(own_server: Any, sale: Sale) -> None:
    [worker] = json.loads(own_server.ready_file.read_text())["processes"]["workers"]
    key = key_of(own_server, sale.slug, "holds")
    outbox = key.rpartition("holds")[0] + "outbox"
    with redis.Redis.from_url(own_server.redis_url) as store:
        os.kill(worker, signal.SIGSTOP)
        try:
            store.delete(outbox)
            _, finding = audit(own_server)
        finally:
            os.kill(worker, signal.SIGCONT)
        assert rules(finding) == {"each shard has its outbox, as far as Postgres has got"}
        deadline = time.monotonic() + PATIENCE_S
        while not _there(own_server, outbox) or not sale.open():
            assert time.monotonic() < deadline, "the worker has not seen it"
            time.sleep(0.1)


def _there(server: Any, key: str) -> bool:
    """Tell whether Redis has a key; while a shard is rebuilt connections are cut."""
    try:
        with redis.Redis.from_url(server.redis_url) as store:
            return bool(store.exists(key))
    except redis.ConnectionError:
        return False


def test_right_books_are_not_touched(own_server: Any, sale: Sale) -> None:
    with redis.Redis.from_url(own_server.redis_url) as store:
        epochs = {key: store.hget(key, "epoch") for key in store.keys("hf1:*:shard")}
        said = repaired(own_server)
        assert "nothing to repair" in said
        assert epochs == {key: store.hget(key, "epoch") for key in store.keys("hf1:*:shard")}


def test_what_is_wrong_in_postgres_is_left_to_people(own_server: Any, sale: Sale) -> None:
    with psycopg.connect(own_server.database_url, autocommit=True) as database:
        database.execute("UPDATE orders SET total = total + 1")
        done = repair(own_server)
        database.execute("UPDATE orders SET total = total - 1")
    assert done.returncode == 1
    assert "an order's total" in done.stdout


async def test_nothing_is_repaired_while_entries_wait_for_a_drain(own_server: Any, sale: Sale) -> None:
    """Counting anew from Postgres would forget what it has not got yet."""
    [worker] = json.loads(own_server.ready_file.read_text())["processes"]["workers"]
    key = key_of(own_server, sale.slug, "event")
    settings = Settings(redis_url=own_server.redis_url, database_url=own_server.database_url)
    with redis.Redis.from_url(own_server.redis_url) as store:
        store.hincrby(key, f"h{sale.item}.0.0", 3)
    order = {"email": "a@example.org", "positions": [{"item": sale.item}]}
    os.kill(worker, signal.SIGSTOP)
    try:
        answer = await asyncio.to_thread(sale.client.post, f"events/{sale.slug}/orders/", json=order)
        assert answer.status_code == 202
        with pytest.raises(Fenced, match="waits for Postgres"):
            await workers.repair.run(settings, [int(key.partition("{s")[2].partition("}")[0])])
    finally:
        os.kill(worker, signal.SIGCONT)
    await asyncio.to_thread(repaired, own_server)
    path = f"events/{sale.slug}/orders/{answer.json()['code']}/"
    assert (await asyncio.to_thread(sale.client.get, path)).status_code == 200
