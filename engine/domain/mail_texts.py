"""What mails to buyers say: the organizer's own words (docs/mails.md), or else ours, in English and German.

Plain text, and in ours nothing that is not true when it is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.domain import names, payments
from engine.domain.catalogue import Event
from engine.domain.order import MailKind, Order, OrderStatus, Position
from engine.domain.translated import own_words, said

_WORD = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
ADDRESS = rf"{_WORD}(?:\.{_WORD})*@{_LABEL}(?:\.{_LABEL})*"
"""What a sender's address looks like: a plain one, so that it can be no other header."""

_PLACEHOLDER = re.compile(r"\{(\w{1,50})\}")
_SUBJECT_LENGTH_MAX = 250
_TEXT_LENGTH_MAX = 100_000
"""More than anybody reads; placeholders may be repeated."""


class Words(Struct, frozen=True):
    """One language. Placeholders stand for what they say, as in an organizer's own words."""

    hello: str
    subjects: Mapping[MailKind, str]
    openings: Mapping[MailKind, str]
    approval: str
    to_pay: str
    comment: str
    contents: str
    total: str
    link: str
    bye: str
    date: str


_EN = Words(
    hello="Hello,",
    subjects={
        MailKind.PLACED: "Your order {code} for {event}",
        MailKind.PAID: "Your order {code} is paid",
        MailKind.CANCELED: "Your order {code} has been canceled",
        MailKind.APPROVED: "Your order {code} has been approved",
        MailKind.DENIED: "Your order {code} could not be accepted",
        MailKind.CHANGED: "Your order {code} has been changed",
        MailKind.LINK: "The link to your order {code}",
    },
    openings={
        MailKind.PLACED: "thank you: we have received your order {code} for {event}.",
        MailKind.PAID: "your order {code} for {event} is paid. We look forward to seeing you.",
        MailKind.CANCELED: "your order {code} for {event} has been canceled.",
        MailKind.APPROVED: "good news: your order {code} for {event} has been approved.",
        MailKind.DENIED: "we are sorry: your order {code} for {event} could not be accepted.",
        MailKind.CHANGED: "your order {code} for {event} has been changed.",
        MailKind.LINK: "you asked for the link to your order {code} for {event}. Here it is.",
    },
    approval="The organizer has to approve it before you can pay. You will hear from us.",
    to_pay="Please pay {pending_sum} {currency} by {expire_date}.",
    comment="The organizer writes:",
    contents="Your tickets:",
    total="Total: {total_with_currency}",
    link="All about your order: {url}",
    bye="Yours,\nthe team of {event}",
    date="%B {day}, %Y, %H:%M",
)
_DE = Words(
    hello="Guten Tag,",
    subjects={
        MailKind.PLACED: "Ihre Bestellung {code} für {event}",
        MailKind.PAID: "Ihre Bestellung {code} ist bezahlt",
        MailKind.CANCELED: "Ihre Bestellung {code} wurde storniert",
        MailKind.APPROVED: "Ihre Bestellung {code} wurde angenommen",
        MailKind.DENIED: "Ihre Bestellung {code} konnte nicht angenommen werden",
        MailKind.CHANGED: "Ihre Bestellung {code} wurde geändert",
        MailKind.LINK: "Der Link zu Ihrer Bestellung {code}",
    },
    openings={
        MailKind.PLACED: "vielen Dank: Ihre Bestellung {code} für {event} ist bei uns angekommen.",
        MailKind.PAID: "Ihre Bestellung {code} für {event} ist bezahlt. Wir freuen uns auf Sie.",
        MailKind.CANCELED: "Ihre Bestellung {code} für {event} wurde storniert.",
        MailKind.APPROVED: "gute Nachrichten: Ihre Bestellung {code} für {event} wurde angenommen.",
        MailKind.DENIED: "leider konnte Ihre Bestellung {code} für {event} nicht angenommen werden.",
        MailKind.CHANGED: "Ihre Bestellung {code} für {event} wurde geändert.",
        MailKind.LINK: "hier ist der gewünschte Link zu Ihrer Bestellung {code} für {event}.",
    },
    approval="Der Veranstalter muss sie noch annehmen, bevor Sie zahlen können. Wir melden uns.",
    to_pay="Bitte zahlen Sie {pending_sum} {currency} bis zum {expire_date}.",
    comment="Der Veranstalter schreibt:",
    contents="Ihre Tickets:",
    total="Summe: {total_with_currency}",
    link="Alles zu Ihrer Bestellung: {url}",
    bye="Mit freundlichen Grüßen\nIhr Team von {event}",
    date="%d.%m.%Y, %H:%M Uhr",
)


def written(
    kind: MailKind,
    order: Order,
    event: Event,
    *,
    event_name: Mapping[str, str | None],
    organizer: str,
    comment: str,
    link: str,
) -> tuple[str, str]:
    """Return (subject, text) in the order's language, about the order as it is now."""
    words = _DE if order.locale.replace("_", "-").split("-")[0] == "de" else _EN
    facts = _facts(order, event, words, said(event_name, order.locale) or event.slug)
    facts |= {"organizer": organizer, "url": link, "comment": comment.strip()}
    facts["payment_info"] = "\n\n".join(filled(part, facts) for part in _what_next(words, kind, order))
    name = _template(kind, order)
    subject = filled(own_words(event, f"mail_subject_{name}", order.locale) or words.subjects[kind], facts)
    text = own_words(event, f"mail_text_{name}", order.locale)
    text = filled(text, facts) if text else _ours(words, kind, order, facts)
    if signature := own_words(event, "mail_text_signature", order.locale):
        text += f"\n\n-- \n{filled(signature, facts)}"
    return " ".join(subject.split())[:_SUBJECT_LENGTH_MAX], text[:_TEXT_LENGTH_MAX].rstrip() + "\n"


def filled(template: str, facts: Mapping[str, str]) -> str:
    """Return a template with its placeholders filled in; what is none of them stays as it is."""
    return _PLACEHOLDER.sub(lambda found: facts.get(found[1], found[0]), template)


def _template(kind: MailKind, order: Order) -> str:
    """Return the name of the settings that have the organizer's own words for a mail."""
    match kind:
        case MailKind.LINK:
            return "resend_link"
        case MailKind.PLACED if order.require_approval:
            return "order_placed_require_approval"
        case MailKind.PAID if not order.total:
            return "order_free"
        case MailKind.APPROVED if not order.total:
            return "order_approved_free"
    return f"order_{kind}"


def _facts(order: Order, event: Event, words: Words, event_name: str) -> dict[str, str]:
    """Return what placeholders stand for, one line each."""
    deadline = order.expires.astimezone(ZoneInfo(event.timezone))
    address = order.invoice_address
    invoice_name = names.full_name(address.name_parts, event) if address and address.name_parts else ""
    live = [position for position in order.positions if not position.canceled]
    attendee_name = next((position.attendee_name for position in live if position.attendee_name), "")
    facts = {
        "event": event_name,
        "event_slug": event.slug,
        "code": order.code,
        "total": str(order.total),
        "total_with_currency": f"{order.total} {event.currency}",
        "pending_sum": str(max(payments.owed(order), payments.NOTHING)),
        "currency": event.currency,
        "expire_date": deadline.strftime(words.date.replace("{day}", str(deadline.day))),
        "email": order.email or "",
        "name": invoice_name or attendee_name,
        "invoice_name": invoice_name,
        "invoice_company": address.company if address else "",
        "attendee_name": attendee_name,
    }
    # a name may have been given on several lines
    facts = {name: " ".join(fact.split()) for name, fact in facts.items()}
    facts["products"] = "\n".join(_line(position, event) for position in live)
    return facts


def _ours(words: Words, kind: MailKind, order: Order, facts: Mapping[str, str]) -> str:
    parts = [words.hello, words.openings[kind], *_what_next(words, kind, order)]
    text = [filled(part, facts) for part in parts]
    if facts["comment"]:
        text.append(f"{words.comment}\n{facts['comment']}")
    if facts["products"]:
        text.append(f"{words.contents}\n{facts['products']}\n{filled(words.total, facts)}")
    return "\n\n".join([*text, filled(words.link, facts), filled(words.bye, facts)])


def _what_next(words: Words, kind: MailKind, order: Order) -> list[str]:
    if order.status is not OrderStatus.PENDING or kind in (MailKind.CANCELED, MailKind.DENIED):
        return []
    if order.require_approval:
        return [words.approval]
    return [words.to_pay] if payments.owed(order) > 0 else []


def _line(position: Position, event: Event) -> str:
    item = event.items.get(position.item)
    variation = item.variations.get(position.variation or 0) if item else None
    date = event.subevents.get(position.subevent or 0)
    parts = [item.name if item else str(position.item), variation.name if variation else "", date.name if date else ""]
    name = " – ".join(" ".join(part.split()) for part in parts if part)
    return f"  {name}  {position.price} {event.currency}"
