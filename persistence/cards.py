"""What lists look for in an order, made of its document: words that are compared whole, and text that is searched.

Words are parted by a sign that no word has, so that one pass over an index finds them; a letter tells their kind.
Both are folded here, because Postgres folds only what its locale knows. (docs/decisions/0004-lists-and-sync.md)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from persistence.parts import Address, Order

PARTING = "\x7f"
_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\%_"})
"""Signs that mean something to LIKE."""
_WORDS_MAX, _TEXT_MAX, _BEGINNINGS_MAX = 700, 1100, 700
"""Bytes; an entry of an index has room for 2,700, and the columns of fixed size need some."""
BEGINNING = 2
"""How many signs of a secret an order repeats: so short a text begins many by chance, a longer one few."""
_WORD_MAX = 64
"""How much of a word is kept as it is; what is longer is told apart by a hash."""


PositionCard = tuple[str | None, str | None, str | None, str | None]
"""Of a position: words, long words, text, long text."""


class Card(Struct, gc=False):
    """One order's. What is too long for an index is apart from what is not.

    `secrets` are the beginnings of those of its tickets, each after a PARTING; None is too many. `first` and `last` are
    the lowest and the highest id of its dates; only those in between are among the words. `positions` are by id.
    """

    email: str | None
    words: str | None
    long_words: str | None
    search: str | None
    long_search: str | None
    secrets: str | None
    first: int | None
    last: int | None
    positions: dict[int, PositionCard]


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


def within(text: str | None) -> str | None:
    """Return the pattern of what has this text somewhere, None for None: LIKE is quicker than strpos."""
    return None if text is None else f"%{escaped(text)}%"


def escaped(text: str) -> str:
    """Return text as it stands in a pattern."""
    return text.translate(_ESCAPED)


def card(order: Order) -> Card:
    """Return what lists look for in an order."""
    payer = _payer(order.invoice_address) if order.invoice_address else []
    # what stands first is found soonest: what many lists ask for, and nearly all orders have
    words = [_known("p", payment.provider) for payment in order.payments]
    words += (_known("w", order.sales_channel), _known("l", order.locale))
    person = exact("c", order.customer) if order.customer else None
    if person:
        words.append(person)
    code = fold(order.code)
    email = fold(order.email) if order.email else None
    texts = [code, order.email, order.comment, *payer]
    beginnings: dict[str, None] = {}
    dates = []
    positions = {}
    by_id = {position.id: position for position in order.positions} if len(order.positions) > 1 else {}
    for position in order.positions:
        words.append(f"i{position.item}")
        if position.variation is not None:
            words.append(f"v{position.variation}")
        if position.subevent is not None:
            dates.append(position.subevent)
        secret = fold(position.secret)
        if not position.canceled:
            beginnings[secret[:BEGINNING]] = None
            texts += (position.attendee_name, position.attendee_email)
            if position.attendee_name_parts:
                texts += _names(position.attendee_name_parts)
        # the code is first, as lists are ordered by it
        own_words = [f"t{code}", person] if person else [f"t{code}"]
        own_texts = [*payer, position.attendee_name, position.attendee_email]
        if position.attendee_name:
            own_words.append(word("n", position.attendee_name))
        if position.addon_to and (host := by_id.get(position.addon_to)):
            own_texts += (host.attendee_name, host.attendee_email)
            if host.attendee_name:
                own_words.append(word("n", host.attendee_name))
        own_words += (f"t{secret}", f"t{fold(position.pseudonymization_id)}")
        # most tickets have nobody's name
        own_text = _text([order.email, *own_texts]) if any(own_texts) else email or ""
        positions[position.id] = _sized(_joined(own_words), _WORDS_MAX) + _sized(own_text, _TEXT_MAX)
    first, last = (min(dates), max(dates)) if dates else (None, None)
    if first != last:
        words += (f"s{date}" for date in dates if date not in (first, last))
    return Card(
        email,
        *_sized(_joined(dict.fromkeys(words)), _WORDS_MAX),
        *_sized(_text(texts), _TEXT_MAX),
        _sized(PARTING.join(("", *beginnings)), _BEGINNINGS_MAX)[0],
        first,
        last,
        positions,
    )


@lru_cache(maxsize=1024)
def _known(kind: str, text: str) -> str:
    """Return exact() of what few texts are."""
    return exact(kind, text)


def _joined(words: Iterable[str]) -> str:
    return f"{PARTING}{PARTING.join(words)}{PARTING}"


def _sized(text: str, bytes_max: int) -> tuple[str | None, str | None]:
    """Return text as what fits into an index, or as what does not."""
    fits = len(text) <= bytes_max // 4 or len(text.encode()) <= bytes_max
    return (text, None) if fits else (None, text)


def _text(texts: Sequence[str | None]) -> str:
    """Return texts in lines of their own, as they are searched."""
    lines = dict.fromkeys(filter(None, texts))
    text = PARTING.join(lines)
    if text.count(PARTING) >= len(lines):
        text = PARTING.join(map(_plain, lines))
    return text.casefold()


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
