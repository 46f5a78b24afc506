"""X-Idempotency-Key: what was answered once is answered again, byte for byte, and nothing is done twice."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import secrets
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import redis
from msgspec import msgpack
from msgspec.structs import replace
from shop import must

from engine.domain.errors import Duplicate
from engine.domain.next import Next
from engine.http import idempotency
from engine.http.call import Reply
from engine.http.cart_bodies import CartReply, CartRow, NewCartPositionBody
from engine.ledger.replies import Claim, Kept
from engine.sales import holds, orders
from engine.sales.holds import HoldGroup, HoldPosition
from engine.sales.house import open_house
from engine.settings import Settings
from persistence import access

BANK = {"payer": "Peter Miller", "iban": "DE02120300000000202051"}
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
HOP = {"date", "x-request-id", "server"}
"""Headers of the transport, not of the reply."""


@pytest.fixture
def key():
    return secrets.token_hex(8)


@pytest.fixture
def send(shop):
    """Send one request with an idempotency key to an event of its own."""

    class Sender:
        def __init__(self):
            self.shop = shop()
            self.item = self.shop.item()
            self.quota = self.shop.quota(10, self.item)

        def __call__(self, method, path, key, body=None, **headers):
            content = b"" if body is None else json.dumps(body).encode()
            headers = {"X-Idempotency-Key": key, "Content-Type": "application/json", **headers}
            return self.shop.api.request(method, f"events/{self.shop.slug}/{path}", content=content, headers=headers)

    return Sender()


def same(one: httpx.Response, other: httpx.Response) -> bool:
    def parts(response):
        return (
            response.status_code,
            [(k, v) for k, v in response.headers.multi_items() if k not in HOP],
            response.content,
        )

    return parts(one) == parts(other)


def twice(send, method, path, key, body=None, *, status):
    first = send(method, path, key, body)
    assert first.status_code == status, first.text
    assert same(send(method, path, key, body), first)
    return first


def order_body(send, **fields):
    row = {"item": send.item}
    return {"email": "a@b.org", "locale": "en", "payment_provider": "manual", "positions": [row], **fields}


def test_a_cart_position_is_held_once(send, key):
    twice(send, "POST", "cartpositions/", key, {"item": send.item, "price": "23.00"}, status=201)
    assert send.shop.left(send.quota) == 9
    assert must(send.shop.get("cartpositions/"), 200)["count"] == 1


def test_a_far_deadline_comes_back_as_it_was(send, key):
    body = {"item": send.item, "price": "23.00", "expires": "9998-12-31T23:59:59.123000Z"}
    first = twice(send, "POST", "cartpositions/", key, body, status=201)
    assert first.json()["expires"] == "9998-12-31T23:59:59.123000Z"


def test_rows_held_refused_and_short_come_back_as_they_were(send, key):
    scarce = send.shop.item("Scarce")
    send.shop.quota(1, scarce, name="One")
    good = {"item": send.item, "price": "23.00", "attendee_name": "Ada"}
    rows = [good, {"item": scarce, "price": "1.00"}, {"item": scarce, "price": "1.00"}, {"item": 0, "price": "x"}, good]
    first = twice(send, "POST", "cartpositions/bulk_create/", key, rows, status=200)
    assert [row["success"] for row in first.json()["results"]] == [True, True, False, False, True]
    assert send.shop.left(send.quota) == 8


def test_a_position_is_deleted_once(send, key):
    made = must(send.shop.cart(send.item), 201)
    twice(send, "DELETE", f"cartpositions/{made['id']}/", key, status=204)
    assert send.shop.left(send.quota) == 10


def test_an_order_is_made_once(send, key):
    twice(send, "POST", "orders/", key, order_body(send), status=201)
    assert must(send.shop.get("orders/"), 200)["count"] == 1
    assert send.shop.left(send.quota) == 9


def test_payments_and_refunds_are_made_once(send, key):
    code = must(send.shop.order(send.item, payment_provider="banktransfer", payment_info=BANK), 201)["code"]
    twice(send, "POST", f"orders/{code}/payments/1/confirm/", key, {}, status=200)
    # without its key the same request is refused by now
    assert send.shop.post(f"orders/{code}/payments/1/confirm/").status_code == 400
    twice(send, "POST", f"orders/{code}/payments/1/refund/", key + "r", {"amount": "3.00"}, status=200)
    body = {"state": "created", "source": "admin", "provider": "manual", "amount": "1.00", "payment": 1}
    twice(send, "POST", f"orders/{code}/refunds/", key + "n", body, status=201)
    assert len(must(send.shop.get(f"orders/{code}/"), 200)["refunds"]) == 2
    twice(send, "PATCH", f"orders/{code}/", key + "p", {"comment": "x"}, status=200)


def test_a_refusal_that_changed_the_order_comes_back_too(send, key):
    order = must(send.shop.order(send.item), 201)
    must(send.shop.post(f"orders/{order['code']}/mark_expired/"), 200)
    must(send.shop.patch(f"quotas/{send.quota}/", {"size": 0}), 200)
    path = f"orders/{order['code']}/payments/1/confirm/"
    first = twice(send, "POST", path, key, {}, status=400)
    assert "no longer available" in first.text


def test_a_quota_is_made_once(send, key):
    body = {"name": "More", "size": 1, "items": [send.item]}
    made = twice(send, "POST", "quotas/", key, body, status=201).json()
    assert must(send.shop.get("quotas/"), 200)["count"] == 2
    twice(send, "DELETE", f"quotas/{made['id']}/", key + "d", status=204)


def test_writes_outside_of_events_have_keys_too(send, key):
    slug = f"t{key}"
    body = {"name": {"en": "E"}, "slug": slug, "currency": "EUR", "date_from": "2031-12-27T10:00:00Z"}
    first = send.shop.api.post("events/", json=body, headers={"X-Idempotency-Key": key})
    assert first.status_code == 201
    assert same(send.shop.api.post("events/", json=body, headers={"X-Idempotency-Key": key}), first)


def test_refusals_come_back_although_they_would_not_be_refused_now(send, key):
    body = {"item": send.item, "price": "23.00"}
    must(send.shop.patch(f"quotas/{send.quota}/", {"size": 0}), 200)
    first = twice(send, "POST", "cartpositions/", key, body, status=400)
    must(send.shop.patch(f"quotas/{send.quota}/", {"size": 1}), 200)
    assert same(send("POST", "cartpositions/", key, body), first)
    assert send("POST", "cartpositions/", key + "x", body).status_code == 201
    twice(send, "POST", "cartpositions/", key + "y", {"item": send.item, "price": "x"}, status=400)
    twice(send, "DELETE", "cartpositions/1/", key + "z", status=404)


def test_duplicates_at_the_same_time_make_one_order(send, key):
    def one(_):
        return send("POST", "orders/", key, order_body(send))

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(one, range(20)))
    made = [answer for answer in answers if answer.status_code == 201]
    assert made
    assert all(same(answer, made[0]) for answer in made)
    for answer in answers:
        if answer.status_code != 201:
            assert answer.status_code == 409
            assert answer.json() == {"detail": "Concurrent request with idempotency key."}
            assert int(answer.headers["Retry-After"]) > 0
    assert must(send.shop.get("orders/"), 200)["count"] == 1
    assert same(one(0), made[0])


@pytest.mark.parametrize(
    ("method", "path", "price"),
    [("POST", "cartpositions/", "9.00"), ("POST", "cartpositions/?a=b", "1.00"), ("POST", "orders/", "1.00")],
)
def test_a_key_belongs_to_one_request(send, key, method, path, price):
    assert send("POST", "cartpositions/", key, {"item": send.item, "price": "1.00"}).status_code == 201
    other = send(method, path, key, {"item": send.item, "price": price})
    assert other.status_code == 409
    assert other.json() == {"detail": "This idempotency key was used for another method, path or body."}
    assert send.shop.left(send.quota) == 9


def test_a_key_belongs_to_one_token(send, key):
    team = must(send.shop.api.get("teams/"), 200)["results"][0]["id"]
    token = must(send.shop.api.post(f"teams/{team}/tokens/", json={"name": "other"}), 201)["token"]
    body = {"item": send.item, "price": "23.00"}
    one = send("POST", "cartpositions/", key, body)
    two = send("POST", "cartpositions/", key, body, Authorization=f"Token {token}")
    assert one.json()["id"] != two.json()["id"]


def test_reads_and_empty_keys_are_not_concerned(send, key):
    before = send("GET", "cartpositions/", key)
    must(send.shop.cart(send.item), 201)
    assert (before.json()["count"], send("GET", "cartpositions/", key).json()["count"]) == (0, 1)
    body = {"item": send.item, "price": "23.00"}
    assert send("POST", "cartpositions/", "", body).json() != send("POST", "cartpositions/", "", body).json()


def test_a_key_has_a_longest_length(send):
    body = {"item": send.item, "price": "23.00"}
    refused = send("POST", "cartpositions/", "k" * 256, body)
    assert (refused.status_code, list(refused.json())) == (400, ["detail"])
    assert send("POST", "cartpositions/", "k" * 255, body).status_code == 201


class TestAFrontDoorThatDied:
    """Does the first part of a front door's work on a key, and leaves the rest undone."""

    def run(self, server, send, key, request, part, *, claim_ms=60_000):
        method, path, body = request

        async def main():
            async with open_house(Settings(redis_url=server.redis_url, database_url=server.database_url)) as house:
                token_hash = access.token_hash(server.token)
                row = await access.principal(house.database, token_hash)
                event = await house.catalogue.event(row["organizer_id"], send.shop.slug)
                full_path = f"/api/v1/organizers/{server.organizer}/events/{send.shop.slug}/{path}"
                claim = await house.ledger.reply_claim(
                    event,
                    idempotency.name(token_hash, send.shop.slug, key),
                    idempotency.fingerprint(method, full_path, json.dumps(body).encode()),
                    claim_ms=claim_ms,
                )
                assert isinstance(claim, Claim)
                return await part(house, event, claim)

        return asyncio.run(main())

    def test_before_the_work_blocks_the_key_for_a_while(self, server, send, key):
        body = {"item": send.item, "price": "23.00"}

        async def wait_out(house, event, claim):
            running = await asyncio.to_thread(send, "POST", "cartpositions/", key, body)
            for _ in range(1000):
                made = await asyncio.to_thread(send, "POST", "cartpositions/", key, body)
                if made.status_code != 409:
                    break
                await asyncio.sleep(0.05)
            late = HoldGroup("c@api", [HoldPosition((send.item, 0, 0), b"{}")], 60_000)
            with pytest.raises(Duplicate):
                await holds.hold(house, event, [late], Kept(claim, b"late"))
            return running, made

        running, made = self.run(server, send, key, ("POST", "cartpositions/", body), wait_out, claim_ms=2500)
        assert (running.status_code, made.status_code) == (409, 201)
        assert same(send("POST", "cartpositions/", key, body), made)
        assert send.shop.left(send.quota) == 9

    def test_after_a_hold_has_its_reply_told(self, server, send, key):
        body = {"item": send.item, "price": "23.00"}

        async def hold(house, event, claim):
            row = CartRow(position=_position(send.item), short={send.quota: "short"})
            group = HoldGroup("c@api", [HoldPosition((send.item, 0, 0), b'{"price":"23.00"}')], 60_000)
            kept = Kept(claim, msgpack.encode(CartReply([row], bulk=False)))
            return (await holds.hold(house, event, [group], kept))[0].ids[0]

        hold_id = self.run(server, send, key, ("POST", "cartpositions/", body), hold)
        told = twice(send, "POST", "cartpositions/", key, body, status=201).json()
        listed = must(send.shop.get(f"cartpositions/{hold_id}/"), 200)
        assert {name: told[name] for name in listed} == listed
        assert send.shop.left(send.quota) == 9

    def test_after_a_change_of_an_order_has_its_reply_told(self, server, send, key, monkeypatch):
        # what this test puts into the store is no answer of ours
        monkeypatch.setitem(send.shop.api.event_hooks, "response", [])
        code = must(send.shop.order(send.item), 201)["code"]
        path, body = f"orders/{code}/", {"comment": "changed"}

        async def change(house, event, claim):
            def rule(order, event, now):
                return Next(replace(order, comment="changed"))

            def keep(order):
                reply = Reply(200, json.dumps({"comment": order.comment}).encode(), {"X-Told": "yes"})
                return Kept(claim, msgpack.encode(reply))

            return (await orders.change(house, event, code, rule, keep)).order.version

        version = self.run(server, send, key, ("PATCH", path, body), change)
        told = twice(send, "PATCH", path, key, body, status=200)
        assert (told.json(), told.headers["X-Told"], version) == ({"comment": "changed"}, "yes", 2)


def _position(item):
    made = dict.fromkeys(("variation", "attendee_name", "attendee_email", "subevent"))
    return NewCartPositionBody(
        id=0,
        cart_id="c@api",
        item=item,
        price="23.00",
        attendee_name_parts={},
        datetime=EPOCH,
        expires=EPOCH,
        answers=(),
        **made,
    )


def test_the_reply_with_a_new_token_is_kept_nowhere(server, api):
    key = {"X-Idempotency-Key": secrets.token_hex(12)}
    team = {"name": "Box office", "all_events": True, "limit_events": [], "can_view_orders": True}
    made = must(api.post("teams/", json=team), 201)["id"]
    first = must(api.post(f"teams/{made}/tokens/", json={"name": "till"}, headers=key), 201)["token"]
    with redis.Redis.from_url(server.redis_url) as store:
        for name in store.scan_iter("hf1:*:reply:*"):
            assert first.encode() not in b"".join(store.hvals(name))
    assert must(api.post(f"teams/{made}/tokens/", json={"name": "till"}, headers=key), 201)["token"] != first
