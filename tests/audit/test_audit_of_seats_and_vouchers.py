"""The audit finds seats and uses of vouchers that are somebody else's than the books say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
import redis
from auditing import audit, rules
from plans import layout


class Books:
    """An event with five seats: A1 is held, A2 ordered, A3 paid, the others are free. Each of the three has used the
    voucher TWICE, of which the order took a euro off. BLOCK keeps two units free, one of which a cart has. BEYOND let
    one cart have more than there is.
    """

    def __init__(self, server: Any) -> None:
        self.server = server
        with httpx.Client(headers={"Authorization": f"Token {server.token}"}, timeout=30) as client:
            self.client, self.root = client, f"{server.base_url}/api/v1/organizers/{server.organizer}/"
            plan = self.post("seatingplans/", {"name": "Hall", "layout": layout(["A1", "A2", "A3", "A4", "A5"])})["id"]
            event = {"name": {"en": "Hall"}, "slug": "hall", "currency": "EUR", "date_from": "2031-01-01T10:00:00Z"}
            self.post("events/", {**event, "seating_plan": plan})
            self.root += "events/hall/"
            self.item = self.item_of("Seat")
            patched = client.patch(self.root, json={"seat_category_mapping": {"Stalls": self.item}})
            assert patched.status_code == 200, patched.text
            self.quota_of(5, self.item)
            self.used = self.voucher(code="TWICE", max_usages=4, price_mode="subtract", value="1.00")
            for seat, fields in (("A2", {}), ("A3", {"status": "p", "payment_provider": "manual"})):
                position = {"item": self.item, "seat": seat, "voucher": "TWICE"}
                self.post("orders/", {"email": "a@example.org", "positions": [position], **fields})
            self.held = self.cart(self.item, seat="A1", voucher="TWICE")
            self.standing = self.item_of("Standing")
            self.quota_of(2, self.standing)
            self.blocking = self.voucher(code="BLOCK", item=self.standing, block_quota=True, max_usages=2)
            self.cart(self.standing, voucher="BLOCK")
            self.overbooked = self.item_of("Overbooked")
            self.small = self.quota_of(1, self.overbooked)
            self.voucher(code="BEYOND", item=self.overbooked, allow_ignore_quota=True, max_usages=5)
            for _ in range(2):
                self.cart(self.overbooked, voucher="BEYOND")

    def post(self, path: str, body: Any) -> Any:
        answer = self.client.post(self.root + path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def item_of(self, name: str) -> int:
        return int(self.post("items/", {"name": {"en": name}, "default_price": "23.00"})["id"])

    def quota_of(self, size: int, item: int) -> int:
        return int(self.post("quotas/", {"name": "Q", "size": size, "items": [item], "variations": []})["id"])

    def voucher(self, **fields: Any) -> int:
        return int(self.post("vouchers/", fields)["id"])

    def cart(self, item: int, **fields: Any) -> int:
        return int(self.post("cartpositions/", {"item": item, "price": "23.00", **fields})["id"])

    @contextmanager
    def fields_set(self, kind: str, values: dict[str, str]) -> Iterator[None]:
        """Change fields of the event's hash, or of its seats, for a moment."""
        with redis.Redis.from_url(self.server.redis_url) as store:
            [key] = store.keys(f"hf1:*:{kind}:*")
            before = {field: store.hget(key, field) for field in values}
            assert all(before.values()), before
            store.hset(key, mapping=values)
            yield
            store.hset(key, mapping=before)

    @contextmanager
    def rows_changed(self, *changes: tuple[str, tuple[Any, ...], tuple[Any, ...]]) -> Iterator[None]:
        """Change rows of Postgres for a moment, each by a statement, its wrong values and its right ones."""
        with psycopg.connect(self.server.database_url, autocommit=True) as database:
            for statement, wrong, _ in changes:
                assert database.execute(statement, wrong).rowcount > 0, statement
            yield
            for statement, _, right in changes:
                database.execute(statement, right)


@pytest.fixture(scope="module")
def books(own_server: Any) -> Books:
    return Books(own_server)


def test_right_books_are_right_and_what_vouchers_allow_is_explained(books: Books) -> None:
    status, finding = audit(books.server)
    assert (status, finding["problems"]) == (0, [])
    assert finding["checked"]["seats"] == 5
    assert finding["checked"]["holds"] == 4


def test_a_seat_that_is_somebody_elses_is_found(books: Books) -> None:
    owners = {"A1": "free", "A2": "free", "A3": "o987654321", "A4": "h987654321", "A5": "o987654321"}
    with books.fields_set("seats", {f"0.{seat}": owner for seat, owner in owners.items()}):
        status, finding = audit(books.server)
    assert status == 1
    assert rules(finding) == {"Redis knows who has a seat"}
    assert [problem["where"][-4:] for problem in finding["problems"]] == [f"'{seat}'" for seat in sorted(owners)]


@pytest.mark.parametrize("seat", ["A3", "A1"], ids=["two orders", "an order and a cart"])
def test_a_seat_that_was_given_twice_is_found(books: Books, seat: str) -> None:
    change = (
        "UPDATE positions SET seat_guid = %s "
        "WHERE order_id = (SELECT min(order_id) FROM positions WHERE seat_guid IS NOT NULL)"
    )
    with books.rows_changed((change, (seat,), ("A2",))):
        status, finding = audit(books.server)
    assert status == 1
    found = {(problem["rule"], problem["where"][-4:]) for problem in finding["problems"]}
    assert found == {("a seat is given once", f"'{seat}'"), ("Redis knows who has a seat", "'A2'")}


@pytest.mark.parametrize("by", [1, -1])
def test_uses_that_nobody_has_or_that_are_missing_are_found(books: Books, by: int) -> None:
    right = {"r{used}": 2, "y{used}": 200, "t{used}": 1, "b{standing}.0.0": 1, "d{standing}.0.0": 1}
    with books.fields_set("event", {field.format(**vars(books)): str(n + by) for field, n in right.items()}):
        status, finding = audit(books.server)
    assert status == 1
    assert rules(finding) >= {
        "Redis counts as many redemptions as orders have",
        "Redis counts as much of vouchers' budgets as orders have used",
        "as many uses are taken as cart positions have",
        "vouchers keep as much free as can be used of them",
    }


def test_rows_that_are_wrong_about_vouchers_are_found(books: Books) -> None:
    usages = "UPDATE vouchers SET body = jsonb_set(body, '{max_usages}', %s::text::jsonb) WHERE code_key = %s"
    uses = "UPDATE positions SET voucher = %s, voucher_budget_use = %s WHERE seat_guid = 'A2'"
    with books.rows_changed((uses, (None, 0), (books.used, 1)), (usages, (3, "block"), (2, "block"))):
        status, finding = audit(books.server)
    assert status == 1
    assert rules(finding) == {
        "Redis counts as many redemptions as orders have",
        "Redis counts as much of vouchers' budgets as orders have used",
        "vouchers keep as much free as can be used of them",
    }
    with books.rows_changed((usages, (1, "twice"), (4, "twice"))):
        status, finding = audit(books.server)
    assert rules(finding) == {"a voucher is used as often as it may be"}


def test_what_goes_beyond_the_size_and_was_not_allowed_is_found(books: Books) -> None:
    rule = "size = free + held + pending + paid + blocked"
    allowance = "UPDATE quotas SET allowance = %s WHERE id = %s"
    with (
        books.fields_set("event", {f"a{books.small}": "0"}),
        books.rows_changed((allowance, (0, books.small), (1, books.small))),
    ):
        status, finding = audit(books.server)
    assert (status, rules(finding)) == (1, {rule})
    with books.rows_changed(("UPDATE quotas SET size = %s WHERE id = %s", (0, books.small), (1, books.small))):
        status, finding = audit(books.server)
    assert status == 1
    assert rule in rules(finding)
