"""Check-ins: who may come in or go out by a check-in list, and what that does to a ticket (spec/catalogue.md).

Whoever has left for good gives the place back in quotas that say so (spec/facts.md, Quota numbers).
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from engine.domain.catalogue import Event
from engine.domain.errors import HoldfastError
from engine.domain.next import Next, Rule
from engine.domain.order import Checkin, Order, OrderStatus, Position

ENTRY, EXIT = "entry", "exit"


class CheckinList(Struct, frozen=True):
    """`include_pending` lets tickets in that are not paid, `limit_products` are item ids unless `all_products`."""

    id: int
    name: str
    all_products: bool
    limit_products: frozenset[int]
    subevent: int | None
    include_pending: bool
    allow_multiple_entries: bool
    allow_entry_after_exit: bool


class Turned(HoldfastError):
    """A scan is refused: `reason` in pretix's words, and the order and position that were scanned."""

    def __init__(self, reason: str, order: Order, position: Position) -> None:
        super().__init__(reason)
        self.reason, self.order, self.position = reason, order, position


class Scan(Struct, frozen=True):
    """`moment` is when it happened, None for now; `id` is the check-in's to be.

    A scan with the `nonce` of one that has been taken down is that one, sent again.
    """

    id: int
    position: int
    type: str
    moment: datetime | None
    force: bool
    ignore_unpaid: bool
    nonce: str = ""


def scanned(scan: Scan, by: CheckinList) -> Rule:
    """Return the rule that adds a check-in to a position. It raises Turned."""

    def rule(order: Order, event: Event, now: datetime) -> Next:
        position = next(p for p in order.positions if p.id == scan.position)
        if scan.nonce and any((c.list, c.nonce) == (by.id, scan.nonce) for c in position.checkins):
            return Next(order)
        if reason := _refusal(scan, by, order, position, now):
            raise Turned(reason, order, position)
        checkin = Checkin(scan.id, by.id, scan.moment or now, scan.type, by.allow_entry_after_exit, scan.nonce)
        checkins = tuple(sorted((*position.checkins, checkin), key=lambda c: (c.datetime, c.id), reverse=True))
        after = replace(position, checkins=checkins, has_left=has_left(checkins))
        positions = tuple(after if p.id == after.id else p for p in order.positions)
        # whoever comes back does so whether or not the place has been sold since
        return Next(replace(order, positions=positions), force=True)

    return rule


def _refusal(scan: Scan, by: CheckinList, order: Order, position: Position, now: datetime) -> str | None:
    if position.canceled or order.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
        return "canceled"
    if scan.force:
        return None
    if position.blocked:
        return "blocked"
    if not by.all_products and position.item not in by.limit_products:
        return "product"
    if by.subevent is not None and position.subevent != by.subevent:
        return "product"
    if scan.type == EXIT:
        return None
    moment = scan.moment or now
    if (position.valid_from and position.valid_from > moment) or (
        position.valid_until and position.valid_until < moment
    ):
        return "invalid_time"
    if order.require_approval:
        return "unapproved"
    may_be_pending = order.valid_if_pending or (by.include_pending and scan.ignore_unpaid)
    if order.status is not OrderStatus.PAID and not may_be_pending:
        return "unpaid"
    earlier = [checkin for checkin in position.checkins if checkin.list == by.id]
    left = bool(earlier) and by.allow_entry_after_exit and earlier[0].type == EXIT
    return "already_redeemed" if earlier and not by.allow_multiple_entries and not left else None


def has_left(checkins: tuple[Checkin, ...]) -> bool:
    """Tell whether the last exit is later than the last entry, of lists that let nobody in again."""
    final = [checkin for checkin in checkins if not checkin.reentry]
    exits = [checkin.datetime for checkin in final if checkin.type == EXIT]
    entries = [checkin.datetime for checkin in final if checkin.type == ENTRY]
    return bool(exits and entries) and max(exits) > max(entries)
