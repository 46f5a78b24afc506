"""The three state machines: which operation may lead from which state to which (docs/states.md draws them).

An operation is named by its path below the order; `create` is POST orders, `expire` is the worker's. A machine maps
each operation to the states it may start from, and each of these to the states it may end in. A state that maps to
itself too: the operation is allowed and may leave the state alone. (spec/facts.md, States, payments, refunds)
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from engine.domain.errors import Invalid
from engine.domain.order import OrderStatus, PaymentState, RefundState

State = TypeVar("State", bound=StrEnum)
Moves = Mapping[State, frozenset[State]]
Machine = Mapping[str, Moves[State]]

_N, _P, _E, _C = OrderStatus.PENDING, OrderStatus.PAID, OrderStatus.EXPIRED, OrderStatus.CANCELED

_MONEY_IN = {_N: frozenset({_N, _P}), _P: frozenset({_P}), _E: frozenset({_E, _P}), _C: frozenset({_C})}
"""Pays a pending or expired order once the total is covered, units are there and it is approved."""

_MONEY_OUT = {_N: frozenset({_N, _C}), _P: frozenset({_N, _P, _C}), _E: frozenset({_E, _C}), _C: frozenset({_C})}
"""Makes a paid order pending again or, if the client says so, cancels the order."""

ORDER_STARTS: Mapping[str, frozenset[OrderStatus]] = {"create": frozenset({_N, _P})}
ORDER: Machine[OrderStatus] = {
    "mark_paid": {_N: frozenset({_N, _P}), _E: frozenset({_E, _P})},
    "mark_pending": {_P: frozenset({_N})},
    "mark_expired": {_N: frozenset({_E})},
    # with a cancellation fee the order lives on, as pending or paid
    "mark_canceled": {state: frozenset({_N, _P, _C}) for state in (_N, _P, _E)},
    "expire": {_N: frozenset({_E})},
    "extend": {_N: frozenset({_N}), _E: frozenset({_N})},
    "reactivate": {_C: frozenset({_N, _P})},
    "approve": {_N: frozenset({_N, _P})},
    "deny": {_N: frozenset({_C})},
    # and each change of a single position; details of attendees may be changed in any state
    "change": {_N: frozenset({_N, _P}), _P: frozenset({_N, _P}), _E: frozenset({_E, _P})},
    "payments": _MONEY_IN,
    "payments/confirm": _MONEY_IN,
    "payments/refund": _MONEY_OUT,
    "refunds": _MONEY_OUT,
    "refunds/process": _MONEY_OUT,
}

_CONFIRMED, _CANCELED, _REFUNDED = PaymentState.CONFIRMED, PaymentState.CANCELED, PaymentState.REFUNDED
OPEN_PAYMENTS = (PaymentState.CREATED, PaymentState.PENDING)
"""Nothing has come in yet, but still may."""

_CLOSE = {state: frozenset({_CANCELED}) for state in OPEN_PAYMENTS}

PAYMENT_STARTS: Mapping[str, frozenset[PaymentState]] = {
    "create": frozenset({PaymentState.CREATED, _CONFIRMED}),
    "payments": frozenset(PaymentState),
    "mark_paid": frozenset({_CONFIRMED}),
    "approve": frozenset({_CONFIRMED}),
    "change": frozenset({_CONFIRMED}),
}
PAYMENT: Machine[PaymentState] = {
    "mark_paid": {state: frozenset({_CONFIRMED, _CANCELED}) for state in OPEN_PAYMENTS},
    # and whatever else cancels an order on the way: refunds with mark_canceled
    "mark_canceled": _CLOSE,
    "payments/confirm": {state: frozenset({_CONFIRMED}) for state in OPEN_PAYMENTS},
    "payments/cancel": _CLOSE,
    "change": _CLOSE,
    "payments/refund": {_CONFIRMED: frozenset({_CONFIRMED})},
    "refunds/done": {_CONFIRMED: frozenset({_CONFIRMED, _REFUNDED})},
    "refunds/process": {_CONFIRMED: frozenset({_CONFIRMED, _REFUNDED})},
}

REFUND_STARTS: Mapping[str, frozenset[RefundState]] = {
    "refunds": frozenset(RefundState),
    "payments/refund": frozenset({RefundState.CREATED}),
    "change": frozenset({RefundState.DONE}),
}
REFUND: Machine[RefundState] = {
    "refunds/done": {state: frozenset({RefundState.DONE}) for state in (RefundState.CREATED, RefundState.TRANSIT)},
    "refunds/process": {RefundState.EXTERNAL: frozenset({RefundState.DONE})},
    "refunds/cancel": {
        state: frozenset({RefundState.CANCELED})
        for state in (RefundState.CREATED, RefundState.TRANSIT, RefundState.EXTERNAL)
    },
}


def guard(machine: Machine[State], operation: str, state: State, refusal: str) -> None:
    """Raise Invalid with `refusal` if `operation` may not start from `state`."""
    if state not in machine[operation]:
        raise Invalid.detail(refusal)
