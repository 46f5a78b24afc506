"""What lists look for in an order, made of its document: words that are compared whole, and text that is searched.

Words are parted by a sign that no word has, so that one pass over an index finds them; a letter tells their kind.
Both are folded here, because Postgres folds only what its locale knows. (docs/decisions/0004-lists-and-sync.md)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from persistence.parts import Address, Order, Payment

PARTING = "\x7f"
_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\%_"})
"""Signs that mean something to LIKE."""
WORDS_MAX, TEXT_MAX, _BEGINNINGS_MAX = 700, 1100, 700
"""Bytes that an index takes of each; an entry of it has room for 2,700, and the columns of fixed size need some."""
BEGINNING = 2
"""How many signs of a secret an order repeats: so short a text begins many by chance, a longer one few."""
_REMEMBERED_MAX = 8
"""Positions of an order whose words are remembered for the next one like it."""
_WORD_MAX = 64
"""How much of a word is kept as it is; what is longer is told apart by a hash."""


class Card(Struct, gc=False):
    """One order's.

    `secrets` are the beginnings of those of its tickets, each after a PARTING; None is too many. `first` and `last` are
    the lowest and the highest id of its dates; only those in between are among the words. `positions` are what each is
    found by, words and text.
    """

    email: str | None
    words: str
    search: str
    secrets: str | None
    first: int | None
    last: int | None
    positions: list[tuple[str, str]]


def fold(text: str) -> str:
    """Return text as lists compare it: upper and lower case alike, in any script."""
    text = text.casefold()
    return text.replace(PARTING, " ") if PARTING in text else text


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


def within(text: str | None) -> str | None:
    """Return the pattern of what has this text somewhere, None for None: LIKE is quicker than strpos."""
    return None if text is None else f"%{escaped(text)}%"


def escaped(text: str) -> str:
    """Return text as it stands in a pattern."""
    return text.translate(_ESCAPED)


def card(order: Order) -> Card:
    """Return what lists look for in an order."""
    positions = order.positions
    kinds = tuple([(one.item, one.variation, one.subevent) for one in positions])
    worded = _words if len(kinds) <= _REMEMBERED_MAX else _words.__wrapped__
    words, origin, first, last = worded(order.payments, order.sales_channel, order.locale, kinds)
    code = fold(order.code)
    # the code is first, as lists are ordered by it
    whose = f"{PARTING}t{code}"
    if order.customer:
        person = PARTING + exact("c", order.customer)
        words = words[:origin] + person + words[origin:]
        whose += person
    email = fold(order.email) if order.email else None
    contact = {email: None} if email else {}
    payer = _folded(_payer(order.invoice_address)) if order.invoice_address else {}
    texts = _folded([order.comment]) | payer if order.comment or payer else {}
    secrets = ""
    found = []
    by_id = {position.id: position for position in positions} if len(kinds) > 1 else {}
    for position in positions:
        secret = fold(position.secret)
        named, own_text = "", email or ""
        if not position.canceled:
            beginning = PARTING + secret[:BEGINNING]
            if beginning not in secrets:
                secrets += beginning
        name, address, parts = position.attendee_name, position.attendee_email, position.attendee_name_parts
        # most tickets have nobody's name
        if name or address or parts or position.addon_to or payer:
            people = _folded([name, address])
            if name:
                named = f"{PARTING}{word('n', name)}"
            if not position.canceled and (people or parts):
                texts |= people | _folded(_names(parts or {}))
            if position.addon_to and (host := by_id.get(position.addon_to)):
                people |= _folded([host.attendee_name, host.attendee_email])
                if host.attendee_name:
                    named += f"{PARTING}{word('n', host.attendee_name)}"
            if payer or people:
                own_text = PARTING.join(contact | payer | people)
        pseudonym = fold(position.pseudonymization_id)
        found.append((f"{whose}{named}{PARTING}t{secret}{PARTING}t{pseudonym}{PARTING}", own_text))
    plain = f"{code}{PARTING}{email}" if email else code
    search = PARTING.join({code: None} | contact | texts) if texts else plain
    few = len(secrets) <= _BEGINNINGS_MAX // 4 or len(secrets.encode()) <= _BEGINNINGS_MAX
    return Card(email, words, search, secrets if few else None, first, last, found)


@lru_cache(maxsize=4096)
def _words(
    payments: tuple[Payment, ...], channel: str, locale: str, kinds: tuple[tuple[int, int | None, int | None], ...]
) -> tuple[str, int, int | None, int | None]:
    """Return words, how many signs of them tell where an order came from, and the first and the last of its dates.

    `kinds` are item, variation and date of each position. Many orders have all of this in common.
    """
    # what stands first is found soonest: what many lists ask for, and nearly all orders have
    origin: dict[str, None] = {exact("p", payment.provider): None for payment in payments}
    origin |= {exact("w", channel): None, exact("l", locale): None}
    words: dict[str, None] = {}
    for item, variation, _ in kinds:
        words[f"i{item}"] = None
        if variation is not None:
            words[f"v{variation}"] = None
    dates = [date for _, _, date in kinds if date is not None]
    first, last = (min(dates), max(dates)) if dates else (None, None)
    if first != last:
        words |= {f"s{date}": None for date in dates if date not in (first, last)}
    origins = sum(len(word) + 1 for word in origin)
    return f"{PARTING}{PARTING.join((*origin, *words))}{PARTING}", origins, first, last


def _folded(texts: Sequence[str | None]) -> dict[str, None]:
    """Return what there is of texts, as it is searched, each once."""
    return {fold(text): None for text in texts if text}


def _payer(address: Address) -> list[str | None]:
    return [address.company, *_names(address.name_parts)]


def _names(parts: dict[str, Any]) -> list[str]:
    """Return what people may call somebody."""
    given, family = parts.get("given_name"), parts.get("family_name")
    names = [str(parts[key]) for key in ("_legacy", "full_name") if parts.get(key)]
    called = [str(part) for part in (parts.get("title"), given, parts.get("middle_name"), family) if part]
    if called:
        names.append(" ".join(called))
    if given and family:
        names += (f"{given} {family}", f"{family} {given}", f"{family}, {given}")
    return names
