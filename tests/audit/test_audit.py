"""The audit finds nothing wrong with right books, and finds each way in which they are broken on purpose."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest
import redis
from auditing import audit, nobody_at_work, rules


@pytest.fixture(scope="module")
def sold(own_server: Any) -> dict[str, Any]:
    """An event with one quota of ten, one held unit, one pending and one paid order."""
    root = f"{own_server.base_url}/api/v1/organizers/{own_server.organizer}/"
    with httpx.Client(headers={"Authorization": f"Token {own_server.token}"}, timeout=30) as client:

        def post(path: str, body: Any) -> Any:
            answer = client.post(root + path, json=body)
            assert answer.status_code == 201, answer.text
            return answer.json()

        event = {"name": {"en": "Books"}, "slug": "books", "currency": "EUR", "date_from": "2031-01-01T10:00:00Z"}
        post("events/", event)
        item = post("events/books/items/", {"name": {"en": "Ticket"}, "default_price": "23.00"})["id"]
        quota = post("events/books/quotas/", {"name": "All", "size": 10, "items": [item], "variations": []})["id"]
        post("events/books/cartpositions/", {"item": item, "price": "23.00"})
        order = {"email": "a@example.org", "positions": [{"item": item}]}
        post("events/books/orders/", order)
        paid = post("events/books/orders/", {**order, "status": "p", "payment_provider": "manual"})
    return {"item": item, "quota": quota, "paid": paid["code"]}


def test_right_books_are_right(own_server: Any, sold: dict[str, Any]) -> None:
    status, finding = audit(own_server)
    assert (status, finding["ok"], finding["problems"]) == (0, True, [])
    assert finding["checked"]["orders"] == 2
    assert finding["checked"]["holds"] == 1


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("n{item}.0.0", "Redis counts as many pending units as Postgres has"),
        ("p{item}.0.0", "Redis counts as many paid units as Postgres has"),
        ("h{item}.0.0", "as many units are held as cart positions hold"),
        ("u{quota}", "used = held + pending + paid + blocked + waiting - exited"),
        ("c{quota}", "committed = pending + paid + blocked - exited"),
        ("s{quota}", "the size in Redis is the size in Postgres"),
    ],
)
def test_a_counter_that_is_off_by_one_is_found(own_server: Any, sold: dict[str, Any], field: str, rule: str) -> None:
    with redis.Redis.from_url(own_server.redis_url) as store:
        [key] = store.keys("hf1:*:event:*")
        store.hincrby(key, field.format(**sold), 1)
        status, finding = audit(own_server)
        store.hincrby(key, field.format(**sold), -1)
    assert status == 1
    assert rule in rules(finding)


def test_a_deadline_without_its_hold_is_found(own_server: Any, sold: dict[str, Any]) -> None:
    with redis.Redis.from_url(own_server.redis_url) as store:
        [due] = [key for key in store.keys("hf1:*:due") if store.zcard(key)]
        [(member, deadline)] = store.zrange(due, 0, -1, withscores=True)
        store.zrem(due, member)
        status, finding = audit(own_server)
        store.zadd(due, {member: deadline})
    assert status == 1
    assert rules(finding) == {"each hold has its deadline, each deadline its hold"}


@pytest.mark.parametrize(
    ("name", "rules_broken"),
    [
        ("event", {"each key in Redis is of its type"}),
        ("holds", {"each key in Redis is of its type"}),
        ("shard", {"Redis and Postgres agree on the epoch"}),
        ("outbox", {"each shard has its outbox, as far as Postgres has got"}),
    ],
)
def test_a_key_that_somebody_has_overwritten_is_found(
    own_server: Any, sold: dict[str, Any], name: str, rules_broken: set[str]
) -> None:
    with redis.Redis.from_url(own_server.redis_url) as store, nobody_at_work(own_server):
        [event] = store.keys("hf1:*:event:*")
        shard, _, event_id = event.partition(b"event:")
        key = shard + (b"%s:%s" % (name.encode(), event_id) if name in ("event", "holds") else name.encode())
        store.rename(key, b"aside")
        store.set(key, "a text")
        try:
            status, finding = audit(own_server)
        finally:
            store.rename(b"aside", key)
    assert status == 1
    assert rules(finding) == rules_broken


@pytest.mark.parametrize(
    ("breaking", "mending", "rule"),
    [
        (
            "UPDATE quotas SET size = 1",
            "UPDATE quotas SET size = 10",
            "not more is sold than there is",
        ),
        (
            """UPDATE orders SET doc = replace(doc, '"state":"confirmed"', '"state":"created"')""",
            """UPDATE orders SET doc = replace(doc, '"state":"created"', '"state":"confirmed"')""",
            "a paid order's payments cover its total",
        ),
        (
            """UPDATE orders SET doc = replace(doc, '"state":"confirmed"', '"state":"refunded"')""",
            """UPDATE orders SET doc = replace(doc, '"state":"refunded"', '"state":"confirmed"')""",
            "the refunds of a refunded payment make up all of it",
        ),
        (
            "UPDATE positions SET price = price + 1",
            "UPDATE positions SET price = price - 1",
            "an order's total is the sum of its positions and fees",
        ),
        (
            "UPDATE orders SET version = version + 1",
            "UPDATE orders SET version = version - 1",
            "an order's rows say what its document says",
        ),
        (
            "UPDATE orders SET doc = jsonb_set(doc::jsonb, '{comment}', '\"forged\"')",
            "UPDATE orders SET doc = jsonb_set(doc::jsonb, '{comment}', '\"\"')",
            "Redis and Postgres have the same version of an order",
        ),
        (
            "UPDATE shards SET epoch = epoch + 1",
            "UPDATE shards SET epoch = epoch - 1",
            "Redis and Postgres agree on the epoch",
        ),
    ],
)
def test_a_broken_row_is_found(own_server: Any, sold: dict[str, Any], breaking: str, mending: str, rule: str) -> None:
    with nobody_at_work(own_server), psycopg.connect(own_server.database_url, autocommit=True) as database:
        database.execute(breaking)
        status, finding = audit(own_server)
        database.execute(mending)
    assert status == 1
    assert rule in rules(finding)


def test_units_that_were_forced_are_allowed(own_server: Any, sold: dict[str, Any]) -> None:
    root = f"{own_server.base_url}/api/v1/organizers/{own_server.organizer}/events/books/"
    with httpx.Client(headers={"Authorization": f"Token {own_server.token}"}, timeout=30) as client:
        body = {"email": "a@example.org", "force": True, "positions": [{"item": sold["item"]}] * 12}
        assert client.post(root + "orders/", json=body).status_code == 201
    status, finding = audit(own_server)
    assert (status, finding["problems"]) == (0, [])


def test_what_clients_may_say_of_money_is_right(own_server: Any, sold: dict[str, Any]) -> None:
    """A payment told as refunded; one refunded in two parts, of which one is done and the other open, then canceled."""
    root = f"{own_server.base_url}/api/v1/organizers/{own_server.organizer}/events/books/orders/"
    with httpx.Client(headers={"Authorization": f"Token {own_server.token}"}, timeout=30) as client:

        def post(path: str, body: Any, status: int = 201) -> Any:
            answer = client.post(root + path, json=body)
            assert answer.status_code == status, answer.text
            return answer.json()

        order = {"email": "a@example.org", "force": True, "positions": [{"item": sold["item"]}]}
        code = post("", {**order, "status": "p", "payment_provider": "manual"})["code"]
        told = {"state": "refunded", "amount": "23.00", "provider": "manual", "payment_date": "2017-12-04T12:13:12Z"}
        post(f"{code}/payments/", told)
        post(f"{code}/payments/", {**told, "payment_date": None})
        part = {"state": "created", "source": "admin", "provider": "manual", "payment": 1}
        post(f"{code}/refunds/", {**part, "amount": "10.00"})
        post(f"{code}/refunds/", {**part, "amount": "13.00"})
        post(f"{code}/refunds/1/done/", {}, 200)
        half = audit(own_server)
        post(f"{code}/refunds/2/cancel/", {}, 200)
        states = [payment["state"] for payment in client.get(f"{root}{code}/").json()["payments"]]
    status, finding = audit(own_server)
    assert states == ["refunded"] * 3
    assert (half[0], half[1]["problems"]) == (0, [])
    assert (status, finding["problems"]) == (0, [])
