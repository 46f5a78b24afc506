"""What mails to buyers say, in English and German: plain text, nothing that is not true when it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.domain.catalogue import Event
from engine.domain.order import MailKind, Order, OrderStatus, Position


class Words(Struct, frozen=True):
    """One language. `{code}`, `{event}`, `{total}` and `{until}` stand for what they say."""

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
    to_pay="Please pay {total} by {until}.",
    comment="The organizer writes:",
    contents="Your tickets:",
    total="Total: {total}",
    link="All about your order: {link}",
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
    to_pay="Bitte zahlen Sie {total} bis zum {until}.",
    comment="Der Veranstalter schreibt:",
    contents="Ihre Tickets:",
    total="Summe: {total}",
    link="Alles zu Ihrer Bestellung: {link}",
    bye="Mit freundlichen Grüßen\nIhr Team von {event}",
    date="%d.%m.%Y, %H:%M Uhr",
)


def written(
    kind: MailKind, order: Order, event: Event, *, event_name: Mapping[str, str | None], comment: str, link: str
) -> tuple[str, str]:
    """Return (subject, text) in the order's language, about the order as it is now."""
    german = order.locale == "de" or order.locale.startswith(("de-", "de_"))
    words = _DE if german else _EN
    name = event_name.get("de" if german else "en") or next(filter(None, event_name.values()), "") or event.slug
    deadline = order.expires.astimezone(ZoneInfo(event.timezone))
    facts = {
        # a name may have been given on several lines
        "event": " ".join(name.split()),
        "code": order.code,
        "total": f"{order.total} {event.currency}",
        "until": deadline.strftime(words.date.replace("{day}", str(deadline.day))),
        "link": link,
    }
    paragraphs = [words.hello, words.openings[kind], *_what_next(words, kind, order)]
    subject = words.subjects[kind].format_map(facts)
    text = [paragraph.format_map(facts) for paragraph in paragraphs]
    if comment.strip():
        text.append(f"{words.comment}\n{comment.strip()}")
    if live := [position for position in order.positions if not position.canceled]:
        lines = [words.contents, *(_line(position, event) for position in live), words.total.format_map(facts)]
        text.append("\n".join(lines))
    text += [words.link.format_map(facts), words.bye.format_map(facts)]
    return subject, "\n\n".join(text) + "\n"


def _what_next(words: Words, kind: MailKind, order: Order) -> list[str]:
    if order.status is not OrderStatus.PENDING or kind in (MailKind.CANCELED, MailKind.DENIED):
        return []
    return [words.approval if order.require_approval else words.to_pay]


def _line(position: Position, event: Event) -> str:
    item = event.items.get(position.item)
    variation = item.variations.get(position.variation or 0) if item else None
    date = event.subevents.get(position.subevent or 0)
    parts = [item.name if item else str(position.item), variation.name if variation else "", date.name if date else ""]
    name = " – ".join(" ".join(part.split()) for part in parts if part)
    return f"  {name}  {position.price} {event.currency}"
