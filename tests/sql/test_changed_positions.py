"""A change of an order writes those of its positions that it changes, and leaves all others as they lie there."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from batches import fresh, step, write
from psycopg.rows import dict_row
from sample_events import NOW, following

from engine.domain.catalogue import SeatPlace
from engine.domain.order import Checkin

pytestmark = pytest.mark.usefixtures("marks")

CHANGES = {
    "item": 7,
    "variation": 91,
    "subevent": 5,
    "price": Decimal("11.00"),
    "tax_value": Decimal("1.60"),
    "canceled": True,
    "secret": "Another",
    "addon_to": 4711,
    "voucher": 8,
    "voucher_budget_use": Decimal("2.50"),
    "pseudonymization_id": "ANOTHER",
    "has_left": True,
}
"""Of a position, what its column says, too."""
OTHER_CHANGES = {
    "attendee_name": ("Ada", {"attendee_name": "Ada", "search": "ada"}),
    "seat": (SeatPlace(1, "A1", "Main", "1", None, "1", None, "A1"), {"seat_guid": "A1"}),
    "checkins": ((Checkin(9_000_001, 1, NOW, "entry"),), {"checked_in": True}),
    # too long for an index
    "attendee_email": ("a" * 2000 + "@example.org", {"search": None, "long_search": "a" * 2000 + "@example.org"}),
}


def lines(sql, order):
    """Return the rows of an order's positions, and where each lies and who wrote it."""
    read = sql.cursor(row_factory=dict_row)
    rows = read.execute("SELECT * FROM positions WHERE order_id = %s ORDER BY id", [order.id]).fetchall()
    places = sql.execute("SELECT ctid::text, xmin::text FROM positions WHERE order_id = %s ORDER BY id", [order.id])
    return rows, places.fetchall()


@pytest.mark.parametrize("again", [False, True], ids=["updated", "upserted"])
def test_a_confirmed_order_leaves_its_positions_as_they_are(sql, follower, of, again):
    first, new = fresh(of, 1, (9, 91)), fresh(of)
    write(follower, [step()], first, new)
    before = lines(sql, first)
    # a new order that was written before has all of its batch upserted
    write(follower, [step(old=1001, new=1002)], following(first, "p"), *([new] if again else []))
    assert sql.execute("SELECT status FROM orders WHERE id = %s", [first.id]).fetchall() == [("p",)]
    assert lines(sql, first) == before


@pytest.mark.parametrize("again", [False, True], ids=["updated", "upserted"])
@pytest.mark.parametrize("field", [*CHANGES, *OTHER_CHANGES])
def test_what_has_changed_of_a_position_is_written_and_nothing_else(sql, follower, of, field, again):
    first, new = fresh(of, 1, (9, 91)), fresh(of)
    write(follower, [step()], first, new)
    (one, other), (place, other_place) = lines(sql, first)
    value, columns = OTHER_CHANGES.get(field) or (CHANGES[field], {field: CHANGES[field]})
    changed = msgspec.structs.replace(first.positions[0], **{field: value})
    second = msgspec.structs.replace(following(first, "n"), positions=(changed, first.positions[1]))
    write(follower, [step(old=1001, new=1002)], second, *([new] if again else []))
    (now_one, now_other), (now_place, now_other_place) = lines(sql, first)
    # words repeat some of it
    assert now_one | {"words": None} == one | {"words": None} | columns
    assert (now_other, now_other_place) == (other, other_place)
    assert now_place != place


def test_positions_that_came_off_an_order_belong_to_another(sql, follower, of):
    first = fresh(of, 1, (9, 91))
    write(follower, [step()], first)
    stays, moves = first.positions
    off = fresh(of, split_from=first.id, positions=(moves,))
    staying = msgspec.structs.replace(following(first, "n"), positions=(stays,))
    write(follower, [step(old=1001, new=1002)], staying, off)
    for order, position in ((first, stays), (off, moves)):
        rows, _ = lines(sql, order)
        assert [row["id"] for row in rows] == [position.id]
