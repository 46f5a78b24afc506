"""Order positions over HTTP: lists, details, changes one at a time."""

from __future__ import annotations

from typing import Any

import pytest
from shop import MakeShop, Shop, must

UNKNOWN = ["Select a valid choice. That choice is not one of the available choices."]


def full(name: str) -> dict[str, str]:
    return {"_scheme": "full", "full_name": name}


@pytest.fixture
def hall(shop: MakeShop) -> Shop:
    """An event that sells Tickets (23.00), ten of them."""
    made = shop()
    _, made.ticket, made.tickets = made.selling(10)  # type: ignore[attr-defined]
    return made


def listed(hall: Any, **query: Any) -> list[int]:
    return [row["id"] for row in must(hall.get("orderpositions/", **query), 200)["results"]]


def test_positions_are_found_by_each_filter(hall: Any) -> None:
    beta, [red, blue] = hall.item_with("Red", "Blue", name="Beta", price="40.00")
    hall.add("quotas/", name="Beta", size=5, items=[beta], variations=[red, blue])
    first = must(
        hall.order(
            {"item": hall.ticket, "attendee_name_parts": full("Alice Anders"), "attendee_email": "al@example.org"},
            {"item": beta, "variation": red},
            email="first@example.org",
        ),
        201,
    )
    second = must(
        hall.order({"item": beta, "variation": blue}, status="p", invoice_address={"name_parts": full("Payer Pan")}),
        201,
    )
    alice, zoe = (row["id"] for row in first["positions"])
    [bob] = (row["id"] for row in second["positions"])
    everyone = [alice, zoe, bob]
    for query, found in (
        ({}, everyone),
        ({"order": first["code"]}, [alice, zoe]),
        ({"order": first["code"].lower()}, [alice, zoe]),
        ({"item": beta}, [zoe, bob]),
        ({"item__in": f"{hall.ticket}, {beta}"}, everyone),
        ({"item": beta, "item__in": f"{hall.ticket}"}, []),
        ({"variation": blue}, [bob]),
        ({"variation__in": f"{red},{blue}"}, [zoe, bob]),
        ({"attendee_name": "ALICE anders"}, [alice]),
        ({"attendee_name": "Alice"}, []),
        ({"secret": first["positions"][1]["secret"]}, [zoe]),
        ({"pseudonymization_id": second["positions"][0]["pseudonymization_id"]}, [bob]),
        ({"order__status": "p"}, [bob]),
        ({"order__status__in": "n,p"}, everyone),
        ({"has_checkin": "true"}, []),
        ({"has_checkin": "false"}, everyone),
        ({"addon_to": alice}, []),
        ({"customer": "nobody"}, []),
        ({"search": "alice AND"}, [alice]),
        ({"search": "al@exam"}, [alice]),
        ({"search": "first@"}, [alice, zoe]),
        ({"search": "payer p"}, [bob]),
        ({"search": first["positions"][0]["secret"][:9]}, [alice]),
        ({"search": second["code"]}, [bob]),
        ({"search": "nothing like this"}, []),
        ({"ordering": "-positionid"}, [zoe, bob, alice]),
        ({"ordering": "order__status,positionid"}, [alice, zoe, bob]),
        ({"ordering": "order__status,-positionid"}, [zoe, alice, bob]),
        ({"ordering": "positionid,-order__datetime"}, [bob, alice, zoe]),
        ({"ordering": "-order__datetime"}, [bob, zoe, alice]),
        ({"ordering": "order__status"}, [zoe, alice, bob]),
        ({"ordering": "nonsense", "nonsense": "x"}, everyone),
    ):
        assert listed(hall, **query) == found, query
    page = must(hall.get("orderpositions/", page_size=2), 200)
    assert (page["count"], len(page["results"])) == (3, 2)
    assert "page=2" in page["next"]


def test_malformed_and_unknown_filters_are_refused(hall: Any) -> None:
    for name in ("item", "item__in", "variation", "subevent", "subevent__in", "addon_to", "addon_to__in"):
        for value in ("x", "-1", "99999999", "9" * 30, "1.5"):
            answer = hall.get("orderpositions/", **{name: value})
            assert (answer.status_code, answer.json()) == (400, {name: UNKNOWN}), (name, value)
    answer = hall.get("orderpositions/", order__status="x", search="a\x00b", item="x")
    assert set(must(answer, 400)) == {"order__status", "search", "item"}
    assert hall.get("orderpositions/", page="2").status_code == 404


def test_canceled_positions_are_shown_on_demand(hall: Any) -> None:
    order = must(hall.order(hall.ticket, hall.ticket), 201)
    kept, gone = (row["id"] for row in order["positions"])
    must(hall.delete(f"orderpositions/{gone}/"), 204)
    assert listed(hall) == [kept]
    assert listed(hall, include_canceled_positions="true") == [kept, gone]
    assert hall.get(f"orderpositions/{gone}/").status_code == 404
    assert must(hall.get(f"orderpositions/{gone}/", include_canceled_positions="true"), 200)["canceled"] is True
    assert hall.patch(f"orderpositions/{gone}/", {"price": "1.00"}).status_code == 404
    assert hall.delete(f"orderpositions/{gone}/").status_code == 404
    assert hall.left(hall.tickets) == 9
    added = must(hall.post("orderpositions/", {"order": order["code"], "item": hall.ticket}), 201)
    assert added["positionid"] == 3


@pytest.mark.parametrize("number", ["0", "99999999", "x", "9" * 40, "-1"])
def test_unknown_positions_are_not_found(hall: Any, number: str) -> None:
    assert hall.get(f"orderpositions/{number}/").status_code == 404
    assert hall.patch(f"orderpositions/{number}/", {}).status_code == 404
    assert hall.delete(f"orderpositions/{number}/").status_code == 404
    assert hall.post(f"orderpositions/{number}/regenerate_secrets/").status_code == 404


def test_what_is_printed_comes_on_demand(hall: Any) -> None:
    order = must(hall.order({"item": hall.ticket, "attendee_name_parts": full("Zoë")}), 201)
    [position] = order["positions"]
    data = must(hall.get(f"orderpositions/{position['id']}/", pdf_data="true"), 200)["pdf_data"]
    assert (data["order"], data["positionid"], data["attendee_name"]) == (order["code"], "1", "Zoë")
    assert data["secret"] == position["secret"]
    assert "pdf_data" not in must(hall.get(f"orderpositions/{position['id']}/"), 200)
    whole = must(hall.get(f"orders/{order['code']}/", pdf_data="true"), 200)
    assert whole["positions"][0]["pdf_data"] == data


def test_what_is_printed_comes_with_the_answers_to_writes_too(hall: Any) -> None:
    body = {"email": "a@example.org", "locale": "en", "positions": [{"item": hall.ticket}]}
    order = must(hall.post("orders/?pdf_data=true", body), 201)
    [position] = order["positions"]
    assert position["pdf_data"]["secret"] == position["secret"]
    assert "pdf_data" not in must(hall.post("orders/", body), 201)["positions"][0]
    path = f"orders/{order['code']}/"
    for answer in (
        hall.patch(f"{path}?pdf_data=true", {"comment": "x"}),
        hall.post(f"{path}mark_paid/?pdf_data=true"),
        hall.post(f"{path}change/?pdf_data=true"),
    ):
        assert must(answer, 200)["positions"][0]["pdf_data"]["order"] == order["code"]
    patched = must(hall.patch(f"orderpositions/{position['id']}/?pdf_data=true", {"attendee_name": "Zoë"}), 200)
    assert patched["pdf_data"]["attendee_name"] == "Zoë"
    added = must(hall.post("orderpositions/?pdf_data=true", {"order": order["code"], "item": hall.ticket}), 201)
    assert added["pdf_data"]["positionid"] == "2"


def test_the_list_of_an_organizer_never_says_what_is_printed(hall: Any) -> None:
    order = must(hall.order(hall.ticket), 201)
    asked = {"code": order["code"], "pdf_data": "true"}
    [seen] = must(hall.api.get("orders/", params=asked), 200)["results"]
    assert "pdf_data" not in seen["positions"][0]
    [seen] = must(hall.get("orders/", **asked), 200)["results"]
    assert seen["positions"][0]["pdf_data"]["order"] == order["code"]


def test_details_and_contents_are_patched(hall: Any) -> None:
    beta, [red, blue] = hall.item_with("Red", "Blue", name="Beta", price="40.00")
    hall.add("quotas/", name="Beta", size=1, items=[beta], variations=[red, blue])
    rule = hall.add("taxrules/", name={"en": "VAT"}, rate="19.00")["id"]
    order = must(hall.order(hall.ticket, hall.ticket), 201)
    before, other = order["positions"]
    path = f"orderpositions/{before['id']}/"

    def patch(**values: Any) -> Any:
        return must(hall.patch(path, values), 200)

    assert patch(attendee_email="x@example.org") == {**before, "attendee_email": "x@example.org"}
    assert patch(attendee_name="Max M")["attendee_name_parts"] == {"_legacy": "Max M"}
    assert listed(hall, attendee_name="max m") == [before["id"]]
    assert patch(country="US", state="CA")["state"] == "CA"
    done = patch(item=beta, variation=red)
    assert (done["item"], done["variation"], done["price"]) == (beta, red, "23.00")
    assert patch(variation=blue)["variation"] == blue
    done = patch(price="119.00", tax_rule=rule)
    assert (done["tax_value"], done["tax_rate"], done["tax_rule"]) == ("19.00", "19.00", rule)
    assert patch(tax_rule=None)["tax_value"] == "0.00"
    assert patch(price=None)["price"] == "119.00"
    assert patch(valid_from="2031-01-01T00:00:00Z")["valid_from"] == "2031-01-01T00:00:00Z"
    assert must(hall.get(f"orders/{order['code']}/"), 200)["total"] == "142.00"
    taken = hall.patch(f"orderpositions/{other['id']}/", {"item": beta, "variation": red})
    assert must(taken, 400) == ["The quota Beta does not have enough capacity left to perform the operation."]
    done = patch(item=hall.ticket)
    assert (done["item"], done["variation"]) == (hall.ticket, None)


def test_bad_patches_are_refused_field_by_field(hall: Any) -> None:
    beta, [red] = hall.item_with("Red", name="Beta")
    [position] = must(hall.order(hall.ticket), 201)["positions"]

    def refused(body: Any) -> Any:
        return must(hall.patch(f"orderpositions/{position['id']}/", body), 400)

    assert refused({"item": beta}) == {"variation": ["You should specify a variation for this item."]}
    assert refused({"variation": red}) == {"variation": ["You cannot specify a variation for this item."]}
    assert refused({"item": -1}) == {"item": ['Invalid pk "-1" - object does not exist.']}
    assert set(refused({"price": "x", "attendee_email": "x", "country": "XX"})) == {
        "price",
        "attendee_email",
        "country",
    }
    assert refused({"price": "NaN"}) == {"price": ["A valid number is required."]}
    assert refused({"company": "a\x00b"}) == {"company": ["Null characters are not allowed."]}
    assert set(refused({"country": "US", "state": "XX"})) == {"state"}
    assert refused({"item": beta, "variation": red}) == ["There is no quota defined that allows this operation."]
    assert set(refused([])) == {"non_field_errors"}
    assert must(hall.get(f"orderpositions/{position['id']}/"), 200) == position


def test_positions_are_added_with_their_own_price_and_details(hall: Any) -> None:
    order = must(hall.order(hall.ticket), 201)
    body = {"order": order["code"], "item": hall.ticket}
    added = must(hall.post("orderpositions/", {**body, "price": "7.50", "attendee_name": "Eve", "secret": "mine"}), 201)
    assert (added["positionid"], added["price"], added["attendee_name"], added["order"]) == (
        2,
        "7.50",
        "Eve",
        order["code"],
    )
    assert added["secret"] != "mine"
    assert must(hall.get(f"orders/{order['code']}/"), 200)["total"] == "30.50"
    errors = must(hall.post("orderpositions/", {"order": "NO-SUCH", "item": "x", "price": "x"}), 400)
    assert errors["order"] == ["Object with code=NO-SUCH does not exist."]
    assert set(errors) == {"order", "item", "price"}
    base = must(hall.post("orderpositions/", {**body, "addon_to": 9}), 400)
    assert base == {"addon_to": ["addon_to refers to an unknown position ID for this order."]}
    assert set(must(hall.post("orderpositions/", {}), 400)) == {"order", "item"}
    assert set(must(hall.post("orderpositions/", [1]), 400)) == {"non_field_errors"}


def test_an_expired_order_is_changed_without_asking_for_room(hall: Any) -> None:
    small = hall.quota(1, hall.ticket, name="Small")
    order = must(hall.order(hall.ticket), 201)
    must(hall.post(f"orders/{order['code']}/mark_expired/"), 200)
    must(hall.order(hall.ticket), 201)
    must(hall.post("orderpositions/", {"order": order["code"], "item": hall.ticket}), 201)
    assert hall.left(small) == 0
    sold_out = hall.post(f"orders/{order['code']}/mark_paid/")
    assert must(sold_out, 400) == {"detail": 'The ordered product "Ticket" is no longer available.'}
