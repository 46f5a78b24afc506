"""Quotas over HTTP: the resource, its checks, filters and the numbers (spec/quotas.txt)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from shop import Shop, must

Make = Callable[..., Shop]
NO_CHOICE = "Select a valid choice. That choice is not one of the available choices."


def test_a_quota_comes_back_as_it_was_made(shop: Make) -> None:
    event = shop()
    plain = event.item("A")
    item, [red, _] = event.item_with("Red", "Blue")
    sent = {
        "name": "Ticket Quota",
        "size": 200,
        "items": [plain, item],
        "variations": [red],
        "subevent": None,
        "close_when_sold_out": True,
        "closed": True,
        "release_after_exit": True,
        "ignore_for_event_availability": True,
    }
    made = event.add("quotas/", **sent)
    assert made == {"id": made["id"], **sent}
    assert must(event.get(f"quotas/{made['id']}/"), 200) == made
    assert must(event.get("quotas/"), 200)["results"] == [made]


def test_defaults_are_unlimited_open_and_empty(shop: Make) -> None:
    made = shop().add("quotas/", name="Q")
    assert made == {
        "id": made["id"],
        "name": "Q",
        "size": None,
        "items": [],
        "variations": [],
        "subevent": None,
        "close_when_sold_out": False,
        "closed": False,
        "release_after_exit": False,
    }


def test_put_resets_what_it_does_not_name_and_patch_leaves_it(shop: Make) -> None:
    event = shop()
    item = event.item()
    made = event.add("quotas/", name="Q", size=5, items=[item], closed=True, close_when_sold_out=True, note="x")
    path = f"quotas/{made['id']}/"
    assert must(event.patch(path, {"size": 7}), 200) == made | {"size": 7}
    assert must(event.patch(path, {"note": "y"}), 200)["note"] == "y"
    replaced = must(event.put(path, {"name": "New"}), 200)
    assert (replaced["size"], replaced["items"], replaced["closed"]) == (None, [], False)
    assert "note" not in replaced
    assert must(event.put(path, {"size": 3}), 400) == {"name": ["This field is required."]}


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("name", "", "This field may not be blank."),
        ("name", None, "This field may not be null."),
        ("name", "x" * 201, "Ensure this field has no more than 200 characters."),
        ("name", "a\x00b", "Null characters are not allowed."),
        ("size", "abc", "A valid integer is required."),
        ("size", -1, "Ensure this value is greater than or equal to 0."),
        ("size", 2**31, "Ensure this value is less than or equal to 2147483647."),
        ("size", 10**40, "Ensure this value is less than or equal to 2147483647."),
        ("size", 1.5, "A valid integer is required."),
        ("size", True, "A valid integer is required."),
        ("items", 5, 'Expected a list of items but got type "int".'),
        ("items", [-1], 'Invalid pk "-1" - object does not exist.'),
        ("items", [10**30], f'Invalid pk "{10**30}" - object does not exist.'),
        ("items", ["x"], "Incorrect type. Expected pk value, received str."),
        ("items", [None], "This field may not be null."),
        ("variations", [99999999], 'Invalid pk "99999999" - object does not exist.'),
        ("subevent", 99999999, 'Invalid pk "99999999" - object does not exist.'),
        ("closed", "perhaps", "Must be a valid boolean."),
    ],
)
def test_bad_fields_are_refused_with_pretix_words(shop: Make, field: str, value: Any, text: str) -> None:
    event = shop()
    body = {"name": "Q", "size": 1, "items": [], "variations": []} | {field: value}
    assert must(event.post("quotas/", body), 400) == {field: [text]}
    quota = event.quota(1)
    assert must(event.patch(f"quotas/{quota}/", {field: value}), 400) == {field: [text]}
    assert must(event.get("quotas/"), 200)["count"] == 1


def test_all_faulty_fields_are_reported_together(shop: Make) -> None:
    answer = must(shop().post("quotas/", {"size": "x", "items": [99999999], "closed": 7}), 400)
    assert sorted(answer) == ["closed", "items", "name", "size"]


@pytest.mark.parametrize("body", [[], [1], "text", 7])
def test_a_body_that_is_no_object_is_refused(shop: Make, body: Any) -> None:
    text = f"Invalid data. Expected a dictionary, but got {type(body).__name__}."
    assert must(shop().post("quotas/", body), 400) == {"non_field_errors": [text]}


def test_items_and_variations_must_fit_together(shop: Make) -> None:
    event, other = shop(), shop()
    plain, foreign = event.item(), other.item()
    item, [red] = event.item_with("Red")

    def refused(items: list[int], variations: list[int]) -> str:
        body = {"name": "Q", "size": 1, "items": items, "variations": variations}
        [text] = must(event.post("quotas/", body), 400)["non_field_errors"]
        return str(text)

    assert refused([foreign], []) == "One or more items do not belong to this event."
    assert refused([plain], [red]) == "All variations must belong to an item contained in the items list."
    assert refused([item], []) == "One or more items has variations but none of these are in the variations list."
    assert must(event.get("quotas/"), 200)["count"] == 0


def test_dates_are_needed_in_a_series_and_only_there(shop: Make) -> None:
    series, plain = shop(has_subevents=True), shop()
    date = series.date()
    series.quota(1, subevent=date)
    assert must(series.post("quotas/", {"name": "Q"}), 400) == {
        "non_field_errors": ["Subevent cannot be null for event series."]
    }
    assert must(plain.post("quotas/", {"name": "Q", "subevent": date}), 400) == {
        "non_field_errors": ["The subevent does not belong to this event."]
    }


def test_lists_are_filtered_by_date(shop: Make) -> None:
    event = shop(has_subevents=True)
    dates = [event.date(str(n)) for n in range(3)]
    made = [event.quota(1, subevent=date) for date in dates]

    def ids(**query: Any) -> list[int]:
        return [quota["id"] for quota in must(event.get("quotas/", **query), 200)["results"]]

    assert ids(subevent=dates[1]) == [made[1]]
    assert ids(subevent__in=f"{dates[0]},{dates[2]}") == [made[0], made[2]]
    assert ids(subevent="") == made
    assert ids(nonsense="1") == made
    for name, value in (("subevent", "x"), ("subevent", "99999999"), ("subevent", "9" * 5000), ("subevent__in", "1,x")):
        assert must(event.get("quotas/", **{name: value}), 400) == {name: [NO_CHOICE]}


def test_lists_are_ordered_and_paged(shop: Make) -> None:
    event = shop()
    made = [event.quota(size) for size in (3, None, 1, 3)]

    def ids(**query: Any) -> list[int]:
        return [made.index(quota["id"]) for quota in must(event.get("quotas/", **query), 200)["results"]]

    assert ids() == ids(ordering="id") == ids(ordering="position") == ids(ordering="nonsense") == [0, 1, 2, 3]
    assert ids(ordering="-id") == ids(ordering="-position") == [3, 2, 1, 0]
    assert ids(ordering="size") == [2, 0, 3, 1]
    assert ids(ordering="-size") == [1, 0, 3, 2]
    assert ids(ordering="size,-id") == [2, 3, 0, 1]
    assert ids(page_size=3, page=2, ordering="-id") == [0]
    assert must(event.get("quotas/", page=2), 404) == {"detail": "Invalid page."}
    first = must(event.get("quotas/", page_size=3, ordering="-id"), 200)
    assert first["next"].endswith("?ordering=-id&page=2&page_size=3")


@pytest.mark.parametrize("wanted", ["99999999", "0", "x", "9" * 300, "-1", "1%00", "%ed%a0%80"])
def test_an_unknown_quota_is_404(shop: Make, wanted: str) -> None:
    event = shop()
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        answer = event.api.request(method, f"events/{event.slug}/quotas/{wanted}/", json={"name": "x"})
        assert must(answer, 404) == {"detail": "Not found."}
    must(event.get(f"quotas/{wanted}/availability/"), 404)


def test_a_deleted_quota_is_gone_on_both_paths(shop: Make) -> None:
    event = shop()
    one, two = event.quota(1), event.quota(1)
    assert event.delete(f"quotas/{one}/").content == b""
    must(event.delete(f"quota/{two}/"), 204)
    must(event.delete(f"quotas/{one}/"), 404)
    assert must(event.get("quotas/"), 200)["count"] == 0


def test_the_numbers_are_there_where_asked_for(shop: Make) -> None:
    event, item, quota = shop().selling(10)
    must(event.cart(item), 201)
    assert event.availability(quota) == {
        "available": True,
        "available_number": 9,
        "total_size": 10,
        "pending_orders": 0,
        "paid_orders": 0,
        "exited_orders": 0,
        "cart_positions": 1,
        "blocking_vouchers": 0,
        "waiting_list": 0,
    }
    detail = must(event.get(f"quotas/{quota}/", with_availability="true"), 200)
    assert (detail["available"], detail["available_number"]) == (True, 9)
    assert must(event.get("quotas/", with_availability="true"), 200)["results"] == [detail]
    assert "available" not in must(event.get("quotas/", with_availability="false"), 200)["results"][0]


def test_closed_unlimited_and_empty_quotas_still_count(shop: Make) -> None:
    event = shop()
    item = event.item()
    unlimited, closing = event.quota(None, item), event.quota(5, item)
    must(event.cart(item), 201)
    must(event.patch(f"quotas/{closing}/", {"closed": True}), 200)
    numbers = event.availability(unlimited)
    assert (numbers["available"], numbers["available_number"], numbers["cart_positions"]) == (True, None, 1)
    numbers = event.availability(closing)
    assert (numbers["available"], numbers["available_number"], numbers["cart_positions"]) == (False, 0, 1)
    must(event.patch(f"quotas/{closing}/", {"closed": False}), 200)
    assert event.left(closing) == 4


def test_a_quota_closes_by_selling_out_and_opens_on_request(shop: Make) -> None:
    event, item, quota = shop().selling(1, close_when_sold_out=True)
    must(event.order(item), 201)
    path = f"quotas/{quota}/"
    assert must(event.get(path), 200)["closed"] is True
    assert must(event.patch(path, {"size": 5}), 200)["closed"] is True
    assert event.left(quota) == 0
    assert must(event.patch(path, {"closed": False}), 200)["closed"] is False
    assert event.left(quota) == 4


def test_what_is_sold_follows_its_item_to_another_quota(shop: Make) -> None:
    event = shop()
    first, second = event.item("A"), event.item("B")
    one, two = event.quota(5, first), event.quota(5, second)
    must(event.cart(first), 201)
    must(event.patch(f"quotas/{two}/", {"items": [first, second]}), 200)
    must(event.patch(f"quotas/{one}/", {"items": [second]}), 200)
    assert (event.left(one), event.left(two)) == (5, 4)


def test_writes_at_the_same_time_all_survive(shop: Make) -> None:
    event = shop()
    items = [event.item(str(n)) for n in range(4)]
    quotas = [event.quota(1, item) for item in items]
    changes = [
        (quota, change) for quota in quotas for change in ({"size": 7}, {"name": "New"}, {"close_when_sold_out": True})
    ]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda change: event.patch(f"quotas/{change[0]}/", change[1]), changes))
    assert {answer.status_code for answer in answers} == {200}
    for quota in must(event.get("quotas/"), 200)["results"]:
        assert (quota["size"], quota["name"], quota["close_when_sold_out"]) == (7, "New", True)
        assert event.left(quota["id"]) == 7
