"""Whatever is done to an order in whatever sequence: no cent appears, disappears or changes its mind."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from sample_orders import EVENT, NOW, changed, order

from engine.domain import order_changes, payments, refunds
from engine.domain.errors import Refused
from engine.domain.order import OrderStatus, PaymentState, RefundState

amounts = st.decimals("0.00", "60.00", places=2)
numbers = st.integers(1, 6)
actions = st.one_of(
    st.builds(lambda: ("mark_paid", payments.mark_paid)),
    st.builds(lambda: ("mark_pending", order_changes.mark_pending)),
    st.builds(lambda: ("mark_expired", order_changes.mark_expired)),
    st.builds(lambda: ("reactivate", order_changes.reactivate)),
    st.builds(lambda: ("approve", order_changes.approve)),
    st.builds(lambda fee: ("mark_canceled", order_changes.mark_canceled(fee, 9)), st.none() | amounts),
    st.builds(
        lambda state, amount: (
            "payments",
            payments.add(state=state, provider="banktransfer", amount=amount, info={}),
        ),
        st.sampled_from([PaymentState.CREATED, PaymentState.PENDING, PaymentState.CONFIRMED]),
        amounts,
    ),
    st.builds(lambda n: ("confirm", payments.confirm(n, force=False)), numbers),
    st.builds(lambda n: ("cancel payment", payments.cancel(n)), numbers),
    st.builds(
        lambda n, amount, cancel: ("refund", refunds.refund_payment(n, amount, mark_canceled=cancel)),
        numbers,
        st.none() | amounts,
        st.booleans(),
    ),
    st.builds(
        lambda state, amount, payment, cancel, pend: (
            "refunds",
            refunds.add(
                mark_canceled=cancel,
                mark_pending=pend,
                payment=payment,
                state=state,
                source="admin",
                amount=amount,
                provider="manual",
            ),
        ),
        st.sampled_from([RefundState.CREATED, RefundState.TRANSIT, RefundState.EXTERNAL]),
        amounts,
        st.none() | numbers,
        st.booleans(),
        st.booleans(),
    ),
    st.builds(lambda n: ("done", refunds.done(n)), numbers),
    st.builds(lambda n, cancel: ("process", refunds.process(n, mark_canceled=cancel)), numbers, st.booleans()),
    st.builds(lambda n: ("cancel refund", refunds.cancel(n)), numbers),
)
orders = st.builds(
    lambda approval, total: order(total=total, require_approval=approval, paid=[("created", total, "banktransfer")]),
    st.booleans(),
    st.sampled_from(["0.00", "23.00", "47.11"]),
)


def books(current):
    """Return what the payments and refunds say, recounted apart from the rules."""
    came = sum((p.amount for p in current.payments if p.state in ("confirmed", "refunded")), Decimal(0))
    went = sum((r.amount for r in current.refunds if r.state in ("created", "transit", "done")), Decimal(0))
    return came - went


@given(orders, st.lists(st.tuples(actions, st.booleans()), max_size=25))
def test_money_is_conserved_and_explains_the_state(current, sequence):
    for (name, rule), sold_out in sequence:
        try:
            done = rule(current, EVENT, NOW)
        except Refused:
            continue
        entering = current.status in ("e", "c") and done.order.status in ("n", "p")
        if sold_out and entering and any(not p.canceled for p in done.order.positions):
            after = done.if_sold_out or current
            assert after.status == current.status
        else:
            after = done.order
        assert_bookings_only_grow(current, after)
        live = sum((p.price for p in after.positions if not p.canceled), Decimal(0))
        assert after.total == live + sum((f.value for f in after.fees if not f.canceled), Decimal(0))
        assert after.total.as_tuple().exponent == -2
        assert payments.received(after) == books(after)
        if after.status is OrderStatus.PAID and current.status is not OrderStatus.PAID:
            assert books(after) >= after.total, f"{name} paid an order that is not covered"
            # only a canceled order comes back without approval, or what is left of one is a fee
            assert not after.require_approval or name in ("reactivate", "mark_canceled")
        if name in ("refund", "process") and after.status is OrderStatus.PAID:
            assert books(after) >= after.total, f"{name} left an order paid that owes"
        if books(after) != books(current):
            assert changed(current, after) & {"payments", "refunds"}
        current = after


def assert_bookings_only_grow(before, after):
    """Amounts, numbers and payers of what is booked never change; only states move."""
    for old, new in ((before.payments, after.payments), (before.refunds, after.refunds)):
        assert [b.local_id for b in new] == list(range(1, len(new) + 1))
        assert len(new) >= len(old)
        for one, other in zip(old, new, strict=False):
            assert (one.amount, one.provider, one.created) == (other.amount, other.provider, other.created)
