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

from persistence.parts import Address, Order

PARTING = "\x7f"
_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\%_"})
"""Signs that mean something to LIKE."""
WORDS_MAX, TEXT_MAX, _BEGINNINGS_MAX = 700, 1100, 700
"""Bytes that an index takes of each; an entry of it has room for 2,700, and the columns of fixed size need some."""
BEGINNING = 2
"""How many signs of a secret an order repeats: so short a text begins many by chance, a longer one few."""
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
    # what stands first is found soonest: what many lists ask for, and nearly all orders have
    words: dict[str, None] = {}
    for payment in order.payments:
        words[_known("p", payment.provider)] = None
    words[_origin(order.sales_channel, order.locale)] = None
    code = fold(order.code)
    # the code is first, as lists are ordered by it
    whose = f"{PARTING}t{code}"
    if order.customer:
        person = exact("c", order.customer)
        words[person] = None
        whose += PARTING + person
    email = fold(order.email) if order.email else None
    contact = {email: None} if email else {}
    payer = _folded(_payer(order.invoice_address)) if order.invoice_address else {}
    texts = _folded([order.comment]) | payer if order.comment or payer else {}
    secrets = ""
    dates = []
    positions = []
    by_id = {position.id: position for position in order.positions} if len(order.positions) > 1 else {}
    for position in order.positions:
        words[f"i{position.item}"] = None
        if position.variation is not None:
            words[f"v{position.variation}"] = None
        if position.subevent is not None:
            dates.append(position.subevent)
        secret, name = fold(position.secret), position.attendee_name
        # most tickets have nobody's name
        people = _folded([name, position.attendee_email]) if name or position.attendee_email else {}
        named = f"{PARTING}{word('n', name)}" if name else ""
        if not position.canceled:
            beginning = PARTING + secret[:BEGINNING]
            if beginning not in secrets:
                secrets += beginning
            if people or position.attendee_name_parts:
                texts |= people | _folded(_names(position.attendee_name_parts or {}))
        if position.addon_to and (host := by_id.get(position.addon_to)):
            people |= _folded([host.attendee_name, host.attendee_email])
            if host.attendee_name:
                named += f"{PARTING}{word('n', host.attendee_name)}"
        own_words = f"{whose}{named}{PARTING}t{secret}{PARTING}t{fold(position.pseudonymization_id)}{PARTING}"
        own_text = PARTING.join(contact | payer | people) if payer or people else email or ""
        positions.append((own_words, own_text))
    first, last = (min(dates), max(dates)) if dates else (None, None)
    if first != last:
        words |= {f"s{date}": None for date in dates if date not in (first, last)}
    all_words = f"{PARTING}{PARTING.join(words)}{PARTING}"
    plain = f"{code}{PARTING}{email}" if email else code
    search = PARTING.join({code: None} | contact | texts) if texts else plain
    few = len(secrets) <= _BEGINNINGS_MAX // 4 or len(secrets.encode()) <= _BEGINNINGS_MAX
    return Card(email, all_words, search, secrets if few else None, first, last, positions)


@lru_cache(maxsize=1024)
def _known(kind: str, text: str) -> str:
    """Return exact() of what few texts are."""
    return exact(kind, text)


@lru_cache(maxsize=1024)
def _origin(channel: str, locale: str) -> str:
    """Return the words of where an order came from."""
    return f"{exact('w', channel)}{PARTING}{exact('l', locale)}"


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
