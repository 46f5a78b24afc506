"""Mails to buyers, all the way: asked for with a request, written by a job, in the folder that `holdfast up` names."""

from __future__ import annotations

import email
import re
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from shop import MakeShop, Shop, must

Sale = tuple[Shop, int]
Inbox = Callable[[str, int], list[EmailMessage]]


@pytest.fixture
def sale(shop: MakeShop) -> Sale:
    """An event and an item of 23.00 that is never sold out."""
    name = {"en": "Night of\r\nBcc: everybody@example.org Music", "de": "Nacht der Musik"}
    s, item, _ = shop(name=name).selling(None)
    return s, item


@pytest.fixture
def inbox(server: Any) -> Inbox:
    """What has been written to the buyer of an order, in its order; waits until there is as much as expected."""
    folder = Path(server.ready_file).parent / "data" / "mail"

    def found(code: str) -> list[Path]:
        return sorted(folder.glob(f"{code}-*.eml"), key=lambda file: int(file.name.split("-")[2]))

    def read(code: str, expected: int) -> list[EmailMessage]:
        deadline = time.monotonic() + 45
        while len(found(code)) < expected:
            assert time.monotonic() < deadline, f"{code}: {found(code)}"
            time.sleep(0.1)
        return [email.message_from_bytes(file.read_bytes(), policy=default) for file in found(code)]

    return read


def made(s: Shop, *positions: Any, **fields: Any) -> Any:
    return must(s.order(*positions, **fields), 201)


def act(s: Shop, code: str, what: str, body: Any = None) -> None:
    response = s.post(f"orders/{code}/{what}/", body)
    assert response.is_success, response.text


def text_of(mail: EmailMessage) -> str:
    return str(mail.get_content()).replace("\r\n", "\n")


def test_a_new_order_is_confirmed_if_the_client_wants_it(sale: Sale, inbox: Inbox) -> None:
    s, item = sale
    quiet = made(s, item)
    order = made(s, item, send_email=True)
    [mail] = inbox(order["code"], 1)
    assert (mail["To"], mail["From"]) == ("buyer@example.org", "holdfast@localhost")
    assert mail["Subject"] == f"Your order {order['code']} for Night of Bcc: everybody@example.org Music"
    assert mail["Bcc"] is None
    text = text_of(mail)
    assert "Please pay 23.00 EUR by " in text
    assert "  Ticket  23.00 EUR\nTotal: 23.00 EUR" in text
    assert order["url"] in text
    by_channel, paid = made(s, item, send_email=None), made(s, item, send_email=True, status="p")
    assert "thank you" in text_of(inbox(by_channel["code"], 1)[0])
    assert inbox(paid["code"], 1)[0]["Subject"] == f"Your order {paid['code']} is paid"
    assert inbox(quiet["code"], 0) == []


def test_each_step_is_told_unless_the_client_says_no(sale: Sale, inbox: Inbox) -> None:
    s, item = sale
    order = made(s, item)
    act(s, order["code"], "mark_paid")
    act(s, order["code"], "mark_pending")
    position = order["positions"][0]["id"]
    patch = {"patch_positions": [{"position": position, "body": {"price": "20.00"}}]}
    act(s, order["code"], "change", {**patch, "send_email": True})
    act(s, order["code"], "mark_canceled", {"comment": "The hall {code} has burnt down.\r\n\r\nSorry."})
    mails = inbox(order["code"], 3)
    assert len(mails) == 3
    assert [re.sub(r".* (is|has been) ", "", mail["Subject"]) for mail in mails] == ["paid", "changed", "canceled"]
    assert "The organizer writes:\nThe hall {code} has burnt down." in text_of(mails[2])

    silent = made(s, item)
    for send in (False, None):
        act(s, silent["code"], "mark_paid", {"send_email": send})
        act(s, silent["code"], "mark_pending")
    act(s, silent["code"], "change", patch | {"patch_positions": []})
    act(s, silent["code"], "mark_canceled", {"send_email": False})
    # told in vain so far: whatever was to come has come with this one
    act(s, silent["code"], "resend_link")
    assert [mail["Subject"] for mail in inbox(silent["code"], 1)] == [f"The link to your order {silent['code']}"]


def test_approval_and_denial_are_told(sale: Sale, inbox: Inbox) -> None:
    s, item = sale
    approved, denied, free = (
        made(s, {"item": item, "price": price}, require_approval=True)["code"] for price in ("23.00", "23.00", "0.00")
    )
    act(s, approved, "approve")
    act(s, denied, "deny", {"send_email": True, "comment": "No more room."})
    act(s, free, "approve")
    assert "Please pay" in text_of(inbox(approved, 1)[0])
    assert "No more room." in text_of(inbox(denied, 1)[0])
    assert "Please pay" not in text_of(inbox(free, 1)[0])


def test_payments_tell_only_of_orders_that_they_pay(sale: Sale, inbox: Inbox) -> None:
    s, item = sale
    code = made(s, item, payment_provider=None)["code"]
    payment = {"state": "confirmed", "provider": "manual", "amount": "20.00"}
    must(s.post(f"orders/{code}/payments/", payment), 201)
    must(s.post(f"orders/{code}/payments/", {**payment, "amount": "3.00", "state": "created"}), 201)
    act(s, code, "payments/2/confirm")
    must(s.post(f"orders/{code}/payments/", payment), 201)
    act(s, code, "resend_link")
    assert [mail["Subject"] for mail in inbox(code, 2)] == [
        f"Your order {code} is paid",
        f"The link to your order {code}",
    ]


def test_who_reads_german_is_told_in_german(sale: Sale, inbox: Inbox) -> None:
    s, item = sale
    code = made(s, item, locale="de", send_email=True, email="k@example.org")["code"]
    [mail] = inbox(code, 1)
    assert mail["Subject"] == f"Ihre Bestellung {code} für Nacht der Musik"
    assert "Bitte zahlen Sie 23.00 EUR bis zum " in text_of(mail)


def test_the_link_is_sent_as_often_as_it_is_asked_for(sale: Sale, inbox: Inbox) -> None:
    s, item = sale
    code = made(s, item)["code"]
    response = s.post(f"orders/{code}/resend_link/")
    assert (response.status_code, response.content) == (204, b"")
    [first] = inbox(code, 1)
    act(s, code, "resend_link")
    deadline = time.monotonic() + 45
    while (again := inbox(code, 1)[0])["Message-ID"] == first["Message-ID"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert text_of(again) == text_of(first)


def test_a_mail_names_what_was_put_on_sale_after_the_last_mail(sale: Sale, inbox: Inbox) -> None:
    s, item = sale
    inbox(made(s, item, send_email=True)["code"], 1)
    late = s.item("Latecomer")
    s.quota(None, late)
    [mail] = inbox(made(s, late, send_email=True)["code"], 1)
    assert "  Latecomer  23.00 EUR" in text_of(mail)


@pytest.mark.parametrize("address", [None, ""])
def test_an_order_without_an_address_has_nobody_to_write_to(sale: Sale, address: str | None) -> None:
    s, item = sale
    code = made(s, item, email=address, send_email=True)["code"]
    act(s, code, "mark_paid", {"send_email": True})
    refusal = {"detail": "There is no email address associated with this order."}
    assert must(s.post(f"orders/{code}/resend_link/"), 400) == refusal
    assert s.post("orders/NOSUC/resend_link/").status_code == 404
    assert s.get(f"orders/{code}/resend_link/").status_code == 405


@pytest.mark.parametrize(
    "body", [{"send_email": "perhaps", "comment": {"a": 1}}, {"comment": "a\x00b"}, {"comment": 5}]
)
def test_rubbish_about_mails_refuses_nothing(sale: Sale, inbox: Inbox, body: Any) -> None:
    s, item = sale
    code = made(s, item)["code"]
    act(s, code, "mark_canceled", body)
    assert len(inbox(code, 1)) == 1
