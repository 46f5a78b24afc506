"""Which changes ask for a mail, and what mails say."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from sample_orders import EVENT, NOW, order, position

from engine.domain import mails, order_changes, payments
from engine.domain.event_settings import MAIL_TEMPLATES
from engine.domain.mail_texts import filled, written
from engine.domain.order import Mail, MailKind, Order, OrderStatus
from engine.domain.splitting import SplitOff, split

ADDRESS = "a@example.org"


def mail(kind: MailKind, about: Order, settings: dict[str, Any] | None = None, **facts: Any) -> tuple[str, str]:
    """Return (subject, text) of a mail of an event with such settings."""
    known = {"event_name": {"en": "Night"}, "organizer": "Big Events", "comment": "", "link": "https://t.org/"}
    return written(kind, about, replace(EVENT, settings=settings or {}), **known | facts)


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
        subject, text = mail(kind, one, event_name=name, comment="{x}")
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
        subject, _ = mail(MailKind.PLACED, order("n"), event_name=name)
        assert subject == f"Your order ABCDE for {shown}"


def test_an_organizers_own_words_replace_ours_in_the_buyers_language_or_the_nearest() -> None:
    own = {
        "mail_subject_order_placed": {"de": "Danke {name}", "en": "Thanks {name}"},
        "mail_text_order_placed": {"en": "{code}: {total_with_currency}, {pending_sum} {currency}\n{url}\n{products}"},
        "mail_text_signature": {"en": "The team of {organizer}"},
    }
    about = order("n", paid=[("confirmed", "3.00")], positions=(position(1, attendee_name="Jo\nDoe"),))
    text = "ABCDE: 23.00 EUR, 20.00 EUR\nhttps://t.org/\n  7  23.00 EUR\n\n-- \nThe team of Big Events\n"
    assert mail(MailKind.PLACED, about, own) == ("Thanks Jo Doe", text)
    for locale in ("de", "de-informal", "de_AT"):
        assert mail(MailKind.PLACED, replace(about, locale=locale), own) == ("Danke Jo Doe", text)
    subject, ours = mail(MailKind.CANCELED, about, own)
    assert subject == "Your order ABCDE has been canceled"
    assert ours.endswith("the team of Night\n\n-- \nThe team of Big Events\n")


@pytest.mark.parametrize(
    ("kind", "fields", "name"),
    [
        (MailKind.PLACED, {"require_approval": True}, "order_placed_require_approval"),
        (MailKind.PAID, {}, "order_paid"),
        (MailKind.PAID, {"total": "0.00"}, "order_free"),
        (MailKind.APPROVED, {}, "order_approved"),
        (MailKind.APPROVED, {"total": "0.00"}, "order_approved_free"),
        (MailKind.DENIED, {}, "order_denied"),
        (MailKind.CHANGED, {}, "order_changed"),
        (MailKind.LINK, {}, "resend_link"),
    ],
)
def test_each_mail_has_settings_under_pretixs_names(kind: MailKind, fields: dict[str, Any], name: str) -> None:
    assert name in MAIL_TEMPLATES
    own = {f"mail_text_{name}": "Own", f"mail_subject_{name}": "Ours"}
    assert mail(kind, order("n", **fields), own) == ("Ours", "Own\n")


@pytest.mark.parametrize(
    "template",
    [
        "{",
        "}",
        "{}",
        "{0}",
        "{code.__class__}",
        "{code[0]}",
        "{code!r}",
        "{code:>9999999}",
        "{nothing}",
        "%s",
        "{ code }",
    ],
)
def test_what_is_no_placeholder_stays_as_it_is(template: str) -> None:
    assert filled(template, {"code": "ABCDE"}) == template


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    own = {"mail_text_order_canceled": "{comment} {{code}}"}
    assert mail(MailKind.CANCELED, order("n"), own, comment=" {url} ")[1] == "{url} {ABCDE}\n"


@pytest.mark.parametrize("broken", [None, 5, [], ["x"], {}, {"en": None}, {"en": ""}, "", "  "])
def test_settings_that_are_no_texts_leave_ours(broken: Any) -> None:
    own = {"mail_text_order_placed": broken, "mail_subject_order_placed": broken, "mail_text_signature": broken}
    assert mail(MailKind.PLACED, order("n"), own) == mail(MailKind.PLACED, order("n"))


def test_mails_are_bounded_and_subjects_have_one_line() -> None:
    own = {"mail_text_order_canceled": "{comment}" * 1000, "mail_subject_order_canceled": "a\r\nBcc: {comment}"}
    subject, text = mail(MailKind.CANCELED, order("n"), own, comment="x" * 5000)
    assert (len(subject), len(text)) == (250, 100_001)
    assert subject.startswith("a Bcc: x")
