"""What lists look for in an order, made of its document: words that are compared whole, and text that is searched.

Words are parted by a sign that no word has, so that one pass over an index finds them; a letter tells their kind.
Both are folded here, because Postgres folds only what its locale knows. (docs/decisions/0004-lists-and-sync.md)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

PARTING = "\x7f"
_WORD_MAX = 64
"""How much of a word is kept as it is; what is longer is told apart by a hash."""


class _Payment(Struct):
    provider: str


class _Position(Struct):
    id: int
    item: int
    secret: str
    pseudonymization_id: str
    variation: int | None = None
    subevent: int | None = None
    canceled: bool = False
    addon_to: int | None = None
    attendee_name: str | None = None
    attendee_email: str | None = None
    attendee_name_parts: dict[str, Any] = {}


class _Address(Struct):
    company: str = ""
    name_parts: dict[str, Any] = {}


class _Order(Struct):
    """The part of an order's document that lists look into (engine.domain.order.Order)."""

    code: str
    email: str | None = None
    comment: str = ""
    locale: str = "en"
    sales_channel: str = "web"
    customer: str | None = None
    invoice_address: _Address | None = None
    positions: list[_Position] = []
    payments: list[_Payment] = []


class _Card(Struct):
    """One order's: `dates` are the lowest and highest id, `positions` has [words, text] of each, by id."""

    words: str
    search: str
    email: str | None
    dates: tuple[int, int] | None
    positions: dict[int, tuple[str, str]]


_decoder = msgspec.json.Decoder(_Order)
_encoder = msgspec.json.Encoder()


def fold(text: str) -> str:
    """Return text as lists compare it: upper and lower case alike, in any script."""
    return _plain(text.casefold())


def word(kind: str, text: str) -> str:
    """Return a word of one kind, folded."""
    return exact(kind, text.casefold())


def exact(kind: str, text: str) -> str:
    """Return a word of one kind, upper case apart from lower case."""
    if len(text) > _WORD_MAX:
        text = text[: _WORD_MAX // 2] + hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return kind + _plain(text)


def _plain(text: str) -> str:
    return text.replace(PARTING, " ") if PARTING in text else text


def among(kind: str, text: object | None) -> str | None:
    """Return how a word of one kind stands among the words, None for None."""
    return None if text is None else f"{PARTING}{exact(kind, str(text))}{PARTING}"


def cards(documents: Sequence[bytes]) -> str:
    """Return the cards of orders as JSON, in the order of their documents, for sql/orders.sql.

    Raises msgspec.MsgspecError where a document is no order.
    """
    return _encoder.encode([_card(_decoder.decode(document)) for document in documents]).decode()


def _card(order: _Order) -> _Card:
    payer = _payer(order.invoice_address) if order.invoice_address else []
    general = [exact("l", order.locale), exact("w", order.sales_channel)]
    person = exact("c", order.customer) if order.customer else None
    if person:
        general.append(person)
    texts = [order.code, order.email, order.comment, *payer]
    contents = [exact("p", payment.provider) for payment in order.payments]
    dates = set()
    for position in order.positions:
        contents.append(f"i{position.item}")
        if position.variation is not None:
            contents.append(f"v{position.variation}")
        if position.subevent is not None:
            contents.append(f"s{position.subevent}")
            dates.add(position.subevent)
        if not position.canceled:
            contents.append("t" + fold(position.secret))
            texts += (position.attendee_name, position.attendee_email)
            if position.attendee_name_parts:
                texts += _names(position.attendee_name_parts)
    by_id = {position.id: position for position in order.positions} if len(order.positions) > 1 else {}
    return _Card(
        _joined(dict.fromkeys([*general, *contents])),
        _text(texts),
        fold(order.email) if order.email else None,
        (min(dates), max(dates)) if dates else None,
        {position.id: _position(order, position, by_id, person, payer) for position in order.positions},
    )


def _position(
    order: _Order, position: _Position, by_id: dict[int, _Position], customer: str | None, payer: list[str | None]
) -> tuple[str, str]:
    # the code is first, as lists are ordered by it
    words = ["t" + fold(order.code)]
    if customer:
        words.append(customer)
    texts = [order.email, *payer]
    for person in (position, by_id.get(position.addon_to)) if position.addon_to else (position,):
        if person:
            texts += (person.attendee_name, person.attendee_email)
            if person.attendee_name:
                words.append(word("n", person.attendee_name))
    words += ("t" + fold(position.secret), "t" + fold(position.pseudonymization_id))
    return _joined(words), _text(texts)


def _joined(words: Iterable[str]) -> str:
    return PARTING.join(["", *words, ""])


def _text(texts: list[str | None]) -> str:
    """Return texts in lines of their own, as they are searched."""
    return PARTING.join(dict.fromkeys([_plain(text) for text in texts if text])).casefold()


def _payer(address: _Address) -> list[str | None]:
    return [address.company, *_names(address.name_parts)]


def _names(parts: dict[str, Any]) -> list[str]:
    """Return what people may call somebody."""
    names = [str(parts[key]) for key in ("_legacy", "full_name") if parts.get(key)]
    called = [str(parts[key]) for key in ("title", "given_name", "middle_name", "family_name") if parts.get(key)]
    if called:
        names.append(" ".join(called))
    if parts.get("given_name") and parts.get("family_name"):
        given, family = parts["given_name"], parts["family_name"]
        names += (f"{given} {family}", f"{family} {given}", f"{family}, {given}")
    return names
