"""Reading orders over HTTP: details, lists, filters, pages, fields."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from fresh import fresh
from shop import Api, MakeShop, Shop, must

FULL = {"_scheme": "full"}


class World:
    """An event with orders of every kind, oldest first, by name."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.tag = fresh("tag")
        self.alpha = shop.item("Alpha")
        self.beta, (self.red, self.blue) = shop.item_with("Red", "Blue", name="Beta", price="40.00")
        self.quota = shop.quota(100, self.alpha, self.beta, variations=[self.red, self.blue])
        self.orders: dict[str, Any] = {}
        alice = {"item": self.alpha, "attendee_name_parts": {**FULL, "full_name": "Alice Anders"}}
        bob = {"item": self.beta, "variation": self.blue, "attendee_email": "bob@attendee.example"}
        self._add("pending", alice, email="alice@example.org", payment_provider="banktransfer")
        address = {"company": f"Acme {self.tag}", "name_parts": {**FULL, "full_name": "Robert Payer"}}
        self._add("paid", bob, email="Bob@example.org", status="p", locale="de", invoice_address=address)
        self._add("canceled", self.alpha, email="carol@example.org")
        self._add("expired", self.alpha, email="dan_100%@example.org", comment=f"note {self.tag}")
        self._add("test", self.alpha, email="eve@example.org", testmode=True)
        self._add("approval", self.alpha, email="frank@example.org", require_approval=True)
        must(shop.post(f"orders/{self.code('canceled')}/mark_canceled/"), 200)
        must(shop.post(f"orders/{self.code('expired')}/mark_expired/"), 200)

    def _add(self, name: str, *positions: Any, **fields: Any) -> None:
        self.orders[name] = must(self.shop.order(*positions, **fields), 201)

    def code(self, name: str) -> str:
        return str(self.orders[name]["code"])

    def names(self, results: list[Any]) -> list[str]:
        known = {order["code"]: name for name, order in self.orders.items()}
        return [known.get(row["code"], "?") for row in results]

    def find(self, **query: Any) -> list[str]:
        return self.names(must(self.shop.get("orders/", **query), 200)["results"])


ALL = ["pending", "paid", "canceled", "expired", "test", "approval"]


@pytest.fixture(scope="module")
def world(api: Api) -> World:
    return World(Shop(api))


def test_the_list_has_every_order_whole_and_oldest_first(world: World) -> None:
    body = must(world.shop.get("orders/"), 200)
    assert (body["count"], body["next"], body["previous"]) == (6, None, None)
    assert world.names(body["results"]) == ALL
    assert body["results"][0] == must(world.shop.get(f"orders/{world.code('pending')}/"), 200)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "p"}, ["paid"]),
        ({"status": "c"}, ["canceled"]),
        ({"status": "n"}, ["pending", "test", "approval"]),
        ({"status": "x"}, []),
        ({"status": ""}, ALL),
        ({"email": "bob@EXAMPLE.org"}, ["paid"]),
        ({"email": "example.org"}, []),
        ({"testmode": "true"}, ["test"]),
        ({"testmode": "false", "status": "n"}, ["pending", "approval"]),
        ({"testmode": "perhaps"}, ALL),
        ({"require_approval": "true"}, ["approval"]),
        ({"locale": "de"}, ["paid"]),
        ({"sales_channel": "web"}, ALL),
        ({"sales_channel": "resellers"}, []),
        ({"customer": "ABC"}, []),
        ({"payment_provider": "banktransfer"}, ["pending"]),
        ({"payment_provider": "paypal"}, []),
        ({"item": "9" * 40}, []),
        ({"item": "1.5"}, []),
        ({"subevent": "-1"}, []),
        ({"created_since": "2999-01-01"}, []),
        ({"created_before": "2999-01-01T00:00:00Z"}, ALL),
        ({"subevent_after": "2001-01-01T00:00:00Z"}, []),
        ({"unknown": "x"}, ALL),
    ],
)
def test_filters(world: World, query: dict[str, str], found: list[str]) -> None:
    assert world.find(**query) == found


def test_filters_by_what_was_bought_and_when(world: World) -> None:
    assert world.find(item=world.beta) == ["paid"]
    assert world.find(variation=world.blue) == ["paid"]
    assert world.find(variation=world.red) == []
    middle = world.orders["expired"]["datetime"]
    assert world.find(created_since=middle) == ["expired", "test", "approval"]
    assert world.find(created_before=middle) == ["pending", "paid", "canceled"]
    code = world.code("paid")
    assert [world.find(code=text) for text in (code, code.lower(), code[:4])] == [["paid"], ["paid"], []]


def test_a_client_that_follows_changes_sees_each_change(world: World) -> None:
    before = world.shop.get("orders/").headers["X-Page-Generated"]
    assert dt.datetime.fromisoformat(before).tzinfo is not None
    assert world.find(modified_since=before) == []
    must(world.shop.patch(f"orders/{world.code('test')}/", {"comment": f"seen {before}"}), 200)
    assert world.find(modified_since=before) == ["test"]


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("alice anders", ["pending"]),
        ("bob@attendee", ["paid"]),
        ("CAROL@", ["canceled"]),
        ("robert pay", ["paid"]),
        ("dan_100%", ["expired"]),
        ("dan_1%", []),
        ("nobody at all", []),
        ("  alice  ", ["pending"]),
    ],
)
def test_search(world: World, term: str, found: list[str]) -> None:
    assert world.find(search=term) == found


def test_search_knows_codes_tags_and_secrets(world: World) -> None:
    code = world.code("test")
    assert world.find(search=code.lower()) == ["test"]
    assert world.find(search=f"{world.shop.slug}-{code}") == ["test"]
    assert world.find(search=f"elsewhere-{code}") == []
    assert world.find(search=world.tag) == ["paid", "expired"]
    assert world.find(search=world.orders["canceled"]["positions"][0]["secret"][:20]) == ["canceled"]


def test_ordering(world: World) -> None:
    by_code = sorted(ALL, key=world.code)
    assert world.find(ordering="datetime") == ALL
    assert world.find(ordering="-datetime") == ALL[::-1]
    assert world.find(ordering="code") == by_code
    assert world.find(ordering="-code") == by_code[::-1]
    assert world.find(ordering="email") == ALL
    assert world.find(ordering="status") == ["canceled", "expired", "approval", "test", "pending", "paid"]
    assert world.find(ordering="-status") == ["paid", "approval", "test", "pending", "expired", "canceled"]
    by_time = ["canceled", "expired", "pending", "test", "approval", "paid"]
    assert world.find(ordering="status,datetime") == by_time
    assert world.find(ordering="email, status,-datetime,code")[2:5] == ["approval", "test", "pending"]
    rows = must(world.shop.get("orders/", ordering="-last_modified"), 200)["results"]
    moments = [row["last_modified"] for row in rows]
    assert moments == sorted(moments, reverse=True)


def test_pages(world: World) -> None:
    first = must(world.shop.get("orders/", page_size=4, ordering="-datetime"), 200)
    assert (first["count"], len(first["results"])) == (6, 4)
    second = must(world.shop.api.get(first["next"]), 200)
    assert world.names(second["results"]) == ["paid", "pending"]
    assert (second["next"], "page=" in second["previous"]) == (None, False)
    for page in ("3", "0", "x", "9999999999"):
        assert world.shop.get("orders/", page_size=4, page=page).json() == {"detail": "Invalid page."}


def test_only_wanted_fields(world: World) -> None:
    rows = must(world.shop.get("orders/", include=["code", "positions.item"]), 200)["results"]
    assert all(set(row) == {"code", "positions"} and set(row["positions"][0]) == {"item"} for row in rows)
    rows = must(world.shop.get("orders/", include=["code", "email"], exclude="email"), 200)["results"]
    assert all(set(row) == {"code"} for row in rows)
    order = must(world.shop.get(f"orders/{world.code('paid')}/", exclude=["positions.item", "payments"]), 200)
    assert "payments" not in order
    assert "item" not in order["positions"][0]
    assert "price" in order["positions"][0]
    assert must(world.shop.get("orders/", include="nonsense.of.mine"), 200)["results"] == [{}] * 6


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ({"created_since": "yesterday"}, {"created_since": ["Enter a valid date/time."]}),
        ({"modified_since": "2024-13-01T00:00:00Z"}, {"modified_since": ["Enter a valid date/time."]}),
        ({"item": "abc"}, {"item": ["Enter a number."]}),
        ({"subevent": "NaN"}, {"subevent": ["Enter a number."]}),
        ({"code": "A\x00B"}, {"code": ["Null characters are not allowed."]}),
        ({"item": "x", "created_before": "y"}, {"item": ["Enter a number."], "created_before": None}),
    ],
)
def test_malformed_filters_are_refused(world: World, query: dict[str, str], body: dict[str, Any]) -> None:
    answer = world.shop.get("orders/", **query)
    assert answer.status_code == 400
    if None in body.values():
        assert set(answer.json()) == set(body)
    else:
        assert answer.json() == body


def test_bytes_that_are_no_text_find_nothing(world: World) -> None:
    for query in ("search=%ff%fe", "email=%ed%a0%80", "unknown=%ff&page_size=2", "status=%F0%28"):
        answer = world.shop.api.get(f"events/{world.shop.slug}/orders/?{query}")
        assert answer.status_code == 200, answer.text


def test_the_organizers_list_has_the_orders_of_all_events(world: World, api: Api, shop: MakeShop) -> None:
    other, item, _ = shop().selling(5)
    elsewhere = must(other.order(item, comment=f"also {world.tag}"), 201)
    answer = api.get("orders/", params={"search": world.tag})
    rows = must(answer, 200)["results"]
    assert [row["event"] for row in rows] == [world.shop.slug, world.shop.slug, other.slug]
    assert rows[2] == elsewhere
    assert "X-Page-Generated" in answer.headers
    assert must(api.get("orders/", params={"code": elsewhere["code"]}), 200)["count"] == 1


def test_a_team_sees_the_orders_of_its_events_only(world: World, api: Api, shop: MakeShop) -> None:
    other = shop()
    team = {"name": "Door", "all_events": False, "limit_events": [other.slug], "can_view_orders": True}
    number = must(api.post("teams/", json=team), 201)["id"]
    token = must(api.post(f"teams/{number}/tokens/", json={"name": "t"}), 201)["token"]
    headers = {"Authorization": f"Token {token}"}
    assert must(api.get("orders/", headers=headers), 200)["count"] == 0
    assert api.get(f"events/{world.shop.slug}/orders/", headers=headers).status_code == 403
    assert must(api.get(f"events/{other.slug}/orders/", headers=headers), 200)["count"] == 0
    assert api.patch(f"events/{other.slug}/orders/ABCDE/", json={}, headers=headers).status_code == 403


@pytest.mark.parametrize("code", ["NOSUCH", "a%00b", "%ff", "A" * 300, "ÄÖÜ", "AB-12"])
def test_unknown_orders_are_not_found(world: World, code: str) -> None:
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("POST", "mark_paid/"),
        ("GET", "payments/"),
        ("GET", "refunds/1/"),
    ):
        answer = world.shop.api.request(method, f"events/{world.shop.slug}/orders/{code}/{path}", json={})
        assert answer.status_code == 404, (method, path, answer.text)


def test_an_order_of_another_event_is_not_found(world: World, shop: MakeShop) -> None:
    assert shop().get(f"orders/{world.code('paid')}/").status_code == 404


def test_head_is_answered_like_get(world: World) -> None:
    answer = world.shop.api.head(f"events/{world.shop.slug}/orders/")
    assert (answer.status_code, answer.content) == (200, b"")


def test_put_is_not_allowed(world: World) -> None:
    answer = world.shop.put(f"orders/{world.code('paid')}/", {"comment": "x"})
    assert (answer.status_code, answer.json()) == (405, {"detail": 'Method "PUT" not allowed.'})
