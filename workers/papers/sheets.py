"""What is on papers, in words that only have to be drawn."""

from __future__ import annotations

from msgspec import Struct

Field = tuple[str, str]
"""A label and what it says."""


class Ticket(Struct, frozen=True):
    """One ticket. `secret` is its QR code, `when` and `where` are of the event or of its date.

    `seat` tells a seat in parts, `fields` are all that else is known, the most important first.
    """

    secret: str
    number: str
    product: str
    when: str
    where: str
    seat: list[Field]
    fields: list[Field]


class Tickets(Struct, frozen=True):
    """The tickets of one file, a page each; `test` is what is written across those that are not valid."""

    event: str
    slug: str
    footer: str
    test: str
    tickets: list[Ticket]
