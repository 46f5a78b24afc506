"""A tour of every operation: each is made to succeed once, and its answer has to be as the document tells it.

All tests in tests/api hold their answers against the document too (tests/api/conftest.py).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import told
from estate import Estate, organizer_with_all

from engine.api import ROUTES, E, O

PLUGINS = ["pretix.plugins.banktransfer", "pretix.plugins.manualpayment", "pretix.plugins.ticketoutputpdf"]
SETTINGS = {"ticket_download": True, "ticket_download_pending": True, "invoice_generate": "admin"}
CHILDREN = ("variations", "addons", "bundles", "options")

HOOK = {"target_url": "https://example.org/", "all_events": True, "action_types": ["pretix.event.order.placed"]}
ESTATE = ("organizer", "event")
"""What examples name otherwise; the first item has the id 1 here as there."""

Say = Callable[..., Any]


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory, run_up: Any) -> Iterator[Estate]:
    with run_up(tmp_path_factory.mktemp("tour"), "--processes", "1") as running:
        made = organizer_with_all(running, "tour")
        made.api.event_hooks = {"response": [told.check]}
        with made:
            yield made


@pytest.fixture(scope="module")
def say(estate: Estate) -> Say:
    """Ask for a path of the route table; parameters that are not given are those of the estate."""

    def ask(method: str, path: str, body: Any = None, status: int = 200, **named: Any) -> Any:
        for name, value in named.items():
            path = path.replace(f"{{{name}}}", str(value))
        answer = estate.api.request(method, estate.path(path), json=body)
        assert answer.status_code == status, f"{method} {answer.url}: {answer.status_code} {answer.text}"
        return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.content

    return ask


@pytest.fixture(scope="module")
def order(say: Say, estate: Estate) -> Callable[..., Any]:
    def make(**fields: Any) -> Any:
        body = estate.bodies["orders"] | {"status": "n"} | fields
        return say("POST", E + "orders/", body, 201)

    return make


def test_what_is_there_is_shown(say: Say, estate: Estate) -> None:
    estate.made("webhooks/", HOOK)
    say("PATCH", E, {"plugins": PLUGINS})
    say("PATCH", E + "settings/", SETTINGS)
    for route in ROUTES:
        if route.method == "GET" and not any(
            word in route.path for word in ("/download/", "/invoices/{", "/subevents/{subevent}/seats/")
        ):
            say("GET", route.path)
    for query in ("pdf_data=true", "include_canceled_positions=true&page_size=1", "include=code", "exclude=positions"):
        say("GET", E + f"orders/?{query}")
    say("GET", E + "orderpositions/?pdf_data=true")
    say("GET", E + "quotas/{id}/?with_availability=true")


def test_what_is_there_is_changed(say: Say) -> None:
    for route in ROUTES:
        if "/seatingplans/" in route.path:
            continue  # it is in use
        if route.method == "PATCH" and "/subevents/{subevent}/seats/" not in route.path:
            say("PATCH", route.path, {})
        if route.method == "PUT":
            shown = say("GET", route.path)
            if "name_parts" in shown:
                del shown["name"]  # one of the two is enough, and both are refused
            say("PUT", route.path, {name: value for name, value in shown.items() if name not in CHILDREN})


def test_dates_have_seats(say: Say, estate: Estate) -> None:
    item = say("POST", E + "items/", {"name": {"en": "Seat"}, "default_price": "9.00"}, 201, event=estate.series)["id"]
    plan = {"seating_plan": int(estate.ids["seatingplans"]), "seat_category_mapping": {"Stalls": item}}
    say("PATCH", E + "subevents/{subevent}/", plan)
    path = E + "subevents/{subevent}/seats/"
    seat = say("GET", path)["results"][0]["id"]
    say("GET", path + "{id}/", id=seat)
    say("PATCH", path + "{id}/", {"blocked": True}, id=seat)


def test_carts(say: Say, estate: Estate) -> None:
    body = estate.bodies["cartpositions"]
    refused = body | {"item": 0}
    rows = say("POST", E + "cartpositions/bulk_create/", [body, refused])["results"]
    assert [row["success"] for row in rows] == [True, False]
    say("POST", E + "cartpositions/", refused, 400)
    say("DELETE", E + "cartpositions/{id}/", None, 204, id=rows[0]["data"]["id"])


def test_orders_go_through_their_states(say: Say, order: Callable[..., Any], estate: Estate) -> None:
    o = E + "orders/{code}/"
    simulated = order(simulate=True)
    assert simulated["datetime"] is None
    pending = order()["code"]
    say("POST", o + "extend/", {"expires": "2031-12-01"}, code=pending)
    say("POST", o + "resend_link/", {}, 204, code=pending)
    say("POST", o + "change/", {}, code=pending)
    say("POST", o + "regenerate_secrets/", {}, code=pending)
    say("POST", o + "mark_expired/", {}, code=pending)
    say("POST", o + "mark_paid/", {"send_email": False}, code=pending)
    say("POST", o + "mark_pending/", {}, code=pending)
    say("POST", o + "mark_canceled/", {}, code=pending)
    say("POST", o + "reactivate/", {}, code=pending)
    say("POST", o + "mark_canceled/", {"cancellation_fee": "3.00"}, code=order(status="p")["code"])
    for action in ("approve", "deny"):
        say("POST", o + f"{action}/", {}, code=order(require_approval=True)["code"])
    say("DELETE", o, None, 204, code=order(testmode=True)["code"])
    say("PATCH", o, {"email": 7, "phone": "x"}, 400, code=pending)
    say("GET", o, None, 404, code="NONE9")


def test_positions(say: Say, order: Callable[..., Any], estate: Estate) -> None:
    made = order()
    p = E + "orderpositions/{id}/"
    new = say("POST", E + "orderpositions/", {"order": made["code"], "item": made["positions"][0]["item"]}, 201)["id"]
    say("POST", p + "regenerate_secrets/", {}, id=new)
    say("POST", p + "add_block/", {"name": "admin"}, id=new)
    say("GET", E + "blockedsecrets/")
    say("POST", p + "remove_block/", {"name": "admin"}, id=new)
    say("DELETE", p, None, 204, id=new)
    say("GET", p + "?include_canceled_positions=true", id=new)


def test_money(say: Say, order: Callable[..., Any]) -> None:
    code = order(payment_provider=None)["code"]
    o = E + "orders/{code}/"
    bank = {"payer": "Ann", "iban": "DE89370400440532013000"}
    payment = {"state": "created", "provider": "banktransfer", "amount": "47.00", "info": bank}
    first = say("POST", o + "payments/", payment, 201, code=code)["local_id"]
    say("POST", o + "payments/{local_id}/cancel/", {}, code=code, local_id=first)
    second = say("POST", o + "payments/", payment, 201, code=code)["local_id"]
    say("POST", o + "payments/{local_id}/confirm/", {"force": False}, code=code, local_id=second)
    say("POST", o + "payments/{local_id}/refund/", {"amount": "1.00"}, code=code, local_id=second)
    say("POST", o + "payments/{local_id}/refund/", {"amount": "x"}, 400, code=code, local_id=second)
    for state, action in (("created", "done"), ("external", "process"), ("created", "cancel")):
        body = {"state": state, "source": "admin", "provider": "manual", "amount": "1.00", "payment": second}
        refund = say("POST", o + "refunds/", body, 201, code=code)["local_id"]
        say("POST", o + f"refunds/{{local_id}}/{action}/", {}, code=code, local_id=refund)


def test_scans(say: Say, order: Callable[..., Any], estate: Estate) -> None:
    position = order(status="p")["positions"][0]
    path = E + "checkinlists/{list}/positions/{position}/redeem/"
    assert say("POST", path, {}, 201, position=position["secret"])["status"] == "ok"
    assert say("POST", path, {}, 400, position=position["id"])["reason"] == "already_redeemed"
    assert say("POST", path, {}, 404, position="nothing")["reason"] == "invalid"
    assert say("GET", E + "orderpositions/{id}/", id=position["id"])["checkins"]
    say("POST", path, {"type": "sideways"}, 400, position=position["id"])


def file(say: Say, path: str, **named: Any) -> bytes:
    """Return a file once it is made."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return bytes(say("GET", path, **named))
        except AssertionError as still:
            if ": 409 " not in str(still) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_papers(say: Say, order: Callable[..., Any], estate: Estate) -> None:
    made = order(status="p")
    pdf = {"output": "pdf", "code": made["code"], "id": made["positions"][0]["id"]}
    assert file(say, E + "orders/{code}/download/{output}/", **pdf)[:5] == b"%PDF-"
    assert file(say, E + "orderpositions/{id}/download/{output}/", **pdf)[:5] == b"%PDF-"
    say("GET", E + "orders/{code}/download/{output}/", None, 404, code=made["code"], output="png")
    number = say("POST", E + "orders/{code}/create_invoice/", {}, 201, code=made["code"])["number"]
    i = E + "invoices/{number}/"
    say("GET", i, number=number)
    assert file(say, i + "download/", number=number)[:5] == b"%PDF-"
    say("PATCH", E + "settings/", {"invoice_regenerate_allowed": True})
    say("POST", i + "regenerate/", {}, 204, number=number)
    say("POST", i + "reissue/", {}, 204, number=number)
    assert len(say("GET", E + "invoices/")["results"]) == 3
    say("GET", O + "invoices/?is_cancellation=true")


def test_what_is_new_can_go(say: Say, estate: Estate) -> None:
    codes = [{"code": secrets.token_hex(6)} for _ in range(2)]
    for voucher in say("POST", E + "vouchers/batch_create/", codes, 201):
        say("DELETE", E + "vouchers/{id}/", None, 204, id=voucher["id"])
    say("POST", E + "vouchers/batch_create/", [{"code": "x"}], 400)
    token = say("POST", O + "teams/{team}/tokens/", {"name": "gone"}, 201)["id"]
    say("DELETE", O + "teams/{team}/tokens/{id}/", id=token)
    say("DELETE", O + "teams/{team}/", None, 204)
    for path in ("webhooks/{id}/", "webhook/{id}/"):
        made = say("POST", O + "webhooks/", HOOK, 201)["id"]
        say("DELETE", O + path, None, 204, id=made)
    for kind in ("taxrules", "categories", "items", "checkinlists", "waitinglistentries", "questions"):
        body = {name: value for name, value in estate.bodies[kind].items() if name not in ("tax_rule", "identifier")}
        made = say("POST", E + kind + "/", body, 201)["id"]
        say("DELETE", E + kind + f"/{made}/", None, 204)
    for path in ("quotas/{id}/", "quota/{id}/"):
        made = say("POST", E + "quotas/", estate.bodies["quotas"], 201)["id"]
        say("DELETE", E + path, None, 204, id=made)
    for path in ("items/{item}/addons/", "items/{item}/bundles/", "items/{item}/variations/"):
        kind = path.split("/")[2]
        body = estate.bodies[kind]
        if kind == "addons":
            category = say("POST", E + "categories/", {"name": {"en": "More"}, "is_addon": True}, 201)["id"]
            body = body | {"addon_category": category}
        made = say("POST", E + path, body, 201)["id"]
        say("DELETE", E + path + f"{made}/", None, 204)
    made = say("POST", E + "questions/{question}/options/", {"answer": {"en": "M"}}, 201)["id"]
    say("DELETE", E + f"questions/{{question}}/options/{made}/", None, 204)
    day = {"name": {"en": "Other"}, "date_from": "2031-12-28T10:00:00Z"}
    made = say("POST", E + "subevents/", day, 201, event=estate.series)["id"]
    say("DELETE", E + "subevents/{subevent}/", None, 204, subevent=made)
    made = say("POST", O + "seatingplans/", estate.bodies["seatingplans"], 201)["id"]
    say("PUT", O + "seatingplans/{id}/", estate.bodies["seatingplans"], id=made)
    say("PATCH", O + "seatingplans/{id}/", {"name": "Hall 2"}, id=made)
    say("DELETE", O + "seatingplans/{id}/", None, 204, id=made)


def test_the_examples_work_one_after_the_other(say: Say) -> None:
    def as_told(path: str, status: int, **named: Any) -> Any:
        operation = told.DOCUMENT["paths"][E + path]["post"]
        body = operation["requestBody"]["content"]["application/json"]["example"]
        parameters = (one for one in operation["parameters"] if one.get("in") == "path" and one["name"] not in ESTATE)
        return say("POST", E + path, body, status, **{one["name"]: one["example"] for one in parameters} | named)

    held = as_told("cartpositions/", 201)
    assert as_told("cartpositions/bulk_create/", 200)["results"][0]["success"]
    order = as_told("orders/", 201)
    assert (order["code"], order["total"], held["cart_id"]) == ("HAPPY", "49.00", "me@api")
    say("GET", E + "cartpositions/{id}/", None, 404, id=held["id"])
    assert as_told("orders/{code}/payments/{local_id}/confirm/", 200)["state"] == "confirmed"
    assert say("GET", E + "orders/{code}/", code="HAPPY")["status"] == "p"
    assert as_told("orders/{code}/refunds/", 201)["state"] == "done"
    second = as_told("orders/{code}/payments/", 201)["local_id"]
    assert as_told("orders/{code}/payments/{local_id}/refund/", 200, local_id=second)["amount"] == "10.00"


def test_who_has_no_right_is_told_so(estate: Estate) -> None:
    with httpx.Client(base_url=estate.api.base_url, event_hooks={"response": [told.check]}) as stranger:
        path = estate.path(E + "orders/")
        assert stranger.get(path).status_code == 401
        stranger.headers["Authorization"] = "Token nobody"
        assert stranger.post(path, json={}).status_code == 401
        stranger.headers["Authorization"] = estate.api.headers["Authorization"]
        assert stranger.get("/api/v1/organizers/others/").status_code == 403
        assert stranger.get(path, headers={"Accept": "image/png"}).status_code == 406
        assert stranger.post(path, content=b"x", headers={"Content-Type": "image/png"}).status_code == 415
        assert stranger.post(path, content=b"x" * 3_000_000).status_code == 413


def test_an_answer_that_is_not_as_told_is_noticed() -> None:
    path = E.format(organizer="o", event="e") + "quotas/1/availability/"
    request = httpx.Request("GET", f"http://127.0.0.1{path}")
    numbers = ("pending_orders", "paid_orders", "exited_orders", "cart_positions", "blocking_vouchers", "waiting_list")
    body = {"available": True, "available_number": None, "total_size": None, **dict.fromkeys(numbers, 0)}
    told.check(httpx.Response(200, json=body, request=request))
    for wrong in (body | {"more": 1}, body | {"paid_orders": "0"}, dict(list(body.items())[1:])):
        with pytest.raises(AssertionError):
            told.check(httpx.Response(200, json=wrong, request=request))
    with pytest.raises(AssertionError):
        told.check(httpx.Response(418, json={}, request=request))


def test_every_operation_was_met() -> None:
    """It closes the tour; alone it has nothing to say."""
    succeeded = {(method, path) for method, path, status in told.met if status < 300}
    missing = [f"{route.method} {route.path}" for route in ROUTES if (route.method, route.path) not in succeeded]
    if len(missing) == len(ROUTES):
        pytest.skip("nobody went on the tour")
    assert not missing
