"""New secrets for tickets, and blocks on them (spec/orders.txt, Generating new secrets; spec/facts.md, Secrets)."""

from __future__ import annotations

import datetime as dt

from msgspec.structs import replace

from engine.domain import codes
from engine.domain.catalogue import Event
from engine.domain.next import Next, Rule
from engine.domain.order import BlockedSecret, Order
from engine.domain.order_contents import find, with_position


def regenerate_all(order: Order, event: Event, now: dt.datetime) -> Next:
    """Give the order and all of its live positions new secrets."""
    positions = tuple(p if p.canceled else replace(p, secret=codes.ticket_secret()) for p in order.positions)
    return Next(replace(order, secret=codes.order_secret(), positions=positions))


def regenerate(position_id: int) -> Rule:
    """Return the rule that gives one position a new secret."""

    def rule(order: Order, event: Event, now: dt.datetime) -> Next:
        return Next(with_position(order, replace(find(order, position_id), secret=codes.ticket_secret())))

    return rule


def add_block(position_id: int, name: str) -> Rule:
    """Return the rule that blocks a ticket for the reason `name`, and puts its secret on record."""

    def rule(order: Order, event: Event, now: dt.datetime) -> Next:
        position = find(order, position_id)
        names = position.blocked or ()
        if name in names:
            return Next(order)
        blocked = with_position(order, replace(position, blocked=(*names, name)))
        record = BlockedSecret(position.secret, blocked=True, updated=now)
        return Next(_recorded(blocked, record))

    return rule


def remove_block(position_id: int, name: str) -> Rule:
    """Return the rule that takes one reason away; with the last one the secret is good again."""

    def rule(order: Order, event: Event, now: dt.datetime) -> Next:
        position = find(order, position_id)
        left = tuple(other for other in position.blocked or () if other != name)
        freed = with_position(order, replace(position, blocked=left or None))
        if left or freed == order or all(r.secret != position.secret for r in order.blocked_secrets):
            return Next(freed)
        return Next(_recorded(freed, BlockedSecret(position.secret, blocked=False, updated=now)))

    return rule


def _recorded(order: Order, record: BlockedSecret) -> Order:
    others = tuple(other for other in order.blocked_secrets if other.secret != record.secret)
    return replace(order, blocked_secrets=(*others, record))
