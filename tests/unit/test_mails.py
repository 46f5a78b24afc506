"""Which changes ask for a mail, and what mails say."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from sample_orders import EVENT, NOW, order, position

from engine.domain import mails, order_changes, payments
from engine.domain.mail_texts import written
from engine.domain.order import Mail, MailKind, Order, OrderStatus
from engine.domain.splitting import SplitOff, split

ADDRESS = "a@example.org"


def after(rule: Any, before: Order, kind: MailKind, **options: Any) -> tuple[Mail, ...]:
    return mails.telling(rule, kind, **options)(before, EVENT, NOW).order.mails


def test_a_change_is_told_with_its_version_after_what_was_told_before() -> None:
    earlier = Mail(1, MailKind.PLACED)
    before = order("n", email=ADDRESS, mails=(earlier,))
    rule = order_changes.mark_canceled(None, 0)
    told = Mail(before.version + 1, MailKind.CANCELED, "Sorry.")
    assert after(rule, before, MailKind.CANCELED, comment="Sorry.") == (earlier, told)
    assert after(rule, before, MailKind.CANCELED, wanted=False) == (earlier,)
    assert after(rule, replace(before, email=""), MailKind.CANCELED) == (earlier,)
    long = after(rule, before, MailKind.CANCELED, comment="x" * 10_000)[-1]
    assert len(long.comment) == 5000


def test_nothing_is_told_of_what_changes_nothing_or_pays_nothing() -> None:
    before = order("n", email=ADDRESS)
    assert after(order_changes.set_fields({"comment": ""}), before, MailKind.CHANGED) == ()
    unapproved = replace(before, require_approval=True)
    assert after(payments.mark_paid, unapproved, MailKind.PAID) == ()
    assert [mail.kind for mail in after(payments.mark_paid, before, MailKind.PAID)] == ["paid"]
    following = mails.telling(payments.mark_paid, MailKind.PAID)(before, EVENT, NOW)
    assert following.if_sold_out is not None
    assert following.if_sold_out.mails == ()


def test_a_split_takes_no_mails_along() -> None:
    whole = order(
        "n", total="46.00", positions=(position(1), position(2)), email=ADDRESS, mails=(Mail(2, MailKind.PAID),)
    )
    staying, new = split(whole, {102}, SplitOff(9, "OTHER"), EVENT, NOW)
    assert (staying.mails, new.mails) == (whole.mails, ())


@pytest.mark.parametrize("locale", ["en", "de", "de-informal", "tlh"])
@pytest.mark.parametrize("kind", MailKind)
@pytest.mark.parametrize("status", OrderStatus)
def test_each_mail_can_be_written_and_asks_for_money_only_where_it_is_owed(
    locale: str, kind: MailKind, status: OrderStatus
) -> None:
    for approval in (False, True):
        one = order(status, locale=locale, email=ADDRESS, require_approval=approval)
        name = {"en": "A {night}\nout", "de": "Ein {Abend}"}
        subject, text = written(kind, one, EVENT, event_name=name, comment="{x}", link="https://t.org/")
        german = locale.startswith("de")
        assert "\n" not in subject
        assert one.code in subject
        assert ("Ein {Abend}" if german else "A {night} out") in text
        assert ("Ihre Tickets" if german else "Your tickets") in text
        asks = "Bitte zahlen" if german else "Please pay"
        owed = status == "n" and not approval and kind not in (MailKind.CANCELED, MailKind.DENIED)
        assert (asks in text) is owed


def test_a_mail_that_is_not_translated_has_whatever_name_there_is() -> None:
    for name, shown in (({"fr": "Nuit"}, "Nuit"), ({"en": None}, "conf"), ({}, "conf")):
        subject, _ = written(MailKind.PLACED, order("n"), EVENT, event_name=name, comment="", link="")
        assert subject == f"Your order ABCDE for {shown}"
