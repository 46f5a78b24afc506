"""Check-in lists and scans over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from shop import MakeShop, Shop, must


@pytest.fixture
def hall(shop: MakeShop) -> tuple[Shop, int, int, Any]:
    """A shop, its item, a quota of two that lets places be sold again, and a paid order of one ticket."""
    s, item, quota = shop().selling(2, release_after_exit=True)
    return s, item, quota, must(s.order(item, status="p"), 201)


def make_list(s: Shop, **fields: Any) -> int:
    return int(s.add("checkinlists/", name="Main", all_products=True, allow_entry_after_exit=False, **fields)["id"])


def scan(s: Shop, list_id: int, position: Any, **body: Any) -> Any:
    return s.post(f"checkinlists/{list_id}/positions/{position}/redeem/", body)


def test_a_list_is_made_changed_and_deleted(hall: Any) -> None:
    s, item, _, _ = hall
    made = s.add("checkinlists/", name="VIP", limit_products=[item])
    assert (made["all_products"], made["limit_products"], made["position_count"]) == (False, [item], 1)
    assert must(s.get("checkinlists/"), 200)["results"] == [made]
    assert must(s.patch(f"checkinlists/{made['id']}/", {"name": "Door"}), 200)["name"] == "Door"
    must(s.post("checkinlists/", {"name": "x", "subevent": 2**62}), 400)
    must(s.delete(f"checkinlists/{made['id']}/"), 204)
    must(s.get(f"checkinlists/{made['id']}/"), 404)


def test_a_ticket_comes_in_once(hall: Any) -> None:
    s, _, _, order = hall
    [position] = order["positions"]
    door = make_list(s)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: scan(s, door, position["id"]), range(6)))
    [good] = [must(answer, 201) for answer in answers if answer.status_code == 201]
    assert (good["status"], good["list"]["id"], good["position"]["order__status"]) == ("ok", door, "p")
    refused = must(scan(s, door, position["secret"]), 400)
    assert (refused["status"], refused["reason"]) == ("error", "already_redeemed")
    [checkin] = must(s.get(f"orderpositions/{position['id']}/"), 200)["checkins"]
    assert checkin == {
        "id": checkin["id"],
        "list": door,
        "datetime": checkin["datetime"],
        "type": "entry",
        "gate": None,
        "device": None,
        "device_id": None,
        "auto_checked_in": False,
    }
    assert must(s.get(f"checkinlists/{door}/"), 200)["checkin_count"] == 1
    must(s.delete(f"checkinlists/{door}/"), 403)
    must(scan(s, door, position["id"], force=True), 201)


def test_a_scan_that_is_sent_again_is_the_same_scan(hall: Any) -> None:
    s, _, _, order = hall
    [position] = order["positions"]
    door = make_list(s)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: scan(s, door, position["id"], nonce="abc"), range(6)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert must(scan(s, door, position["id"], nonce="abc"), 201)["status"] == "ok"
    assert len(must(s.get(f"orderpositions/{position['id']}/"), 200)["checkins"]) == 1
    for other in ("abd", "", None):
        assert must(scan(s, door, position["id"], nonce=other), 400)["reason"] == "already_redeemed"
    must(scan(s, door, position["id"], nonce=["abc"]), 400)
    must(scan(s, make_list(s), position["id"], nonce="abc"), 201)
    assert len(must(s.get(f"orderpositions/{position['id']}/"), 200)["checkins"]) == 2


def test_who_may_not_come_in_is_told_why(hall: Any) -> None:
    s, item, _, _ = hall
    other = s.item("Other")
    s.quota(5, other)
    pending = must(s.order(item, other), 201)
    first, second = (position["id"] for position in pending["positions"])
    door = make_list(s)
    narrow = int(s.add("checkinlists/", name="Other", limit_products=[other], include_pending=True)["id"])
    assert must(scan(s, door, first), 400)["reason"] == "unpaid"
    assert must(scan(s, narrow, first), 400)["reason"] == "product"
    must(scan(s, narrow, second, ignore_unpaid=True), 201)
    must(s.post(f"orders/{pending['code']}/mark_canceled/"), 200)
    assert must(scan(s, door, first, force=True), 400)["reason"] == "canceled"
    assert must(scan(s, door, "nosuch"), 404)["reason"] == "invalid"
    must(scan(s, 2**40, first), 404)
    must(scan(s, door, first, type="fly"), 400)


def test_who_has_left_gives_the_place_back(hall: Any) -> None:
    s, item, quota, order = hall
    [position] = order["positions"]
    door = make_list(s)
    must(scan(s, door, position["id"], type="entry"), 201)
    assert s.left(quota) == 1
    must(scan(s, door, position["id"], type="exit"), 201)
    seen = s.availability(quota)
    assert (seen["exited_orders"], seen["paid_orders"], seen["available_number"]) == (1, 1, 2)
    seen = s.availability(s.quota(9, item))
    assert (seen["exited_orders"], seen["available_number"]) == (0, 8), "only quotas that release count who has left"
    must(s.order(item, item), 201)
    must(scan(s, door, position["id"], type="entry", force=True), 201)
    seen = s.availability(quota)
    assert (seen["exited_orders"], seen["available_number"]) == (0, 0)
    must(scan(s, door, position["id"], type="exit"), 201)
    must(s.post(f"orders/{order['code']}/mark_canceled/"), 200)
    assert (s.availability(quota)["exited_orders"], s.left(quota)) == (0, 0)


def test_lists_that_let_people_in_again_give_nothing_back(hall: Any) -> None:
    s, _, quota, order = hall
    [position] = order["positions"]
    door = int(s.add("checkinlists/", name="Open", all_products=True, allow_entry_after_exit=True)["id"])
    for kind in ("entry", "exit", "entry", "exit"):
        must(scan(s, door, position["id"], type=kind), 201)
    assert s.availability(quota)["exited_orders"] == 0


def test_positions_can_be_listed_by_check_in_and_voucher(hall: Any) -> None:
    s, item, _, order = hall
    [position] = order["positions"]
    voucher = s.add("vouchers/", code="SECRET")
    [other] = must(s.order({"item": item, "voucher": "SECRET"}), 201)["positions"]
    must(scan(s, make_list(s), position["id"]), 201)

    def found(**query: Any) -> list[int]:
        return [row["id"] for row in must(s.get("orderpositions/", **query), 200)["results"]]

    assert (found(has_checkin="true"), found(has_checkin="false")) == ([position["id"]], [other["id"]])
    assert found(voucher=voucher["id"]) == found(voucher__code="SECRET") == [other["id"]]
    assert found(voucher__code="NOSUCH") == []
    must(s.get("orderpositions/", voucher=2**40), 400)
