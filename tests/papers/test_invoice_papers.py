"""Invoices on paper: any text, any length, each cent of it, and the same bytes each time."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import pypdf

from engine.domain.invoice import Invoice, Line, encode
from workers.papers.invoice import draw

WILD = "محمد علي · דוד · 王小明 · ひらがな · Ελλάδα · Zoë 🎉 \u202e\x07 " + "x" * 200


def line(number: int, gross: str = "23.00", tax: str = "3.67", rate: str = "19.00", **fields: Any) -> Line:
    return Line(
        **{
            "position": number,
            "description": "Ticket",
            "item": 1,
            "variation": None,
            "subevent": None,
            "event_date_from": None,
            "event_date_to": None,
            "event_location": None,
            "attendee_name": None,
            "fee_type": None,
            "fee_internal_type": None,
            "gross_value": Decimal(gross),
            "tax_value": Decimal(tax),
            "tax_name": "VAT",
            "tax_rate": Decimal(rate),
            **fields,
        }
    )


def paper(*lines: Line, **fields: Any) -> str:
    """Return an invoice as it is kept; whatever is not said is empty."""
    empty: dict[str, Any] = dict.fromkeys(Invoice.__struct_fields__, "")
    empty |= {name: None for name in empty if name.startswith("foreign_currency")}
    known = {
        "is_cancellation": False,
        "testmode": False,
        "date": dt.date(2031, 3, 5),
        "refers": None,
        "locale": "en",
        "currency": "EUR",
        "organizer_name": "Big Events",
        "lines": lines,
    }
    return encode(Invoice(**{**empty, **known, **fields}))


def pages(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


def test_six_hundred_lines_go_on_over_pages_that_repeat_the_head() -> None:
    said = pages(draw("R-1", paper(*(line(number, description=f"Ticket no. {number}.") for number in range(1, 601)))))
    assert len(said) > 10
    for number, page in enumerate(said, 1):
        assert f"Page {number} of {len(said)}" in page
        assert "Invoice R-1" in page
    assert all("Gross (EUR)" in page for page in said if "Ticket no." in page)
    assert all(sum(f"Ticket no. {number}." in page for page in said) == 1 for number in range(1, 601))
    assert "13,800.00" in said[-1]


def test_whatever_people_are_called_can_be_drawn() -> None:
    texts = ("invoice_from_name", "invoice_from", "invoice_from_city", "invoice_to", "event_name", "footer_text")
    wild = dict.fromkeys(texts, WILD)
    drawn = draw(
        WILD, paper(line(1, description=f"{WILD}<br />{WILD}", tax_name=WILD), internal_reference=WILD, **wild)
    )
    [said] = pages(drawn)
    assert "王小明" in said
    assert "Ελλάδα" in said


def test_long_words_of_the_organizer_are_all_there() -> None:
    terms = " ".join(f"§{number}" for number in range(4000))
    said = " ".join(pages(draw("R-1", paper(line(1), additional_text=terms, introductory_text="One\n\nTwo")))).split()
    assert {f"§{number}" for number in range(4000)} <= set(said)
    assert said.index("One") < said.index("Two") < said.index("§0")


def test_a_cancellation_in_test_mode_says_so() -> None:
    [said] = pages(
        draw("R-2", paper(line(1, "-23.00", "-3.67"), is_cancellation=True, refers="R-1", testmode=True, locale="de"))
    )
    for text in (
        "Stornorechnung R-2",
        "Storniert Rechnung",
        "R-1",
        "−23,00",
        "−3,67",
        "TEST – dies ist keine Rechnung",
    ):
        assert text in said


def test_the_same_invoice_makes_the_same_bytes() -> None:
    one = paper(line(1), line(2, "0.00", "0.00", "0.00", tax_name=""))
    assert draw("R-1", one) == draw("R-1", one)
