"""Invoices over HTTP: issued, numbered, listed, drawn, canceled and issued anew."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pypdf
import pytest
from shop import Api, MakeShop, Shop, must

ADDRESS = {
    "company": "Beispiel & Söhne",
    "name_parts": {"_scheme": "full", "full_name": "John Doe"},
    "street": "Sesam Street 12",
    "zipcode": "12345",
    "city": "Sample City",
    "country": "DE",
}
EXISTS = {"detail": "An invoice for this order already exists."}
NOT_POSSIBLE = {"detail": "You cannot generate an invoice for this order."}


def billing(shop: MakeShop, generate: str = "admin", **settings: Any) -> tuple[Shop, int]:
    """Return an event that bills like this, and an item of 23.00 with 19 % of tax that is never sold out."""
    s = shop()
    must(s.patch("settings/", {"invoice_generate": generate, **settings}), 200)
    rule = s.add("taxrules/", name={"en": "VAT", "de": "USt"}, rate="19.00", price_includes_tax=True)["id"]
    item = s.item(tax_rule=rule)
    s.quota(None, item)
    return s, item


def ordered(s: Shop, *positions: Any, **fields: Any) -> str:
    return str(must(s.order(*positions, **fields), 201)["code"])


def bill(s: Shop, code: str) -> Any:
    return must(s.post(f"orders/{code}/create_invoice/"), 201)


def listed(s: Shop, **query: Any) -> list[Any]:
    found: list[Any] = must(s.get("invoices/", **query), 200)["results"]
    return found


def settled(s: Shop, code: str, count: int) -> list[tuple[str, str | None, str]]:
    """Wait until an order has as many invoices; return (end of the number, end of what it cancels, sum) of each."""
    deadline = time.monotonic() + 45
    while len(found := listed(s, order=code, ordering="nr")) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return [(one["number"][-2:], one["refers"] and one["refers"][-2:], sum_of(one)) for one in found]


def sum_of(invoice: Any) -> str:
    cents = sum(round(float(line["gross_value"]) * 100) for line in invoice["lines"])
    return f"{cents / 100:.2f}"


def downloaded(s: Shop, number: str) -> httpx.Response:
    """Ask for the file until it has been made."""
    deadline = time.monotonic() + 45
    path = f"events/{s.slug}/invoices/{number}/download/"
    while (answer := s.api.get(path, headers={"Accept": "application/pdf"})).status_code == 409:
        assert answer.headers["retry-after"].isdigit()
        assert answer.json() == {"detail": "The requested resource is not ready, please retry later."}
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)


# --------------------------------------------------------------------------------------------------------- asked for


def test_an_order_gets_one_invoice_that_says_what_it_costs(shop: MakeShop) -> None:
    s, item = billing(shop, invoice_address_from_name="Big Events GmbH", invoice_address_from_country="DE")
    fee = {"fee_type": "payment", "value": "1.00", "description": "", "internal_type": ""}
    code = ordered(s, item, item, fees=[fee], invoice_address=ADDRESS, locale="de")
    invoice = bill(s, code)
    assert invoice["number"] == f"{s.slug.upper()}-00001"
    assert (invoice["order"], invoice["event"], invoice["is_cancellation"], invoice["refers"]) == (
        code,
        s.slug,
        False,
        None,
    )
    assert (invoice["invoice_from_name"], invoice["invoice_from_country"]) == ("Big Events GmbH", "DE")
    assert invoice["invoice_to"].splitlines()[0] == "Beispiel & Söhne"
    assert [
        (line["gross_value"], line["tax_value"], line["tax_rate"], line["tax_name"]) for line in invoice["lines"]
    ] == [
        ("23.00", "3.67", "19.00", "USt"),
        ("23.00", "3.67", "19.00", "USt"),
        ("1.00", "0.00", "0.00", ""),
    ]
    assert must(s.get(f"invoices/{invoice['number']}/"), 200) == invoice
    again = s.post(f"orders/{code}/create_invoice/")
    assert (again.status_code, again.json()) == (400, EXISTS)
    assert listed(s) == [invoice]


def test_an_invoice_does_not_change_with_what_it_was_made_from(shop: MakeShop) -> None:
    s, item = billing(shop)
    code = ordered(s, item, invoice_address=ADDRESS)
    invoice = bill(s, code)
    must(s.patch(f"items/{item}/", {"name": {"en": "Something else"}}), 200)
    must(s.patch("settings/", {"invoice_address_from_name": "Somebody else"}), 200)
    must(s.patch(f"orders/{code}/", {"invoice_address": {**ADDRESS, "company": "Others"}}), 200)
    assert must(s.get(f"invoices/{invoice['number']}/"), 200) == invoice
    assert "Something else" not in text_of(downloaded(s, invoice["number"]).content)


@pytest.mark.parametrize("generate", ["False", None])
def test_no_invoice_without_the_setting(shop: MakeShop, generate: str | None) -> None:
    s, item = billing(shop)
    must(s.patch("settings/", {"invoice_generate": generate}), 200)
    refused = s.post(f"orders/{ordered(s, item)}/create_invoice/")
    assert (refused.status_code, refused.json()) == (400, NOT_POSSIBLE)


def test_no_invoice_for_what_is_free_waits_or_is_over(shop: MakeShop) -> None:
    s, item = billing(shop)
    free = ordered(s, {"item": item, "price": "0.00"})
    waiting = ordered(s, item, require_approval=True)
    over = ordered(s, item)
    must(s.post(f"orders/{over}/mark_canceled/"), 200)
    for code in (free, waiting, over):
        refused = s.post(f"orders/{code}/create_invoice/")
        assert (refused.status_code, refused.json()) == (400, NOT_POSSIBLE)
    assert s.post("orders/NOSUCH/create_invoice/").status_code == 404
    assert listed(s) == []


def test_a_repeated_request_gets_the_invoice_again(shop: MakeShop) -> None:
    s, item = billing(shop)
    code = ordered(s, item)
    key = {"X-Idempotency-Key": f"invoice-{s.slug}"}
    first, second = (s.post(f"orders/{code}/create_invoice/", headers=key) for _ in range(2))
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert len(listed(s)) == 1


# ---------------------------------------------------------------------------------------------------------- the numbers


def test_numbers_have_no_gaps_however_many_ask_at_once(shop: MakeShop) -> None:
    prefix = f"R{shop().slug}-%Y-"
    sales = [billing(shop, invoice_numbers_prefix=prefix) for _ in range(2)]
    codes = [(s, ordered(s, item)) for s, item in sales for _ in range(20)]
    wrong = [(s, ordered(s, {"item": item, "price": "0.00"})) for s, item in sales for _ in range(5)]
    with ThreadPoolExecutor(12) as crowd:
        # each order twice, so that one of both is refused
        answers = list(crowd.map(lambda one: one[0].post(f"orders/{one[1]}/create_invoice/"), [*codes, *wrong, *codes]))
    numbers = sorted(answer.json()["number"] for answer in answers if answer.status_code == 201)
    assert len(numbers) == len(codes)
    assert [int(number.rpartition("-")[2]) for number in numbers] == list(range(1, len(codes) + 1))
    assert {answer.status_code for answer in answers} == {201, 400}


def test_orders_in_test_mode_have_numbers_of_their_own_and_take_them_along(shop: MakeShop) -> None:
    s, item = billing(shop)
    trial = ordered(s, item, testmode=True)
    assert bill(s, trial)["number"].endswith("-TEST-00001")
    assert bill(s, ordered(s, item))["number"] == f"{s.slug.upper()}-00001"
    assert s.delete(f"orders/{trial}/").status_code == 204
    assert [one["number"] for one in listed(s)] == [f"{s.slug.upper()}-00001"]


def test_a_number_that_another_series_has_is_passed_over(shop: MakeShop) -> None:
    s, item = billing(shop, invoice_numbers_prefix=f"{shop().slug}-", invoice_numbers_counter_length=3)
    first = bill(s, ordered(s, item))["number"]
    must(s.patch("settings/", {"invoice_numbers_prefix": f"{first[:-1]}", "invoice_numbers_counter_length": 1}), 200)
    assert bill(s, ordered(s, item))["number"] == f"{first[:-1]}2"


@pytest.mark.parametrize("prefix", ["ä", "<b>", "x" * 156, "a\x00", 3.5, ["R"]])
def test_a_prefix_is_a_short_text_that_can_stand_anywhere(shop: MakeShop, prefix: Any) -> None:
    refused = shop().patch("settings/", {"invoice_numbers_prefix": prefix})
    assert refused.status_code == 400 or prefix == 3.5
    assert shop().patch("settings/", {"invoice_numbers_counter_length": 11}).status_code == 400


# ------------------------------------------------------------------------------------------------------------ the files


def test_the_file_is_a_pdf_with_all_that_one_pays_for(shop: MakeShop) -> None:
    s, item = billing(
        shop,
        invoice_address_from_name="Big Events GmbH",
        invoice_address_from="Konzertstraße 5",
        invoice_introductory_text={"en": "Dear customer", "de": "Sehr geehrte Damen und Herren"},
        invoice_footer_text="Court of Berlin, HRB 12345",
    )
    person = {"item": item, "attendee_name_parts": {"_scheme": "full", "full_name": "Jörg محمد 王"}}
    code = ordered(s, person, *[item] * 59, invoice_address=ADDRESS, locale="de", status="p")
    number = bill(s, code)["number"]
    answer = downloaded(s, number)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == f'attachment; filename="{number}.pdf"'
    said = text_of(answer.content)
    for text in (
        f"Rechnung {number}",
        "Big Events GmbH",
        "Konzertstraße 5",
        "Beispiel & Söhne",
        "Sehr geehrte Damen und Herren",
        "Teilnehmer: Jörg",
        "1.380,00",
        "USt 19",
        "220,20",
        "BEZAHLT",
        "Court of Berlin, HRB 12345",
        "Seite 1 von 3",
        "Seite 3 von 3",
    ):
        assert text in said, said
    assert pypdf.PdfReader(io.BytesIO(answer.content)).metadata["/Title"] == f"Rechnung {number}"
    assert s.get(f"invoices/{number}/download/").content == answer.content


@pytest.mark.parametrize("number", ["NOSUCH-00001", "%00", "%F0%9F%98%80", "x" * 300])
def test_a_number_that_nobody_has_is_not_found(shop: MakeShop, number: str) -> None:
    s = shop()
    assert s.get(f"invoices/{number}/").status_code == 404
    assert s.get(f"invoices/{number}/download/").status_code == 404
    assert s.post(f"invoices/{number}/reissue/").status_code == 404
    assert s.post(f"invoices/{number}/regenerate/").status_code == 404


# --------------------------------------------------------------------------------------------------- anew and in lists


def test_an_invoice_is_issued_anew_once(shop: MakeShop) -> None:
    s, item = billing(shop)
    code = ordered(s, item, invoice_address=ADDRESS)
    number = bill(s, code)["number"]
    must(s.patch(f"orders/{code}/", {"invoice_address": {**ADDRESS, "company": "New name"}}), 200)
    assert s.post(f"invoices/{number}/reissue/").status_code == 204
    first, cancellation, second = listed(s, ordering="nr")
    assert (cancellation["refers"], cancellation["is_cancellation"], sum_of(cancellation)) == (number, True, "-23.00")
    assert cancellation["invoice_to_company"] == first["invoice_to_company"] == "Beispiel & Söhne"
    assert (second["invoice_to_company"], second["refers"]) == ("New name", None)
    for gone in (number, cancellation["number"]):
        for what in ("reissue", "regenerate"):
            refused = s.post(f"invoices/{gone}/{what}/")
            assert (refused.status_code, refused.json()) == (400, ["The invoice has already been canceled."])
    assert s.post(f"orders/{code}/create_invoice/").json() == EXISTS
    assert "Cancellation" in text_of(downloaded(s, cancellation["number"]).content)


def test_an_invoice_is_written_anew_only_where_that_is_allowed(shop: MakeShop) -> None:
    s, item = billing(shop)
    code = ordered(s, item, invoice_address=ADDRESS)
    number = bill(s, code)["number"]
    downloaded(s, number)
    must(s.patch(f"orders/{code}/", {"invoice_address": {**ADDRESS, "company": "New name"}}), 200)
    assert s.post(f"invoices/{number}/regenerate/").status_code == 403
    assert listed(s)[0]["invoice_to_company"] == "Beispiel & Söhne"
    must(s.patch("settings/", {"invoice_regenerate_allowed": True}), 200)
    assert s.post(f"invoices/{number}/regenerate/").status_code == 204
    [invoice] = listed(s)
    assert (invoice["number"], invoice["invoice_to_company"]) == (number, "New name")
    assert "New name" in text_of(downloaded(s, number).content)


def test_lists_are_filtered_and_sorted(shop: MakeShop) -> None:
    s, item = billing(shop)
    codes = [ordered(s, item, locale=locale) for locale in ("en", "de")]
    numbers = [bill(s, code)["number"] for code in codes]
    s.post(f"invoices/{numbers[0]}/reissue/")
    every = [one["number"][-2:] for one in listed(s)]
    assert every == ["01", "02", "03", "04"]

    def ends(**query: Any) -> list[str]:
        return [one["number"][-2:] for one in listed(s, **query)]

    assert ends(ordering="-nr") == ends(ordering="-date") == every[::-1]
    assert ends(order=codes[0]) == ends(order=codes[0].lower()) == ["01", "03", "04"]
    assert ends(is_cancellation="true") == ends(refers=numbers[0]) == ["03"]
    assert ends(is_cancellation="false", locale="de") == ends(number=numbers[1]) == ["02"]
    assert ends(order="NOSUCH") == []
    page = must(s.get("invoices/", page_size=3, page=2), 200)
    assert (page["count"], page["next"], len(page["results"])) == (4, None, 1)
    assert s.get("invoices/", order="a\x00").status_code == 400
    assert s.get("invoices/", page=9).status_code == 404


def test_a_token_sees_the_invoices_of_its_events_and_nobody_elses(shop: MakeShop, api: Api, server: Any) -> None:
    (s, item), (other, other_item) = billing(shop), billing(shop)
    number, foreign = bill(s, ordered(s, item))["number"], bill(other, ordered(other, other_item))["number"]
    assert other.get(f"invoices/{number}/").status_code == 404
    team = must(
        api.post("teams/", json={"name": "Box office", "limit_events": [s.slug], "can_view_orders": True}), 201
    )["id"]
    token = must(api.post(f"teams/{team}/tokens/", json={"name": "t"}), 201)["token"]
    headers = {"Authorization": f"Token {token}"}
    seen = must(api.get("invoices/", headers=headers), 200)["results"]
    assert [one["number"] for one in seen] == [number]
    assert api.get(f"events/{other.slug}/invoices/{foreign}/", headers=headers).status_code == 403
    assert api.post(f"events/{s.slug}/invoices/{number}/reissue/", json={}, headers=headers).status_code == 403
    everything = must(api.get("invoices/", params={"number": foreign}), 200)["results"]
    assert [one["event"] for one in everything] == [other.slug]
    assert httpx.get(f"{server.base_url}/api/v1/organizers/others/invoices/", headers=headers).status_code == 403


# ------------------------------------------------------------------------------------------------------------- unasked


def test_every_order_is_billed_when_it_is_placed(shop: MakeShop) -> None:
    s, item = billing(shop, "True")
    code = ordered(s, item)
    assert settled(s, code, 1) == [("01", None, "23.00")]
    assert s.post(f"orders/{code}/create_invoice/").json() == EXISTS
    must(s.post(f"orders/{code}/mark_paid/"), 200)
    must(s.post(f"orders/{code}/mark_canceled/"), 200)
    assert settled(s, code, 2) == [("01", None, "23.00"), ("02", "01", "-23.00")]
    must(s.post(f"orders/{code}/reactivate/"), 200)
    assert settled(s, code, 3)[2] == ("03", None, "23.00")


def test_an_order_is_billed_when_it_is_paid(shop: MakeShop) -> None:
    s, item = billing(shop, "paid")
    late, paid = ordered(s, item), ordered(s, item, status="p")
    assert settled(s, paid, 1) == [("01", None, "23.00")]
    assert listed(s, order=late) == []
    must(s.post(f"orders/{late}/mark_paid/"), 200)
    assert settled(s, late, 1) == [("02", None, "23.00")]
    assert listed(s, order=late)[0]["payment_provider_stamp"] == "paid"


def test_orders_from_before_invoices_were_wanted_are_left_alone(shop: MakeShop) -> None:
    s, item = billing(shop)
    before = ordered(s, item)
    must(s.patch("settings/", {"invoice_generate": "True"}), 200)
    must(s.patch(f"orders/{before}/", {"comment": "changed"}), 200)
    settled(s, ordered(s, item), 1)
    assert listed(s, order=before) == []


def test_a_change_of_the_order_issues_its_invoice_anew_unless_told_not_to(shop: MakeShop) -> None:
    s, item = billing(shop)
    code = ordered(s, item, item)
    positions = must(s.get(f"orders/{code}/"), 200)["positions"]
    bill(s, code)

    def change(price: str, **options: Any) -> None:
        body = {"patch_positions": [{"position": positions[0]["id"], "body": {"price": price}}], **options}
        must(s.post(f"orders/{code}/change/", body), 200)

    change("30.00", reissue_invoice=False)
    must(s.patch(f"orderpositions/{positions[1]['id']}/", {"price": "20.00"}), 200)
    change("31.00")
    assert settled(s, code, 3) == [("01", None, "46.00"), ("02", "01", "-46.00"), ("03", None, "51.00")]


def test_a_cancellation_fee_is_billed_instead(shop: MakeShop) -> None:
    s, item = billing(shop)
    code = ordered(s, item, status="p")
    bill(s, code)
    must(s.post(f"orders/{code}/mark_canceled/", {"cancellation_fee": "5.00"}), 200)
    assert settled(s, code, 3) == [("01", None, "23.00"), ("02", "01", "-23.00"), ("03", None, "5.00")]
    assert listed(s)[2]["lines"][0]["fee_type"] == "cancellation"


def test_both_parts_of_a_split_order_are_billed(shop: MakeShop) -> None:
    s, item = billing(shop)
    code = ordered(s, item, item)
    bill(s, code)
    leaving = must(s.get(f"orders/{code}/"), 200)["positions"][1]["id"]
    must(s.post(f"orders/{code}/change/", {"split_positions": [{"position": leaving}]}), 200)
    assert [sum_ for _, _, sum_ in settled(s, code, 3)] == ["46.00", "-46.00", "23.00"]
    deadline = time.monotonic() + 45
    while len(listed(s)) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert sorted(sum_of(one) for one in listed(s)) == ["-46.00", "23.00", "23.00", "46.00"]


def test_what_was_billed_and_is_not_changed_is_not_billed_again(shop: MakeShop, server: Any) -> None:
    s, item = billing(shop, "True")
    code = ordered(s, item)
    settled(s, code, 1)
    with psycopg.connect(server.database_url, autocommit=True) as sql:
        # as if the worker had died before it noted how far it was
        [event_id] = sql.execute("SELECT id FROM events WHERE slug = %s", [s.slug]).fetchone() or [0]
        sql.execute("UPDATE invoice_marks SET seen_at = 'epoch' WHERE event_id = %s", [event_id])
    settled(s, ordered(s, item), 1)
    assert len(listed(s)) == 2
