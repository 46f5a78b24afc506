"""What is told of cart positions: the resource, and the replies to a request for some (spec/cartpositions.txt)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from msgspec import Struct

from engine.domain import cart, names
from engine.domain.catalogue import Event, Product, SeatPlace
from engine.domain.errors import Invalid
from engine.domain.order import Answer
from engine.http.call import Reply, reply
from engine.sales.holds import Held, Outcome, SeatTaken, Short, StoredHold, UsedUp
from engine.sales.refusals import seat_taken

_USED_UP: dict[str, Any] = {"voucher": ["The specified voucher has already been used the maximum number of times."]}
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""Stands for an instant that the ledger is still to decide."""
_MS = dt.timedelta(milliseconds=1)


class CartPositionBody(Struct, gc=False):
    """The cart position resource."""

    id: int
    cart_id: str
    item: int
    variation: int | None
    price: Decimal
    attendee_name: str | None
    attendee_name_parts: dict[str, Any]
    attendee_email: str | None
    subevent: int | None
    datetime: dt.datetime
    expires: dt.datetime
    answers: tuple[Answer, ...]
    voucher: int | None = None
    addon_to: int | None = None
    is_bundled: bool = False
    includes_tax: bool = True
    seat: SeatPlace | None = None


class NewCartPositionBody(CartPositionBody, gc=False):
    """What creating one answers: its add-ons and bundled positions too."""

    addons: tuple[CartPositionBody, ...] = ()
    bundled: tuple[CartPositionBody, ...] = ()


class BulkRow(Struct, gc=False):
    """One row of what bulk_create answers, in the order of the request."""

    success: bool
    errors: Any
    data: NewCartPositionBody | None


class BulkBody(Struct):
    """What bulk_create answers."""

    results: tuple[BulkRow, ...]


Body = TypeVar("Body", bound=CartPositionBody)


class CartRow(Struct, frozen=True, gc=False):
    """One position that a request asks for, with those that belong to it: what is wrong, or what will be told of it.

    `position` still lacks what the ledger decides; `short` says for each of its quotas that there is no room.
    """

    errors: Any = None
    position: NewCartPositionBody | None = None
    short: dict[int, str] = {}

    def held(self, outcome: Held) -> NewCartPositionBody:
        """Complete the position now that it is held, and return it; ids count on from its own, in the group's order."""
        body = self.position
        assert body is not None
        body.id = first = outcome.ids[0]
        body.datetime, body.expires = _instant(outcome.created_ms), _instant(outcome.deadline_ms)
        if body.addons or body.bundled:
            for number, child in enumerate((*body.addons, *body.bundled), first + 1):
                child.id, child.addon_to = number, first
                child.datetime, child.expires = body.datetime, body.expires
        return body

    def refusal(self, outcome: Short | SeatTaken | UsedUp) -> dict[str, Any] | list[str]:
        """Return why the position is not held: of its quotas in a bare list."""
        if isinstance(outcome, Short):
            return [self.short[outcome.quota]]
        if isinstance(outcome, UsedUp):
            return _USED_UP
        assert self.position is not None
        assert self.position.seat is not None
        return {"seat": [seat_taken(self.position.seat.name)]}

    def result(self, outcomes: Iterator[Outcome], seats: set[int]) -> BulkRow:
        """Return the row of a bulk reply; only rows that were tried have an outcome.

        `seats` are the ids of those that went to rows before; this row's is added.
        """
        if self.position is None:
            return BulkRow(False, self.errors, None)
        outcome = next(outcomes)
        seat = self.position.seat.id if self.position.seat else 0
        if isinstance(outcome, Held):
            seats.add(seat)
            return BulkRow(True, None, self.held(outcome))
        errors = self.refusal(outcome)
        if isinstance(outcome, SeatTaken) and seat in seats:
            errors = ["You can not select the same seat multiple times."]
        told = {"non_field_errors": errors} if isinstance(errors, list) else errors
        return BulkRow(False, told, None)


class CartReply(Struct, frozen=True, tag="cart"):
    """The reply to a request for positions but for what the ledger decides. Plain data, so that it can be kept."""

    rows: list[CartRow]
    bulk: bool

    def filled(self, outcomes: Iterable[Outcome]) -> Reply:
        """Return the whole reply. Raises Invalid if the only position is not held."""
        decided = iter(outcomes)
        if self.bulk:
            seats: set[int] = set()
            return reply({"results": [row.result(decided, seats) for row in self.rows]})
        [row], [outcome] = self.rows, decided
        if not isinstance(outcome, Held):
            raise Invalid(row.refusal(outcome))
        return reply(row.held(outcome), 201)


def stored_body(event: Event, hold: StoredHold) -> CartPositionBody:
    """Return the resource of a hold."""
    seat = event.seats.by_name.get((hold.product[2], hold.seat)) if hold.seat else None
    return cart_body(
        CartPositionBody,
        event,
        cart.decode(hold.payload),
        hold_id=hold.id,
        cart_id=hold.cart_id,
        product=hold.product,
        created=_instant(hold.created_ms),
        expires=_instant(hold.deadline_ms),
        addon_to=hold.parent or None,
        voucher=hold.voucher or None,
        seat=seat.place if seat else None,
    )


def cart_body(
    kind: type[Body],
    event: Event,
    position: cart.CartPosition,
    *,
    hold_id: int,
    cart_id: str,
    product: Product,
    created: dt.datetime,
    expires: dt.datetime,
    addon_to: int | None = None,
    voucher: int | None = None,
    seat: SeatPlace | None = None,
) -> Body:
    """Return the resource of a position, held or about to be."""
    item, variation, subevent = product
    return kind(
        id=hold_id,
        cart_id=cart_id,
        item=item,
        variation=variation or None,
        price=position.price,
        attendee_name=names.attendee_name(position.attendee_name_parts, event),
        attendee_name_parts=position.attendee_name_parts,
        attendee_email=position.attendee_email,
        subevent=subevent or None,
        datetime=created,
        expires=expires,
        answers=position.answers,
        addon_to=addon_to,
        voucher=voucher,
        is_bundled=position.is_bundled,
        includes_tax=position.includes_tax,
        seat=seat,
    )


def milliseconds(moment: dt.datetime) -> int:
    """Return an instant as the ledger takes it."""
    return (moment - EPOCH) // _MS


@lru_cache(maxsize=256)
def _instant(ms: int) -> dt.datetime:
    return EPOCH + ms * _MS
