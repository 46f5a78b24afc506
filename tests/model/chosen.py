"""What Hypothesis chooses from: products, quotas, seats, vouchers and carts of the two events."""

from __future__ import annotations

import sample_events
from hall import RESERVED, RESERVING, USAGES
from hypothesis import strategies as st
from msgspec.structs import replace
from sample_events import product, quota, voucher

from engine.ledger.values import VoucherUse

NUMBERS = (1, 2, (9, 91))
"""What is sold by the quotas that come and go; item 3 is always for sale, without limit."""
DATES = (5, 6)
DATED = tuple((*product(number)[:2], date) for number in NUMBERS for date in DATES)
"""The same on a date of a series, with quotas and seats of that date."""
CARTS = ("a", "a1", "a-b", "ü|:")
SEATS = ("A", "B", "C ü|", "D")
EVERYTHING = quota(90, None, 3)
KEEPING = voucher(RESERVING, RESERVED[0], usages=USAGES[RESERVING])

indexes = st.integers(0, 99)
halls = st.sampled_from((0, 1))
sizes = st.one_of(st.none(), st.integers(0, 7))
numbers = st.sampled_from((*NUMBERS, *NUMBERS, *DATED, 3))
specs = st.tuples(
    sizes,
    st.lists(st.sampled_from(NUMBERS), unique=True, min_size=1),
    st.booleans(),
    st.sampled_from((None, None, *DATES)),
)
some_seats = st.lists(st.sampled_from(("", "", *SEATS)), max_size=3)
groups = st.tuples(
    st.lists(numbers, min_size=1, max_size=4),
    some_seats,
    st.sampled_from(CARTS),
    st.sampled_from(("long", "long", "soon", "soon", "past")),
    st.booleans(),
    st.sampled_from((0, 0, *USAGES)),
)


def event(*quotas, **fields):
    """Return an event with a voucher that keeps units free."""
    return sample_events.event(*quotas, reserving=(KEEPING,), **fields)


def with_voucher(of, number):
    """Return a group, or an order, whose first position has a voucher; the reserving one only fits its product."""
    first = of.positions[0]
    made_for = getattr(first, "product", None) or (first.item, first.variation or 0, first.subevent or 0)
    if not number or (number == RESERVING and made_for != RESERVED):
        return of
    use = VoucherUse(number, USAGES[number], number == RESERVING) if hasattr(first, "product") else number
    return replace(of, positions=type(of.positions)([replace(first, voucher=use), *of.positions[1:]]))
