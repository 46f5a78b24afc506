"""Tickets as files: asked for over HTTP, made by a worker, opened, and their codes scanned."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pypdfium2
import pytest
import zxingcpp
from pypdf import PdfReader
from shop import MakeShop, Shop, must

Sale = tuple[Shop, int]

PLUGIN = "pretix.plugins.ticketoutputpdf"
NOT_READY = {"detail": "The requested resource is not ready, please retry later."}
FULL_NAME = {"_scheme": "full", "full_name": "Zoë Müller"}


@pytest.fixture
def sale(shop: MakeShop) -> Sale:
    """An event with tickets as files, and an item that is never sold out."""
    s = shop(
        name={"en": "Night of Music", "de": "Nacht der Musik"},
        location={"en": "The old mill\nMill Lane 1"},
        date_admission="2031-12-27T09:30:00Z",
        timezone="Europe/Berlin",
        plugins=[PLUGIN],
    )
    item = s.item("Early bird", admission=True)
    s.quota(None, item)
    return s, item


def paid(s: Shop, *positions: Any, **fields: Any) -> Any:
    return must(s.order(*positions, status="p", **fields), 201)


def fetched(s: Shop, path: str) -> httpx.Response:
    """Ask for a file until it is there, as clients do."""
    deadline = time.monotonic() + 45
    while (answer := s.get(path)).status_code == 409:
        assert answer.json() == NOT_READY
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer


def file(s: Shop, path: str) -> bytes:
    answer = fetched(s, path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/pdf"
    return answer.content


def of_order(order: Any) -> str:
    return f"orders/{order['code']}/download/pdf/"


def of_position(position: Any) -> str:
    return f"orderpositions/{position['id']}/download/pdf/"


def texts(content: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]


def codes(content: bytes) -> list[str]:
    with pypdfium2.PdfDocument(content) as document:
        return [zxingcpp.read_barcodes(page.render(scale=3).to_pil())[0].text for page in document]


def refused(s: Shop, path: str, status: int = 403) -> str:
    return str(must(s.get(path), status)["detail"])


def test_the_file_of_an_order_has_all_its_tickets_and_their_codes(sale: Sale) -> None:
    s, item = sale
    order = paid(s, {"item": item, "attendee_name_parts": FULL_NAME}, item)
    answer = fetched(s, of_order(order))
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{s.slug.upper()}-{order["code"]}.pdf"'
    assert codes(answer.content) == [position["secret"] for position in order["positions"]]
    first, second = texts(answer.content)
    for told in ("Night of Music", "Saturday, December 27, 2031, 11:00", "The old mill · Mill Lane 1", "10:30"):
        assert told in first
    assert "Zoë Müller" in first
    assert "Zoë Müller" not in second
    assert f"{order['code']}-2" in second
    assert s.get(of_order(order)).content == answer.content


def test_the_file_of_a_position_has_its_ticket_in_the_language_of_the_order(sale: Sale) -> None:
    s, item = sale
    order = paid(s, item, item, locale="de-informal")
    position = order["positions"][1]
    answer = fetched(s, of_position(position))
    name = f"{s.slug.upper()}-{order['code']}-2.pdf"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert codes(answer.content) == [position["secret"]]
    [text] = texts(answer.content)
    assert "Nacht der Musik" in text
    assert "Samstag, 27. Dezember 2031, 11:00 Uhr" in text


def test_a_file_is_taken_by_clients_that_only_want_a_file(sale: Sale) -> None:
    s, item = sale
    path = f"events/{s.slug}/{of_order(paid(s, item))}"
    file(s, path.partition(f"{s.slug}/")[2])
    assert s.api.get(path, headers={"Accept": "application/pdf"}).content.startswith(b"%PDF")
    head = s.api.head(path)
    assert (head.status_code, head.headers["Content-Type"]) == (200, "application/pdf")
    assert s.api.get(path, headers={"Accept": "text/html"}).status_code == 406
    assert s.api.get(f"events/{s.slug}/orders/", headers={"Accept": "application/pdf"}).status_code == 406


def test_a_file_is_made_anew_when_what_it_shows_has_changed(sale: Sale) -> None:
    s, item = sale
    order = paid(s, item)
    path = of_position(order["positions"][0])
    before = file(s, path)
    must(s.patch(f"orderpositions/{order['positions'][0]['id']}/", {"attendee_name_parts": FULL_NAME}), 200)
    [text] = texts(file(s, path))
    assert "Zoë Müller" in text
    must(s.post(f"orders/{order['code']}/regenerate_secrets/"), 200)
    assert codes(file(s, path)) != codes(before)
    must(s.patch(f"items/{item}/", {"name": {"en": "Late bird"}}), 200)
    [text] = texts(file(s, path))
    assert "Late bird" in text
    after = s.get(path)
    s.quota(5, item, name="Another")
    assert s.get(path).content == after.content


def test_many_who_ask_at_once_get_one_file(sale: Sale, server: Any) -> None:
    s, item = sale
    order = paid(s, item)
    with ThreadPoolExecutor(8) as crowd:
        files = {done.content for done in crowd.map(lambda _: fetched(s, of_order(order)), range(8))}
    assert len(files) == 1
    with psycopg.connect(server.database_url) as connection:
        found = connection.execute(
            "SELECT count(*), max(tries) FROM ticket_files JOIN orders ON orders.id = order_id WHERE code = %s",
            [order["code"]],
        ).fetchone()
    assert found == (1, 0)


def test_a_file_that_was_lost_or_asked_for_in_vain_is_made_upon_the_next_request(sale: Sale, server: Any) -> None:
    s, item = sale
    order = paid(s, item)
    file(s, of_order(order))
    for loss in (
        "DELETE FROM ticket_files WHERE order_id = %s",
        "UPDATE ticket_files SET made = NULL, file = NULL, due_at = 'infinity', error = 'x' WHERE order_id = %s",
    ):
        with psycopg.connect(server.database_url) as connection:
            [number] = connection.execute("SELECT id FROM orders WHERE code = %s", [order["code"]]).fetchone() or [0]
            connection.execute(loss, [number])  # type: ignore[arg-type]
        assert must(s.get(of_order(order)), 409) == NOT_READY
        assert codes(file(s, of_order(order))) == [order["positions"][0]["secret"]]


def test_a_file_goes_when_it_is_old_or_its_order_does(sale: Sale, server: Any) -> None:
    s, item = sale
    must(s.api.patch(f"events/{s.slug}/", json={"testmode": True}), 200)
    old, deleted = paid(s, item, testmode=True), paid(s, item, testmode=True)
    for order in (old, deleted):
        assert "TEST" in texts(file(s, of_order(order)))[0]
    must(s.delete(f"orders/{deleted['code']}/"), 204)
    with psycopg.connect(server.database_url, autocommit=True) as connection:
        rows = "SELECT count(*) FROM ticket_files WHERE file LIKE '%%PDF%%' AND order_id = %s"
        [number] = connection.execute("SELECT id FROM orders WHERE code = %s", [old["code"]]).fetchone() or [0]
        connection.execute("UPDATE ticket_files SET expires_at = now() WHERE order_id = %s", [number])
        deadline = time.monotonic() + 60
        while connection.execute(rows, [number]).fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        gone = "SELECT count(*) FROM ticket_files WHERE NOT EXISTS (SELECT FROM orders WHERE id = order_id)"
        assert connection.execute(gone).fetchone() == (0,)


def test_downloads_are_refused_for_orders_that_have_none_now(sale: Sale) -> None:
    s, item = sale
    order = must(s.order(item), 201)
    pending = "Downloads are not available for pending orders."
    assert refused(s, of_order(order)) == refused(s, of_position(order["positions"][0])) == pending
    must(s.patch("settings/", {"ticket_download_pending": True}), 200)
    assert must(s.get(f"orders/{order['code']}/"), 200)["downloads"][0]["output"] == "pdf"
    file(s, of_order(order))
    must(s.patch("settings/", {"ticket_download_pending": None}), 200)
    assert refused(s, of_order(order)) == pending
    must(s.patch(f"orders/{order['code']}/", {"valid_if_pending": True}), 200)
    file(s, of_order(order))
    for state in ("mark_expired", "mark_canceled"):
        must(s.post(f"orders/{order['code']}/{state}/", {"send_email": False}), 200)
        gone = "Downloads are not available for canceled or expired orders."
        assert refused(s, of_order(order)) == refused(s, of_position(order["positions"][0])) == gone


def test_downloads_are_refused_where_the_event_has_none_now(sale: Sale) -> None:
    s, item = sale
    order = paid(s, item)

    def listed() -> list[bool]:
        body = must(s.get(f"orders/{order['code']}/"), 200)
        return [bool(body["downloads"]), bool(body["positions"][0]["downloads"])]

    assert listed() == [True, True]
    early = "Downloads are not available yet."
    for start in ("2031-12-26T10:00:00Z", "RELDATE/1/12:00:00/date_from/", "RELDATE/minutes/60/date_from/"):
        must(s.patch("settings/", {"ticket_download_date": start}), 200)
        assert (refused(s, of_order(order)), listed()) == (early, [False, False])
    must(s.patch("settings/", {"ticket_download_date": "RELDATE/9999/-/date_from/"}), 200)
    file(s, of_order(order))
    for wrong in ("soon", "RELDATE/1/99:99:99/date_from/", 5):
        must(s.api.patch(f"events/{s.slug}/settings/", json={"ticket_download_date": wrong}), 400)
    must(s.patch("settings/", {"ticket_download_date": None, "ticket_download": False}), 200)
    assert refused(s, of_order(order)) == "Ticket downloads are not active for this event."
    assert listed() == [False, False]
    must(s.patch("", {"plugins": []}), 200)
    assert refused(s, of_order(order), 404) == "Unknown output provider."


def test_some_positions_are_no_tickets(sale: Sale) -> None:
    s, ticket = sale
    shirt = s.item("Shirt", admission=False)
    s.quota(None, shirt)
    rows = [{"item": ticket, "positionid": 1}, {"item": ticket, "positionid": 2, "addon_to": 1}]
    order = paid(s, *rows, {"item": shirt, "positionid": 3})
    base, addon, other = order["positions"]

    def listed() -> list[bool]:
        return [bool(p["downloads"]) for p in must(s.get(f"orders/{order['code']}/"), 200)["positions"]]

    none = "Downloads are not enabled for this product."
    assert listed() == [True, False, True]
    assert refused(s, of_position(addon)) == none
    assert codes(file(s, of_order(order))) == [base["secret"], other["secret"]]
    assert "Early bird" in texts(file(s, of_position(base)))[0]
    must(s.patch("settings/", {"ticket_download_addons": True, "ticket_download_nonadm": False}), 200)
    assert listed() == [True, True, False]
    assert refused(s, of_position(other)) == none
    assert codes(file(s, of_order(order))) == [base["secret"], addon["secret"]]
    must(s.patch(f"items/{ticket}/", {"generate_tickets": False}), 200)
    assert listed() == [False, False, False]
    assert refused(s, of_order(order)) == none
    must(s.patch(f"items/{ticket}/", {"generate_tickets": None}), 200)
    must(s.post(f"orderpositions/{base['id']}/add_block/", {"name": "admin"}), 200)
    assert listed() == [False, True, False]
    assert refused(s, of_position(base)) == none


def test_what_is_not_there_is_not_found(sale: Sale) -> None:
    s, item = sale
    order = paid(s, item, item)
    must(s.delete(f"orderpositions/{order['positions'][1]['id']}/"), 204)
    assert refused(s, of_position(order["positions"][1]), 404)
    assert len(texts(file(s, of_order(order)))) == 1
    assert refused(s, f"orders/{order['code']}/download/nosuch/", 404) == "Unknown output provider."
    assert refused(s, f"orders/{order['code']}/download/%00/", 404) == "Unknown output provider."
    for path in (
        "orders/XXXXX",
        "orders/%00",
        "orderpositions/999999999",
        "orderpositions/x",
        f"orderpositions/{9**30}",
    ):
        refused(s, f"{path}/download/pdf/", 404)
    assert s.post(of_order(order)).status_code == 405


def test_any_names_end_up_in_a_file(shop: MakeShop) -> None:
    odd = "محمد 張三 👩‍👩‍👧 " + "Ünï" * 60
    s = shop(name={"en": odd}, plugins=[PLUGIN], location={"en": f"{odd}\n\n{odd}"}, date_from="0001-01-01T00:00:00Z")
    item = s.item(odd[:200], admission=True)
    s.quota(None, item)
    order = paid(
        s, {"item": item, "attendee_name_parts": {"_scheme": "full", "full_name": odd}, "secret": f"日本{s.slug}"}
    )
    assert codes(file(s, of_order(order))) == [f"日本{s.slug}"]


def test_the_ticket_of_a_date_and_a_seat_says_so(shop: MakeShop) -> None:
    s = shop(has_subevents=True, plugins=[PLUGIN])
    item = s.item(admission=True)
    date = s.date("Second evening", location={"en": "The barn"})
    s.quota(None, item, subevent=date)
    zone = {"name": "Stalls", "rows": [{"row_number": "12", "seats": [{"seat_guid": "A", "seat_number": "7"}]}]}
    for seat in zone["rows"][0]["seats"]:  # type: ignore[index]
        seat["category"] = "Stalls"
    plan = {
        "name": "Hall",
        "categories": [{"name": "Stalls", "color": "red"}],
        "zones": [zone],
        "size": {"width": 9, "height": 9},
    }
    number = must(s.api.post("seatingplans/", json={"name": "Hall", "layout": plan}), 201)["id"]
    must(s.patch(f"subevents/{date}/", {"seating_plan": number, "seat_category_mapping": {"Stalls": item}}), 200)
    order = paid(s, {"item": item, "subevent": date, "seat": "A"})
    [text] = texts(file(s, of_order(order)))
    for told in ("Second evening", "The barn", "Stalls", "12", "7"):
        assert told in text
