"""What webhooks are told of, from two versions of an order."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from msgspec.structs import replace
from sample_orders import EVENT, NOW, fee, order, position
from sample_orders import refunds as given_back

from engine.domain import order_changes, payments, refunds
from engine.domain.order import Checkin, InvoiceAddress, Mail, MailKind, OrderStatus, SeatPlace
from engine.domain.order_actions import ACTION_TYPES, actions

N, P, E, C = OrderStatus.PENDING, OrderStatus.PAID, OrderStatus.EXPIRED, OrderStatus.CANCELED


def names(before, after, **options):
    return [action.name.removeprefix("pretix.event.order.") for action in actions(before, after, **options)]


def by(rule, before):
    return names(before, rule(before, EVENT, NOW).order)


def test_a_new_order_is_placed_and_may_be_paid_at_once():
    new = order()
    assert names(None, new) == ["placed"]
    assert names(None, replace(new, require_approval=True)) == ["placed", "placed.require_approval"]
    assert names(None, payments.mark_paid(new, EVENT, NOW).order) == ["placed", "payment.confirmed", "paid"]
    assert names(None, new, split=True) == ["changed.split_from"]
    assert names(new, None) == ["deleted"]
    assert names(None, None) == []


def test_nothing_is_told_of_what_has_not_changed():
    new = order()
    assert names(new, replace(new, version=9, last_modified=NOW, comment="x", api_meta={"a": 1})) == []


def test_states_are_told():
    pending = order()
    paid = payments.mark_paid(pending, EVENT, NOW).order
    assert by(payments.mark_paid, pending) == ["payment.confirmed", "paid"]
    assert by(order_changes.mark_expired, pending) == ["expired"]
    assert by(order_changes.mark_canceled(None, 1), pending) == ["canceled"]
    assert by(order_changes.mark_canceled(Decimal(5), 1), paid) == ["canceled"]
    assert by(order_changes.mark_canceled(Decimal(5), 1), pending) == ["canceled"]
    assert by(order_changes.reactivate, replace(pending, status=C)) == ["reactivated"]
    assert by(order_changes.reactivate, replace(paid, status=C)) == ["reactivated", "paid"]
    later = order_changes.extend(dt.date(2032, 1, 1), force=False)
    assert by(later, pending) == by(later, replace(pending, status=E)) == ["expirychanged"]
    assert by(order_changes.mark_pending, paid) == []


def test_approval_is_told_and_denial_apart_from_cancellation():
    asking = replace(order(), require_approval=True)
    denied = order_changes.deny(asking, EVENT, NOW).order
    assert by(order_changes.approve, asking) == ["approved"]
    assert by(order_changes.approve, replace(asking, total=Decimal(0), payments=())) == [
        "approved",
        "payment.confirmed",
        "paid",
    ]
    assert names(asking, denied) == ["denied"]
    assert names(asking, replace(denied, mails=(Mail(2, MailKind.CANCELED),))) == ["canceled"]
    due = payments.add(state="created", provider="manual", amount=Decimal(5), info={})(asking, EVENT, NOW).order
    assert by(order_changes.deny, due) == ["denied"]
    assert by(order_changes.mark_canceled(None, 1), due) == ["canceled"]


def test_what_a_buyer_has_said_is_told():
    before = order()
    first, *rest = before.positions
    assert names(before, replace(before, email="x@example.org")) == ["contact.changed"]
    assert names(before, replace(before, phone="+49")) == ["contact.changed"]
    assert names(before, replace(before, invoice_address=InvoiceAddress(NOW))) == ["modified"]
    named = replace(first, attendee_name_parts={"full_name": "X"}, attendee_name="X")
    assert names(before, replace(before, positions=(named, *rest))) == ["modified"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"price": Decimal(1)}, ["price"]),
        ({"item": 8, "variation": 9}, ["item"]),
        ({"subevent": 3}, ["subevent"]),
        ({"seat": SeatPlace(1, "a", "Z", "1", None, "1", None, "a")}, ["seat"]),
        ({"tax_rule": 3}, ["tax_rule"]),
        ({"secret": "x"}, ["secret"]),
        ({"valid_from": NOW, "valid_until": NOW}, ["valid_from", "valid_until"]),
        ({"blocked": ("admin",)}, ["add_block"]),
        ({"canceled": True}, ["cancel"]),
    ],
)
def test_changes_of_positions_are_told_and_asked_for_together(fields, told):
    before = replace(order(), positions=(position(1), position(2)))
    after = replace(before, positions=(replace(before.positions[0], **fields), before.positions[1]))
    assert names(before, after) == [f"changed.{name}" for name in told]
    assert {action.type for action in actions(before, after)} == {"pretix.event.order.changed.*"}


def test_positions_and_fees_that_come_and_go_are_told():
    one = replace(order(), positions=(position(1),), fees=(fee(1, "2.00"),))
    two = replace(one, positions=(position(1), position(2), position(3)))
    assert names(one, two) == ["changed.add"]
    assert names(two, one) == ["changed.split"]
    assert names(one, replace(one, fees=(fee(1, "3.00"), fee(2, "1.00")))) == ["changed.feevalue", "changed.addfee"]
    assert names(one, replace(one, fees=(replace(fee(1, "2.00"), canceled=True),))) == ["changed.cancelfee"]


def test_refunds_are_told():
    paid = payments.mark_paid(order(), EVENT, NOW).order

    def with_refund(state):
        return replace(paid, refunds=given_back((state, "1.00", 1)))

    created = with_refund("created")
    assert names(paid, created) == ["refund.created"]
    assert names(paid, with_refund("external")) == ["refund.created.externally"]
    assert names(paid, with_refund("done")) == ["refund.created", "refund.done"]
    assert names(paid, replace(created, status=C)) == ["refund.created", "canceled"]
    assert names(created, with_refund("failed")) == ["refund.failed"]
    number = created.refunds[-1].local_id
    assert by(refunds.done(number), created) == ["refund.done"]
    assert by(refunds.cancel(number), created) == ["refund.canceled"]


def test_a_scan_says_which_ticket_and_which_list():
    before = replace(order(), positions=(position(1),))
    scanned = replace(position(1), checkins=(Checkin(5, 7, NOW, "entry"),))
    [action] = actions(before, replace(before, positions=(scanned,)))
    assert action.name == action.type == "pretix.event.checkin"
    assert action.details == {"orderposition_id": 101, "orderposition_positionid": 1, "checkin_list": 7}


def test_all_that_is_told_can_be_asked_for():
    assert len(set(ACTION_TYPES)) == len(ACTION_TYPES)
    new = order()
    told = actions(None, replace(new, require_approval=True)) + actions(new, None) + actions(None, new, split=True)
    assert {action.type for action in told} <= set(ACTION_TYPES)
