"""Webhooks all the way: an order is changed over HTTP, somebody else's server hears of it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
from fresh import fresh

from tests.conftest import Server
from tests.webhooks.conftest import Receiver, until

Hook = Callable[..., int]


class Sale:
    """An event with a ticket that is never sold out."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.slug = fresh("w")
        event = {"name": {"en": "W"}, "slug": self.slug, "currency": "EUR", "date_from": "2031-01-01T10:00:00Z"}
        self.must(client.post("events/", json=event))
        self.item = self.must(self.post("items/", name={"en": "Ticket"}, default_price="23.00"))["id"]
        self.must(self.post("quotas/", name="All", size=None, items=[self.item], variations=[]))

    def must(self, answer: httpx.Response) -> Any:
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def post(self, path: str, /, **body: Any) -> httpx.Response:
        return self.client.post(f"events/{self.slug}/{path}", json=body)

    def order(self, **fields: Any) -> Any:
        body = {
            "email": "a@example.org",
            "locale": "en",
            "send_email": False,
            "payment_provider": "manual",
            "positions": [{"item": self.item}],
        }
        return self.must(self.post("orders/", **body | fields))

    def act(self, code: str, what: str, **body: Any) -> None:
        self.must(self.post(f"orders/{code}/{what}/", **body))


@pytest.fixture
def sale(client: httpx.Client) -> Sale:
    return Sale(client)


def make_due(database: psycopg.Connection) -> None:
    database.execute("UPDATE webhook_queues SET due_at = now()")


def waiting(database: psycopg.Connection, hook: int) -> list[Any]:
    rows = "SELECT body ->> 'code', dead_at IS NOT NULL, error FROM notifications WHERE webhook_id = %s ORDER BY id"
    return database.execute(rows, [hook]).fetchall()


ALL = ("placed", "paid", "canceled", "reactivated", "expired", "expirychanged", "contact.changed", "changed.*")


def test_a_receiver_is_told_of_an_orders_life_in_order_in_pretixs_words(
    up: Server, sale: Sale, hook: Hook, receiver: Receiver, database: psycopg.Connection
) -> None:
    number = hook(receiver.url, *ALL, "payment.confirmed", "refund.created", "refund.done")
    code = sale.order()["code"]
    sale.act(code, "mark_paid", send_email=False)
    sale.act(code, "refunds", state="done", source="admin", amount="23.00", payment=1, provider="manual")
    sale.act(code, "mark_canceled", send_email=False)
    sale.act(code, "reactivate")
    sale.act(code, "mark_expired")
    sale.act(code, "extend", expires="2031-06-01", force=True)
    sale.must(sale.client.patch(f"events/{sale.slug}/orders/{code}/", json={"email": "b@example.org"}))
    wanted = ["placed", "payment.confirmed", "paid", "refund.created", "refund.done", "canceled", "reactivated"]
    wanted += ["expired", "expirychanged", "contact.changed"]
    until(lambda: len(receiver.of(code)) >= len(wanted))
    assert receiver.of(code) == wanted
    first = next(body for body in receiver.told if body["code"] == code)
    assert first == {
        "notification_id": first["notification_id"],
        "organizer": up.organizer,
        "event": sale.slug,
        "code": code,
        "action": "pretix.event.order.placed",
    }
    assert list(first) == ["notification_id", "organizer", "event", "code", "action"]
    numbers = [body["notification_id"] for body in receiver.told if body["code"] == code]
    assert numbers == sorted(set(numbers))
    assert receiver.headers[0]["Content-Type"] == "application/json"
    until(lambda: waiting(database, number) == [])
    until(lambda: database.execute("SELECT count(*) FROM webhook_queues").fetchone() == (0,))
    until(lambda: database.execute("SELECT count(*) FROM order_changes").fetchone() == (0,))


def test_approval_and_denial_are_told_apart_from_cancellation(sale: Sale, hook: Hook, receiver: Receiver) -> None:
    hook(receiver.url, "placed", "placed.require_approval", "approved", "denied", "canceled", "paid")
    asks = {"require_approval": True, "positions": [{"item": sale.item, "price": "0.00"}]}
    approved, denied, canceled = (sale.order(**asks)["code"] for _ in range(3))
    sale.act(approved, "approve", send_email=False)
    sale.act(denied, "deny")
    sale.act(canceled, "mark_canceled")
    begun = ["placed", "placed.require_approval"]
    until(lambda: len(receiver.told) >= 10)
    assert receiver.of(approved) == [*begun, "approved", "paid"]
    assert receiver.of(denied) == [*begun, "denied"]
    assert receiver.of(canceled) == [*begun, "canceled"]


def test_a_webhook_hears_only_what_it_asks_for(
    sale: Sale, hook: Hook, receiver: Receiver, client: httpx.Client
) -> None:
    other = Sale(client)
    hook(f"{receiver.url}/paid", "paid")
    hook(f"{receiver.url}/one", "placed", all_events=False, limit_events=[other.slug])
    hook(f"{receiver.url}/off", "placed", enabled=False)
    hook(f"{receiver.url}/changes", "changed.*", "deleted")
    one, two = sale.order(testmode=True), other.order(status="p")
    price = [{"position": one["positions"][0]["id"], "body": {"price": "20.00"}}]
    sale.act(one["code"], "change", patch_positions=price)
    assert sale.client.delete(f"events/{sale.slug}/orders/{one['code']}/").status_code == 204
    until(lambda: len(receiver.asked) >= 4)
    heard = {
        (path.rpartition("/")[2], body["code"], body["action"].partition("order.")[2]) for path, body in receiver.asked
    }
    assert heard == {
        ("paid", two["code"], "paid"),
        ("one", two["code"], "placed"),
        ("changes", one["code"], "changed.price"),
        ("changes", one["code"], "deleted"),
    }


def test_what_fails_is_tried_again_in_order_while_other_orders_go_on(
    sale: Sale, hook: Hook, receiver: Receiver, database: psycopg.Connection
) -> None:
    ill = sale.order()["code"]
    receiver.says = lambda body: 500 if body["code"] == ill else 200
    number = hook(receiver.url, "paid", "canceled", "reactivated")
    sale.act(ill, "mark_paid", send_email=False)
    sale.act(ill, "mark_canceled", send_email=False)
    well = sale.order(status="p")["code"]
    until(lambda: receiver.of(well) == ["paid"])
    until(lambda: (ill, False, "it answered 500") in waiting(database, number))
    assert receiver.of(ill) == []
    receiver.says = lambda body: 200
    make_due(database)
    until(lambda: receiver.of(ill) == ["paid", "canceled"])
    asked = [body["notification_id"] for _, body in receiver.asked if body["action"].endswith("paid")]
    assert len(set(asked)) == 2


def test_waits_grow(sale: Sale, hook: Hook, receiver: Receiver, database: psycopg.Connection) -> None:
    receiver.says = lambda body: 503
    number = hook(receiver.url, "placed")
    code = sale.order()["code"]
    sql = """SELECT tries, extract(epoch FROM due_at - now()) FROM webhook_queues JOIN orders ON orders.id = order_id
             WHERE code = %s"""

    def row() -> Any:
        return database.execute(sql, [code]).fetchone() or (0, 0)

    for tries, wait in enumerate((10, 20, 40), 1):
        until(lambda tries=tries: row()[0] == tries)
        assert wait / 2 < row()[1] <= wait
        make_due(database)
    until(lambda: row()[0] == 4)
    assert waiting(database, number) == [(code, False, "it answered 503")]


def test_a_redirect_is_not_followed(sale: Sale, hook: Hook, receiver: Receiver, database: psycopg.Connection) -> None:
    receiver.says = lambda body: 302
    number = hook(receiver.url, "placed")
    code = sale.order()["code"]
    until(lambda: waiting(database, number) == [(code, False, "it answered 302")])
    assert {path for path, _ in receiver.asked} == {"/hook"}


def test_a_webhook_that_is_gone_is_disabled(
    sale: Sale, hook: Hook, receiver: Receiver, client: httpx.Client, database: psycopg.Connection
) -> None:
    receiver.says = lambda body: 410
    number = hook(receiver.url, "placed")
    sale.order()
    until(lambda: client.get(f"webhooks/{number}/").json()["enabled"] is False)
    until(lambda: waiting(database, number) == [])
    asked = len(receiver.asked)
    sale.order()
    until(lambda: database.execute("SELECT count(*) FROM order_changes").fetchone() == (0,))
    assert (waiting(database, number), len(receiver.asked)) == ([], asked)


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"])  # noqa: S104
def test_nobody_is_called_in_networks_of_our_own(
    host: str, sale: Sale, hook: Hook, receiver: Receiver, database: psycopg.Connection
) -> None:
    number = hook(receiver.url.replace("127.0.0.1", host), "placed")
    sale.order()
    until(lambda: waiting(database, number) and waiting(database, number)[0][2])
    assert "is not a public address" in waiting(database, number)[0][2]
    assert receiver.asked == []


def test_what_was_not_received_in_three_days_is_given_up_and_can_be_sent_again(
    up: Server, sale: Sale, hook: Hook, receiver: Receiver, database: psycopg.Connection
) -> None:
    receiver.says = lambda body: 500
    number = hook(f"{receiver.url.replace('//', '//me:secret@')}?a=b", "placed", "paid")
    code = sale.order(status="p")["code"]
    until(lambda: len(waiting(database, number)) == 2 and waiting(database, number)[0][2])
    database.execute("UPDATE notifications SET queued_at = now() - interval '73 hours' WHERE webhook_id = %s", [number])
    make_due(database)
    until(lambda: waiting(database, number) == [(code, True, "it answered 500")] * 2)
    assert receiver.headers[0]["Authorization"].startswith("Basic ")

    listed = run(up, "dead")
    assert f"{sale.slug}/{code}" in listed
    assert "pretix.event.order.placed" in listed
    assert "it answered 500" in listed
    assert "secret" not in listed
    receiver.says = lambda body: 200
    assert "2 " in run(up, "retry")
    until(lambda: receiver.of(code) == ["placed", "paid"])
    assert run(up, "dead") == "Nothing is dead.\n"


def test_a_worker_that_is_killed_in_mid_call_loses_nothing(
    up: Server, sale: Sale, hook: Hook, receiver: Receiver, database: psycopg.Connection
) -> None:
    called, release = threading.Event(), threading.Event()

    def hang(body: Any) -> int:
        called.set()
        release.wait(60)
        return 200

    receiver.says = hang
    hook(receiver.url, "placed", "paid")
    codes = [sale.order(status="p")["code"] for _ in range(10)]
    assert called.wait(60)
    [worker] = json.loads(up.ready_file.read_text())["processes"]["workers"]
    os.kill(worker, signal.SIGKILL)
    receiver.says = lambda body: 200
    release.set()
    receiver.told.clear()
    # another worker has to be there before anything is confirmed
    codes.append(sale.order(status="p")["code"])
    make_due(database)

    def all_told() -> bool:
        return all(list(dict.fromkeys(receiver.of(code))) == ["placed", "paid"] for code in codes)

    until(all_told, 120)
    until(lambda: database.execute("SELECT count(*) FROM notifications WHERE dead_at IS NULL").fetchone() == (0,))


def test_a_new_url_gets_at_once_what_the_old_one_did_not_take_and_a_disabled_webhook_forgets_it(
    sale: Sale, hook: Hook, receiver: Receiver, database: psycopg.Connection
) -> None:
    receiver.says = lambda body: 500
    moved, off = hook(f"{receiver.url}/old", "placed"), hook(f"{receiver.url}/off", "placed")
    code = sale.order()["code"]
    for number in (moved, off):
        until(lambda number=number: waiting(database, number) == [(code, False, "it answered 500")])
    receiver.says = lambda body: 200
    # nobody tries again by himself
    database.execute("UPDATE webhook_queues SET due_at = now() + interval '1 hour'")
    assert sale.client.patch(f"webhooks/{off}/", json={"enabled": False}).status_code == 200
    assert sale.client.patch(f"webhooks/{off}/", json={"enabled": True}).status_code == 200
    assert sale.client.patch(f"webhooks/{moved}/", json={"target_url": f"{receiver.url}/new"}).status_code == 200
    until(lambda: receiver.of(code) == ["placed"])
    assert receiver.asked[-1][0] == "/hook/new"
    assert waiting(database, off) == []


def test_a_receiver_that_does_not_answer_keeps_nobody_else_waiting(sale: Sale, hook: Hook, receiver: Receiver) -> None:
    release = threading.Event()
    receiver.says = lambda body: 200 if body["action"].endswith("paid") or release.wait(60) else 500
    hook(f"{receiver.url}/slow", "placed")
    hook(f"{receiver.url}/quick", "paid")
    codes = [sale.order(status="p")["code"] for _ in range(12)]
    try:
        until(lambda: all(receiver.of(code) == ["paid"] for code in codes), 25)
    finally:
        release.set()
    until(lambda: all(sorted(receiver.of(code)) == ["paid", "placed"] for code in codes))


def test_what_cannot_be_told_keeps_nobody_else_from_being_told(
    sale: Sale, hook: Hook, receiver: Receiver, database: psycopg.Connection
) -> None:
    hook(receiver.url, "placed")
    database.execute(
        """INSERT INTO order_changes (order_id, organizer_id, event_id, split, versions)
           SELECT 1, organizer_id, id, false, '[null, {"id": "nonsense"}]' FROM events WHERE slug = %s""",
        [sale.slug],
    )
    code = sale.order()["code"]
    until(lambda: receiver.of(code) == ["placed"])


def test_workers_share_what_is_due_and_keep_each_orders_order_whatever_fails(
    up: Server, sale: Sale, hook: Hook, receiver: Receiver, database: psycopg.Connection
) -> None:
    chance, lock, under_way, together = random.Random(7), threading.Lock(), set[Any](), []

    def moody(body: Any) -> int:
        with lock:
            together.append(body["code"] in under_way)
            under_way.add(body["code"])
        time.sleep(0.005)
        with lock:
            under_way.discard(body["code"])
            return chance.choice((200, 200, 500))

    receiver.says = moody
    hook(receiver.url, "placed", "paid", "canceled", "reactivated")
    orders = 30
    codes = [sale.order(status="p")["code"] for _ in range(orders)]
    environment = {
        **os.environ,
        "HOLDFAST_DATABASE_URL": up.database_url,
        "HOLDFAST_REDIS_URL": up.redis_url,
        "HOLDFAST_WEBHOOK_NETWORKS": "127.0.0.1",
    }
    command = [sys.executable, "-m", "engine", "worker"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as other:
        try:
            for code in codes:
                sale.act(code, "mark_canceled", send_email=False)
                sale.act(code, "reactivate")
            life = ["placed", "paid", "canceled", "reactivated", "paid"]

            def all_told() -> bool:
                # what has failed need not wait as long as it should; what is due in a minute is being called
                database.execute(
                    """UPDATE webhook_queues SET due_at = now() WHERE due_at > now()
                       AND due_at NOT BETWEEN now() + interval '45 seconds' AND now() + interval '61 seconds'"""
                )
                return all(receiver.of(code) == life for code in codes)

            until(all_told, 120)
        finally:
            other.terminate()
    assert not any(together)
    assert len(receiver.asked) > len(life) * orders


def run(up: Server, action: str) -> str:
    command = [sys.executable, "-m", "engine", "webhooks", action]
    environment = {**os.environ, "HOLDFAST_DATABASE_URL": up.database_url}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
