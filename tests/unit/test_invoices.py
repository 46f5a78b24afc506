"""What an invoice says, when an order gets one, and its number."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from msgspec.structs import replace
from sample_orders import EARLIER, EVENT, LATER, NOW, fee, order, position

from engine.domain import invoice, invoicing
from engine.domain.catalogue import SeatPlace, TaxRule
from engine.domain.event_settings import effective
from engine.domain.invoice_texts import amount, country_name, rate, words_of
from engine.domain.next import Next
from engine.domain.order import InvoiceAddress

EN, DE = words_of("en"), words_of("de-informal")
DAY = invoice.Happening({"en": "Friday", "de": "Freitag"}, {"en": "Hall"}, NOW, LATER)
NAMES = invoice.Names(
    organizer="Big Events",
    event=invoice.Happening({"en": "Conference", "de": "Tagung"}, {}, NOW, None),
    items={7: {"en": "Ticket", "de": "Karte"}},
    variations={8: {"en": "Student"}},
    tax_rules={1: {"en": "VAT", "de": "USt"}, 2: {"en": "VAT"}},
    dates={5: DAY},
)
ADDRESS = InvoiceAddress(
    last_modified=NOW,
    company="Sample company",
    name_parts={"_scheme": "full", "full_name": "John Doe"},
    street="Sesam Street 12",
    zipcode="12345",
    city="Sample City",
    country="DE",
    vat_id="DE1",
)


def event(**settings):
    return replace(EVENT, settings=effective({"invoice_generate": "admin"} | settings))


def draft(of, **settings):
    return invoice.drafted(of, event(**settings), NAMES, NOW)


def taxed(number, price, rate, tax, **fields):
    return replace(
        position(number, price),
        tax_rate=Decimal(rate),
        tax_value=Decimal(tax),
        tax_rule=1 if rate != "0" else None,
        **fields,
    )


def issued(of, *, number="CONF-00001", canceled=False, version=None, content=None, at=EARLIER):
    content = content or draft(of)
    return invoicing.Issued(1, of.id, of.code, version or of.version, number, canceled, NOW.date(), at, content)


# ----------------------------------------------------------------------------------------------------------- contents


def test_lines_are_live_positions_with_their_addons_and_then_live_fees():
    bought = order(
        total="50.00",
        positions=(
            position(1, "20.00"),
            position(2, "10.00", variation=8, canceled=True),
            position(3, "20.00", variation=8, attendee_name="Jo"),
            position(4, "5.00", addon_to=101),
        ),
        fees=(fee(1, "5.00"), replace(fee(2, "3.00"), canceled=True)),
    )
    assert [(line.position, line.description, line.gross_value) for line in draft(bought).lines] == [
        (1, "Ticket", Decimal("20.00")),
        (2, "+ Ticket", Decimal("5.00")),
        (3, "Ticket – Student<br />Attendee: Jo", Decimal("20.00")),
        (4, "Payment fee", Decimal("5.00")),
    ]
    assert draft(bought).total == bought.total


def test_a_line_tells_date_and_seat_in_the_language_of_the_order():
    seat = SeatPlace(1, "Main, Row 1, Seat 1", "Main", "1", None, "1", None, "s1")
    [line] = draft(order(positions=(position(1, subevent=5, seat=seat),), locale="de")).lines
    assert line.description == "Karte<br />Datum: Freitag – 05.03.2031<br />Platz: Main, Row 1, Seat 1"
    assert (line.subevent, line.event_date_from, line.event_date_to, line.event_location) == (5, NOW, LATER, "Hall")
    assert draft(order(locale="de"), invoice_language="en").lines[0].description == "Ticket"


def test_what_costs_nothing_is_billed_unless_the_event_does_not_want_it():
    free = order(positions=(position(1, "0.00"), position(2, "0.00"), position(3, "9.00", addon_to=102)))
    assert len(draft(free).lines) == 3
    assert [line.gross_value for line in draft(free, invoice_include_free=False).lines] == [Decimal(0), Decimal(9)]


def test_taxes_are_summed_by_rate_and_name_to_the_cent():
    bought = order(
        positions=(
            taxed(1, "23.00", "19.00", "3.67"),
            taxed(2, "23.00", "19.00", "3.67"),
            taxed(3, "10.01", "7.00", "0.65"),
            taxed(4, "1.00", "0", "0.00"),
        )
    )
    assert draft(bought).taxes == {
        (Decimal(0), ""): (Decimal("1.00"), Decimal("0.00")),
        (Decimal(7), "VAT"): (Decimal("10.01"), Decimal("0.65")),
        (Decimal(19), "VAT"): (Decimal("46.00"), Decimal("7.34")),
    }


def test_a_cancellation_takes_back_all_that_the_invoice_said():
    first = draft(order("p", positions=(taxed(1, "23.00", "19.00", "3.67"), position(2, "0.00"))))
    back = invoice.canceling(first, "CONF-00001", event(), NOW + dt.timedelta(days=1))
    assert (back.is_cancellation, back.refers, back.date) == (True, "CONF-00001", dt.date(2031, 3, 6))
    assert [str(line.gross_value) for line in back.lines] == ["-23.00", "0.00"]
    assert back.total == -first.total
    assert (back.payment_provider_text, back.payment_provider_stamp) == ("", None)
    assert back.invoice_to == first.invoice_to


def test_the_recipient_is_told_in_full_and_in_parts():
    said = draft(order(invoice_address=ADDRESS, locale="de"))
    assert said.invoice_to == "Sample company\nJohn Doe\nSesam Street 12\n12345 Sample City\nDeutschland\nUSt-ID: DE1"
    assert (said.invoice_to_name, said.invoice_to_country, said.invoice_to_vat_id) == ("John Doe", "DE", "DE1")
    nobody = draft(order())
    assert (nobody.invoice_to, nobody.invoice_to_name, nobody.internal_reference) == ("", None, "")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("n", ("Please complete your payment before 2031-03-12.", None)),
        ("p", ("The payment for this invoice has already been received.", "paid")),
        ("e", ("", None)),
    ],
)
def test_what_is_said_of_the_payment(status, expected):
    said = draft(order(status))
    assert (said.payment_provider_text, said.payment_provider_stamp) == expected


def test_a_deadline_at_the_end_of_time_is_a_day_too():
    end = dt.datetime(9999, 12, 31, 23, 30, tzinfo=dt.UTC)
    assert "9999-12-31" in draft(order(expires=end)).payment_provider_text


def test_texts_of_the_organizer_are_printed_in_the_language_that_there_is():
    said = draft(
        order(locale="de-informal"),
        invoice_introductory_text={"en": "Hello", "de": "Hallo"},
        invoice_additional_text={"fr": "Merci"},
        invoice_footer_text="Court of Berlin",
        invoice_address_from_name=["no text"],
    )
    assert (said.introductory_text, said.additional_text, said.footer_text) == ("Hallo", "Merci", "Court of Berlin")
    assert said.invoice_from_name == ""


@pytest.mark.parametrize(
    ("address", "rate", "expected"),
    [
        ({"country": "AT", "is_business": True, "vat_id_validated": True}, "0.00", True),
        ({"country": "AT", "is_business": True, "vat_id_validated": True}, "19.00", False),
        ({"country": "AT", "is_business": True}, "0.00", False),
        ({"country": "DE", "is_business": True, "vat_id_validated": True}, "0.00", False),
        ({"country": "US", "is_business": True}, "0.00", False),
    ],
)
def test_a_business_is_told_that_the_tax_is_its_own(address, rate, expected):
    rule = TaxRule(1, "VAT", Decimal(19), price_includes_tax=True, eu_reverse_charge=True, home_country="DE")
    where = replace(event(invoice_additional_text="Thank you"), tax_rules={1: rule})
    bought = order(
        positions=(replace(position(1), tax_rule=1, tax_rate=Decimal(rate)),),
        invoice_address=replace(ADDRESS, **address),
    )
    said = invoice.drafted(bought, where, NAMES, NOW).additional_text
    assert said.startswith("Thank you")
    assert ("Reverse charge" in said) is expected


@pytest.mark.parametrize(("country", "expected"), [("GB", "GBP"), ("DE", None), ("US", None)])
def test_a_neighbour_reads_sums_in_another_currency(country, expected):
    address = replace(ADDRESS, country=country)
    assert draft(order(invoice_address=address)).foreign_currency_display == expected
    assert draft(order(invoice_address=address), invoice_eu_currencies=False).foreign_currency_display is None


def test_the_json_form_is_the_invoice():
    said = draft(order(invoice_address=ADDRESS, positions=(taxed(1, "23.00", "19.00", "3.67", subevent=5),)))
    assert invoice.decode(invoice.encode(said)) == said


def test_amounts_and_rates_are_written_as_people_write_them():
    assert amount(Decimal("-1234567.50"), "EUR", EN) == "−1,234,567.50"
    assert amount(Decimal("1234567.50"), "EUR", DE) == "1.234.567,50"
    assert (amount(Decimal("2300.00"), "JPY", EN), amount(Decimal("0.50"), "JPY", EN)) == ("2,300", "0.50")
    assert (rate(Decimal("19.00"), EN), rate(Decimal("7.70"), DE)) == (
        "19\N{NO-BREAK SPACE}%",
        "7,7\N{NO-BREAK SPACE}%",
    )
    assert rate(Decimal("100.00"), EN) == "100\N{NO-BREAK SPACE}%"
    assert (country_name("GB", EN), country_name("CZ", DE), country_name("?", EN)) == (
        "United Kingdom",
        "Tschechien",
        "?",
    )


# -------------------------------------------------------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("fields", "settings", "expected"),
    [
        ({}, {}, True),
        ({}, {"invoice_generate": "False"}, False),
        ({}, {"invoice_generate_sales_channels": ["box"]}, False),
        ({}, {"invoice_generate_sales_channels": None}, False),
        ({"require_approval": True}, {}, False),
        ({"total": "0.00"}, {}, False),
    ],
)
def test_an_order_may_have_an_invoice_if_it_costs_something_and_is_accepted(fields, settings, expected):
    assert invoicing.billable(order(**fields), event(**settings)) is expected


def test_what_was_placed_and_paid_before_invoices_were_wanted_is_left_alone():
    for wanted, status, since, expected in [
        ("True", "n", EARLIER, True),
        ("True", "n", NOW, False),
        ("paid", "n", EARLIER, False),
        ("paid", "p", EARLIER, True),
        ("admin", "p", EARLIER, False),
        ("True", "n", None, False),
    ]:
        assert invoicing.automatic(order(status), event(invoice_generate=wanted), since) is expected
    paid_late = order("p", paid=[("confirmed", "23.00")])
    paid_late = replace(paid_late, payments=tuple(replace(p, payment_date=LATER) for p in paid_late.payments))
    assert invoicing.automatic(paid_late, event(invoice_generate="paid"), NOW)


def test_one_invoice_stands_as_long_as_its_order_does():
    pending = order()
    one = issued(pending)
    canceled = issued(pending, canceled=True)

    def due(of, found, *, wanted=False):
        found_due = invoicing.due(of, event(), found, draft(of), wanted=wanted)
        return found_due.cancel is not None, found_due.issue

    assert due(pending, []) == (False, False)
    assert due(pending, [], wanted=True) == (False, True)
    assert due(pending, [one], wanted=True) == (False, False)
    assert due(order("p"), [one]) == (False, False)
    assert due(order("e"), [one]) == due(order("c"), [one], wanted=True) == (True, False)
    assert due(order("c"), [canceled], wanted=True) == (False, False)
    # it has come back
    assert due(pending, [canceled]) == (False, True)
    assert due(order(require_approval=True), [], wanted=True) == (False, False)


def test_an_invoice_follows_changes_that_ask_for_it_and_change_what_it_says():
    before = order()
    one = issued(before)
    dearer = replace(before, version=4, positions=(position(1, "25.00"),), total=Decimal("25.00"))

    def due(of):
        found = invoicing.due(of, event(), [one], draft(of), wanted=True)
        return found.cancel is not None, found.issue

    assert due(dearer) == (False, False)
    assert due(replace(dearer, invoice_from=4)) == (True, True)
    assert due(replace(dearer, invoice_from=3)) == (False, False)
    assert due(replace(before, version=4, invoice_from=4, comment="other")) == (False, False)
    free = replace(before, version=4, invoice_from=4, total=Decimal("0.00"), positions=(position(1, "0.00"),))
    assert due(free) == (True, False)


def test_a_rule_notes_that_the_invoice_is_to_follow_only_where_it_changes_something():
    before = order()

    def rule(found, event, now):
        return Next(replace(found, comment="new"), if_sold_out=found)

    after = invoicing.reissuing(rule)(before, EVENT, NOW)
    assert after.order.invoice_from == after.if_sold_out.invoice_from == before.version + 1
    assert invoicing.reissuing(rule, wanted=False)(before, EVENT, NOW).order.invoice_from == 0
    assert invoicing.reissuing(lambda found, *_: Next(found))(before, EVENT, NOW).order == before


@pytest.mark.parametrize(
    ("settings", "fields", "cancellation", "expected"),
    [
        ({}, {}, False, "CONF-00007"),
        ({}, {"testmode": True}, True, "CONF-TEST-00007"),
        ({"invoice_numbers_prefix": "R%Y%m-"}, {}, False, "R203103-00007"),
        ({"invoice_numbers_prefix": "%y/%d#", "invoice_numbers_counter_length": 1}, {}, False, "31/05#7"),
        ({"invoice_numbers_prefix_cancellations": "S-"}, {}, True, "S-00007"),
        ({"invoice_numbers_prefix_cancellations": "S-"}, {}, False, "CONF-00007"),
        ({"invoice_numbers_consecutive": False}, {}, False, "CONF-ABCDE-7"),
    ],
)
def test_numbers_name_their_series(settings, fields, cancellation, expected):
    of, where = order(**fields), event(**settings)
    series = invoicing.series_of(of, where, NOW.date(), cancellation=cancellation)
    assert invoicing.number(series, 7, where) == expected
