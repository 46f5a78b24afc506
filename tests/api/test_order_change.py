"""Changing order contents over HTTP: all operations in one step, splits, and deleting test orders."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from shop import MakeShop, Shop, must


@pytest.fixture
def hall(shop: MakeShop) -> Shop:
    """An event that sells Tickets (23.00), ten of them."""
    made = shop()
    _, made.ticket, made.tickets = made.selling(10)  # type: ignore[attr-defined]
    return made


def fee(value: str) -> dict[str, str]:
    return {"fee_type": "service", "value": value}


def at(order: Any, number: int) -> dict[str, int]:
    return {"position": order["positions"][number]["id"]}


def change(hall: Any, order: Any, **body: Any) -> Any:
    return hall.post(f"orders/{order['code']}/change/", body)


def orders(hall: Any) -> dict[str, Any]:
    return {row["code"]: row for row in must(hall.get("orders/"), 200)["results"]}


def test_everything_happens_in_one_step_or_not_at_all(hall: Any) -> None:
    workshop = hall.item("Workshop", "7.00")
    places = hall.quota(1, workshop, name="Places")
    order = must(hall.order(hall.ticket, hall.ticket, hall.ticket, fees=[fee("1.00"), fee("2.00")]), 201)
    body = {
        "cancel_positions": [at(order, 0)],
        "patch_positions": [{**at(order, 1), "body": {"item": workshop, "price": "8.00"}}],
        "cancel_fees": [{"fee": order["fees"][0]["id"]}],
        "patch_fees": [{"fee": order["fees"][1]["id"], "body": {"value": "4.00"}}],
    }
    refused = change(hall, order, **body, create_positions=[{"item": workshop}])
    assert must(refused, 400) == ["The quota Places does not have enough capacity left to perform the operation."]
    before = orders(hall)[order["code"]]
    assert (before["total"], len(before["positions"]), hall.left(places)) == ("72.00", 3, 1)
    done = must(change(hall, order, **body, create_positions=[{"item": hall.ticket, "price": "1.00"}]), 200)
    assert [(p["positionid"], p["item"], p["price"]) for p in done["positions"]] == [
        (2, workshop, "8.00"),
        (3, hall.ticket, "23.00"),
        (4, hall.ticket, "1.00"),
    ]
    assert ([f["value"] for f in done["fees"]], done["total"]) == (["4.00"], "36.00")
    assert (hall.left(hall.tickets), hall.left(places)) == (8, 0)


def test_two_positions_swap_sold_out_products(hall: Any) -> None:
    left, right = hall.item("Left"), hall.item("Right")
    hall.quota(1, left, name="L"), hall.quota(1, right, name="R")
    order = must(hall.order(left, right), 201)
    patches = [{**at(order, 0), "body": {"item": right}}, {**at(order, 1), "body": {"item": left}}]
    done = must(change(hall, order, patch_positions=patches), 200)
    assert [p["item"] for p in done["positions"]] == [right, left]


def test_what_the_order_does_not_have_is_refused_row_by_row(hall: Any) -> None:
    order, other = must(hall.order(hall.ticket, hall.ticket), 201), must(hall.order(hall.ticket), 201)
    theirs = other["positions"][0]["id"]
    unknown = [f'Invalid pk "{theirs}" - object does not exist.']
    answer = change(
        hall,
        order,
        cancel_positions=[at(order, 0), {"position": theirs}],
        patch_positions=[{"position": theirs, "body": {}}],
        split_positions=[{"position": theirs}],
        cancel_fees=[{"fee": 1}],
        patch_fees=[{"fee": 10**18, "body": {"value": "1.00"}}],
        create_positions=[{"item": hall.ticket}, {"item": hall.ticket, "addon_to": 12}],
    )
    assert must(answer, 400) == {
        "cancel_positions": [{}, {"position": unknown}],
        "patch_positions": [{"position": unknown}],
        "split_positions": [{"position": unknown}],
        "cancel_fees": [{"fee": ['Invalid pk "1" - object does not exist.']}],
        "patch_fees": [{"fee": [f'Invalid pk "{10**18}" - object does not exist.']}],
        "create_positions": [{}, {"addon_to": ["addon_to refers to an unknown position ID for this order."]}],
    }
    twice = change(hall, order, cancel_positions=[at(order, 0), at(order, 0)])
    assert must(twice, 400) == {"cancel_positions": ["You have specified the same object twice."]}
    for body in (
        {"cancel_positions": "x"},
        {"cancel_positions": [1]},
        {"patch_positions": [{**at(order, 0), "body": {"price": "x"}}]},
        {"patch_positions": [at(order, 0)]},
        {"patch_fees": [{"fee": "x", "body": {"value": "NaN"}}]},
        {"create_positions": [{"item": "x", "price": "1.234"}]},
        {"recalculate_taxes": "sometimes"},
        {"cancel_positions": [{"position": 1.5}, {"position": None}, {"position": True}]},
    ):
        answer = change(hall, order, **body)
        assert (answer.status_code, set(answer.json())) == (400, set(body)), body
    assert hall.post("orders/NOSUCH/change/").status_code == 404
    assert orders(hall)[order["code"]]["last_modified"] == order["last_modified"]


def test_a_paid_split_moves_the_money_to_the_cent(hall: Any) -> None:
    order = must(hall.order(hall.ticket, {"item": hall.ticket, "price": "10.01"}, fees=[fee("2.00")], status="p"), 201)
    stays = must(change(hall, order, split_positions=[at(order, 1)]), 200)
    assert (stays["status"], stays["total"], stays["code"]) == ("p", "25.00", order["code"])
    [refund] = stays["refunds"]
    assert (refund["provider"], refund["amount"], refund["state"]) == ("offsetting", "10.01", "done")
    found = orders(hall)
    [new] = [row for code, row in found.items() if code != order["code"]]
    assert (new["status"], new["total"]) == ("p", "10.01")
    [payment] = new["payments"]
    assert (payment["provider"], payment["amount"], payment["state"]) == ("offsetting", "10.01", "confirmed")
    moved = order["positions"][1]
    assert must(hall.get(f"orderpositions/{moved['id']}/"), 200)["order"] == new["code"]
    assert new["positions"][0]["secret"] != moved["secret"]
    assert (hall.left(hall.tickets), must(hall.get("orderpositions/"), 200)["count"]) == (8, 2)
    added = must(hall.post("orderpositions/", {"order": order["code"], "item": hall.ticket}), 201)
    assert added["positionid"] == 3
    must(hall.post(f"orders/{new['code']}/mark_canceled/"), 200)
    assert hall.left(hall.tickets) == 8


def test_equal_splits_at_the_same_time_split_once(hall: Any) -> None:
    order = must(hall.order(*[hall.ticket] * 4, status="p"), 201)
    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(lambda _: change(hall, order, split_positions=[at(order, 3)]), range(4)))
    assert sorted(a.status_code for a in answers)[0] == 200
    assert [a.status_code for a in answers].count(200) == 1
    found = orders(hall).values()
    assert sorted(len(row["positions"]) for row in found) == [1, 3]
    assert sum(Decimal(row["total"]) for row in found) == Decimal("92.00")
    assert hall.left(hall.tickets) == 6


def test_taxes_are_recalculated_on_demand(hall: Any) -> None:
    rule = hall.add("taxrules/", name={"en": "VAT"}, rate="19.00", eu_reverse_charge=True, home_country="DE")["id"]
    taxed = hall.item("Taxed", "119.00", tax_rule=rule)
    hall.quota(5, taxed, name="Taxed")
    address = {"is_business": True, "country": "AT", "vat_id": "ATU1", "vat_id_validated": True}
    for keep, total in (("keep_net", "100.00"), ("keep_gross", "119.00"), (None, "119.00")):
        order = must(hall.order(taxed), 201)
        assert order["positions"][0]["tax_value"] == "19.00"
        must(hall.patch(f"orders/{order['code']}/", {"invoice_address": address}), 200)
        done = must(change(hall, order, recalculate_taxes=keep), 200)
        assert (done["total"], done["positions"][0]["tax_value"]) == (total, "0.00" if keep else "19.00")


def test_only_test_orders_are_deleted_and_their_codes_are_free_again(hall: Any) -> None:
    code = "DELETEME"
    order = must(hall.order(hall.ticket, code=code, testmode=True), 201)
    position = order["positions"][0]["id"]
    must(hall.delete(f"orders/{code}/"), 204)
    assert hall.left(hall.tickets) == 10
    assert hall.get(f"orders/{code}/").status_code == 404
    assert hall.get(f"orderpositions/{position}/").status_code == 404
    assert hall.post(f"orders/{code}/mark_paid/").status_code == 404
    assert hall.delete(f"orders/{code}/").status_code == 404
    assert (orders(hall), must(hall.get("orderpositions/"), 200)["count"]) == ({}, 0)
    again = must(hall.order(hall.ticket, code=code, testmode=True), 201)
    assert must(hall.post(f"orders/{code}/mark_paid/"), 200)["status"] == "p"
    assert must(hall.get(f"orders/{code}/"), 200)["datetime"] == again["datetime"]
    real = must(hall.order(hall.ticket), 201)
    answer = hall.delete(f"orders/{real['code']}/")
    assert (answer.status_code, answer.json()) == (403, {"detail": "Only test mode orders can be deleted."})
    assert hall.left(hall.tickets) == 8
    must(hall.delete(f"orders/{code}/"), 204)


def test_deletions_at_the_same_time_give_back_once(hall: Any) -> None:
    order = must(hall.order(hall.ticket, hall.ticket, testmode=True), 201)
    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(lambda _: hall.delete(f"orders/{order['code']}/"), range(4)))
    assert sorted(a.status_code for a in answers) == [204, 404, 404, 404]
    assert hall.left(hall.tickets) == 10
