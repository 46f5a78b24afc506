"""Changing what an order contains: its positions, their prices and taxes, its fees; all in one step.

Positions and fees that are canceled stay in the order. What the order owes afterwards decides on its status
(spec/orders.txt, Changing order contents; spec/facts.md, States, payments, refunds).
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from engine.domain import codes, payments, states, tax
from engine.domain.catalogue import Event, TaxRule
from engine.domain.errors import Invalid, NotFound
from engine.domain.money import AMOUNT_MAX, ZERO
from engine.domain.names import attendee_name
from engine.domain.new_order import Line, position_of
from engine.domain.next import FULL, Next, Rule, seat_taken
from engine.domain.order import Fee, InvoiceAddress, Order, OrderStatus, Position
from engine.domain.order_changes import pending_again
from engine.domain.pricing import sold_on
from engine.domain.splitting import SplitOff, split

EMPTIED = "This operation would leave the order empty. Please cancel the order itself instead."
NOT_CHANGEABLE = "Only pending or paid orders can be changed."
NEEDS_BASE = "This is an add-on product, please select the base position it should be added to."
WRONG_BASE = "The selected base position does not allow you to add this product as an add-on."
NOT_ON_DATE = "The selected product is not available on this date."
TOO_LARGE = "The amounts of this order are too large."

POSITIONS_MAX = 500
TOO_MANY = f"Orders cannot have more than {POSITIONS_MAX} positions."

_CONTENTS = frozenset({"item", "variation", "subevent", "seat", "price", "tax_rule", "valid_from", "valid_until"})
_PRODUCT = frozenset({"item", "variation", "subevent"})

Recalculation = Literal["keep_net", "keep_gross"]


class PositionPatch(Struct, frozen=True):
    """New values for a position, by the names of Position: ids for item, variation, subevent and tax_rule."""

    position: int
    values: dict[str, Any]


class Changes(Struct, frozen=True):
    """What to do. Positions and fees are named by id, the base of an addition by its positionid.

    What is canceled is neither patched nor split off. `first_id` is the first of as many position ids as there are
    additions.
    """

    cancel: tuple[int, ...] = ()
    patch: tuple[PositionPatch, ...] = ()
    leaving: tuple[int, ...] = ()
    split_off: SplitOff | None = None
    create: tuple[Line, ...] = ()
    first_id: int = 0
    cancel_fees: tuple[int, ...] = ()
    fee_values: dict[int, Decimal] = {}
    recalculate: Recalculation | None = None

    @property
    def of_contents(self) -> bool:
        """Whether more than the details of attendees is to change."""
        rest = self.cancel, self.leaving, self.create, self.cancel_fees, self.fee_values, self.recalculate
        return any(rest) or any(_CONTENTS & patch.values.keys() for patch in self.patch)


def find(order: Order, position_id: int) -> Position:
    """Return a live position. Raises NotFound."""
    for position in order.positions:
        if position.id == position_id and not position.canceled:
            return position
    raise NotFound


def changed(changes: Changes) -> Rule:
    """Return the rule that makes all changes at once. It raises NotFound for an id that the order does not have."""

    def rule(order: Order, event: Event, now: dt.datetime) -> Next:
        after = _canceled(order, changes.cancel)
        for patch in changes.patch:
            if patch.position not in changes.cancel:
                after = with_position(after, _patched(find(after, patch.position), patch.values, order, event))
        for offset, line in enumerate(changes.create):
            after = _added(after, line, changes.first_id + offset, event, now)
        _refuse_same_seats(after)
        after = _with_fees(after, changes, event)
        if changes.recalculate:
            after = _with_new_taxes(after, changes.recalculate, event)
        after = _totaled(after)
        leaving = [position for position in changes.leaving if position not in changes.cancel]
        if after == order and not leaving:
            return Next(order)
        if changes.of_contents and order.status not in states.ORDER["change"]:
            raise Invalid([NOT_CHANGEABLE])
        if not leaving:
            _refuse_empty(order, after)
            return _judged(order, after, event, now)
        for position in leaving:
            find(after, position)
        assert changes.split_off is not None
        unsplit = _judged(order, after, event, now, keep_expired=True).order
        staying, new = split(unsplit, leaving, changes.split_off, event, now)
        _refuse_empty(order, staying)
        return Next(staying, split_off=new, shortage=FULL)

    return rule


def _refuse_empty(before: Order, after: Order) -> None:
    if any(not p.canceled for p in before.positions) and all(p.canceled for p in after.positions):
        raise Invalid([EMPTIED])


def _refuse_same_seats(order: Order) -> None:
    seen: set[tuple[int | None, str]] = set()
    for position in order.positions:
        if position.seat and not position.canceled:
            if (position.subevent, position.seat.seat_guid) in seen:
                raise seat_taken(position.seat.name)
            seen.add((position.subevent, position.seat.seat_guid))


def _judged(before: Order, after: Order, event: Event, now: dt.datetime, *, keep_expired: bool = False) -> Next:
    """Return what comes next once the total has changed: dearer may have to be paid again, cheaper may be paid now.

    An expired order that is paid now needs its units again; without them it stays expired.
    """
    if after.total == before.total:
        return Next(after, shortage=FULL)
    if after.status is OrderStatus.PAID:
        dearer = after.total > before.total and payments.owed(after) > 0
        return Next(pending_again(after, event, now) if dearer else after, shortage=FULL)
    unpaid = payments.without_open_payments(after)
    paid = payments.settled(after)
    if after.total > before.total or paid.status is not OrderStatus.PAID:
        return Next(unpaid, shortage=FULL)
    if not after.total:
        paid = payments.freed(paid, now)
    if after.status is OrderStatus.EXPIRED:
        return Next(unpaid) if keep_expired else Next(paid, if_sold_out=unpaid, sold_out_is_fine=True)
    return Next(paid, shortage=FULL)


def _totaled(order: Order) -> Order:
    live = [position for position in order.positions if not position.canceled]
    if len(live) > POSITIONS_MAX:
        raise Invalid([TOO_MANY])
    charged = [fee.value for fee in order.fees if not fee.canceled]
    amounts = [*(position.price for position in live), *charged]
    total = sum(amounts, ZERO)
    if any(abs(amount) > AMOUNT_MAX for amount in (total, *amounts)):
        raise Invalid([TOO_LARGE])
    return replace(order, total=total)


# ---------------------------------------------------------------------------------------------------------- positions


def with_position(order: Order, position: Position) -> Order:
    """Return the order with `position` in place of the one with its id."""
    return replace(order, positions=tuple(position if p.id == position.id else p for p in order.positions))


def _canceled(order: Order, gone: tuple[int, ...]) -> Order:
    """Return the order without some positions; add-ons go with their base."""
    if not gone:
        return order
    for position_id in gone:
        find(order, position_id)
    return replace(
        order,
        positions=tuple(
            replace(p, canceled=True) if p.id in gone or p.addon_to in gone else p for p in order.positions
        ),
    )


def _patched(position: Position, values: dict[str, Any], order: Order, event: Event) -> Position:
    """Return the position with new values; another product brings its tax rule, and keeps the price."""
    after = replace(position, **values)
    if "attendee_name_parts" in values:
        after = replace(after, attendee_name=attendee_name(after.attendee_name_parts, event))
    if any(getattr(after, name) != getattr(position, name) for name in _PRODUCT):
        _refuse_unsellable(after, event)
    product_changed = (after.item, after.variation) != (position.item, position.variation)
    if product_changed and "tax_rule" not in values:
        after = replace(after, tax_rule=event.items[after.item].tax_rule)
    if product_changed or (after.price, after.tax_rule) != (position.price, position.tax_rule):
        after = _taxed(after, order.invoice_address, event)
    return after


def _taxed(position: Position, address: InvoiceAddress | None, event: Event) -> Position:
    """Return the position with the tax that its price contains by its rule."""
    rule = event.tax_rules.get(position.tax_rule or 0)
    taxed = tax.of_given(position.price, rule, address, event.currency)
    return replace(position, tax_rate=taxed.rate, tax_value=taxed.tax)


def _added(order: Order, line: Line, position_id: int, event: Event, now: dt.datetime) -> Order:
    base = None
    if line.addon_to is not None:
        base = next((p for p in order.positions if p.positionid == line.addon_to and not p.canceled), None)
        if base is None:
            raise NotFound
        allowed = event.items[base.item].addon_categories if base.item in event.items else frozenset()
        if line.item.category not in allowed:
            raise Invalid([WRONG_BASE])
    elif line.item.is_addon:
        raise Invalid([NEEDS_BASE])
    number = max(order.positionid_gone, *(p.positionid for p in order.positions), 0) + 1
    priced = position_of(replace(line, positionid=number), event, order.invoice_address, now)
    position = replace(
        priced,
        id=position_id,
        addon_to=base.id if base else None,
        secret=codes.ticket_secret(),
        pseudonymization_id=codes.pseudonymization_id(),
    )
    _refuse_unsellable(position, event)
    return replace(order, positions=(*order.positions, position))


def _refuse_unsellable(position: Position, event: Event) -> None:
    """Refuse a product that no date or no quota lets be sold. Raises Invalid."""
    product = (position.item, position.variation or 0, position.subevent or 0)
    item = event.items[position.item]
    if not sold_on(item, item.variations.get(product[1]), event.subevents.get(product[2])):
        raise Invalid([NOT_ON_DATE])
    if not event.quotas_of(product):
        raise FULL.units(event, product, 0)


# ------------------------------------------------------------------------------------------------------ fees and taxes


def _with_fees(order: Order, changes: Changes, event: Event) -> Order:
    """Return the order with fees canceled and given new values, taxed by the rule that each has."""
    known = {fee.id for fee in order.fees if not fee.canceled}
    if not known.issuperset((*changes.cancel_fees, *changes.fee_values)):
        raise NotFound

    def after(fee: Fee) -> Fee:
        if fee.id in changes.cancel_fees:
            return replace(fee, canceled=True)
        if fee.id not in changes.fee_values:
            return fee
        value = changes.fee_values[fee.id]
        taxed = tax.of_given(value, event.tax_rules.get(fee.tax_rule or 0), order.invoice_address, event.currency)
        return replace(fee, value=taxed.gross, tax_rate=taxed.rate, tax_value=taxed.tax)

    return replace(order, fees=tuple(after(fee) for fee in order.fees))


def _with_new_taxes(order: Order, keep: Recalculation, event: Event) -> Order:
    """Return the order with the rates that rules and invoice address ask for now; what costs nothing is left alone."""

    def taxed(gross: Decimal, old: Decimal, value: Decimal, rule: TaxRule | None) -> tax.Taxed | None:
        rate = rule.rate if rule and tax.applies(rule, order.invoice_address) else ZERO
        if rule is None or rate == old or not gross:
            return None
        if keep == "keep_net":
            return tax.of_net(gross - value, rate, event.currency)
        return tax.of_gross(gross, rate, event.currency)

    def position(old: Position) -> Position:
        new = taxed(old.price, old.tax_rate, old.tax_value, event.tax_rules.get(old.tax_rule or 0))
        if old.canceled or new is None:
            return old
        return replace(old, price=new.gross, tax_rate=new.rate, tax_value=new.tax)

    def fee(old: Fee) -> Fee:
        new = taxed(old.value, old.tax_rate, old.tax_value, event.tax_rules.get(old.tax_rule or 0))
        return (
            old if old.canceled or new is None else replace(old, value=new.gross, tax_rate=new.rate, tax_value=new.tax)
        )

    return replace(order, positions=tuple(position(p) for p in order.positions), fees=tuple(fee(f) for f in order.fees))
