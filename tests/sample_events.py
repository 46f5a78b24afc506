"""Events and orders by hand, for tests that drive the ledger without a catalogue."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from decimal import Decimal
from itertools import count

import msgspec

from engine.domain.catalogue import Event, Item, Quota, Seat, SeatPlace, Seats, Variation, Voucher, covered, covering
from engine.domain.order import Order, OrderStatus, Position
from engine.ledger import keys
from engine.ledger.values import HoldGroup, HoldPosition, Move

NOW = dt.datetime(2031, 3, 5, 12, 0, tzinfo=dt.UTC)
MINUTE_MS = 60_000
LONG_AGO_MS = 1_000

_event_ids = count(1)
_order_ids = count(1)
_position_ids = count(1)


def quota(number, size, *products, closed=False, word=1, close_when_sold_out=False, date=None):
    """Return a quota over items (a number) and variations (an item's number and the variation's), of a date."""
    return Quota(
        id=number,
        name=f"Quota {number}",
        size=size,
        items=tuple(dict.fromkeys(p if isinstance(p, int) else p[0] for p in products)),
        variations=tuple(p[1] for p in products if not isinstance(p, int)),
        subevent=date,
        close_when_sold_out=close_when_sold_out,
        closed=closed,
        closed_version=word,
        release_after_exit=False,
    )


def voucher(number, item=None, *, quota_id=None, usages=1, till=None):
    """Return a voucher that keeps units of an item, or of a quota, free."""
    return Voucher(
        id=number,
        code=f"V{number}",
        max_usages=usages,
        valid_until=till,
        block_quota=True,
        allow_ignore_quota=False,
        price_mode="none",
        value=None,
        budget=None,
        item=item,
        variation=None,
        quota=quota_id,
        subevent=None,
        seat=None,
    )


def seats(*guids, version=1, blocked=(), dates=(0,)):
    """Return the seats of an event, the same on each date, as they are since a version of it."""
    made = {}
    for number, (date, guid) in enumerate(itertools.product(dates, guids), 1):
        place = SeatPlace(number, guid, "Main", "1", None, guid, None, guid)
        made[date, guid] = Seat(place, date, 1, guid in blocked, version)
    return Seats(version, made)


def event(*quotas, items=3, like=None, version=1, slug=None, reserving=(), waiting=None, seated=None):
    """Return an event with items 1 to `items` and an item 9 with variations 91 and 92.

    With `like`, the same event with other quotas, one version on unless told. `seated` are its seats.
    """
    names = {
        number: Item(number, f"Item {number}", Decimal(10), True, True, None, None, {})
        for number in range(1, items + 1)
    }
    variations = {number: Variation(number, f"Variation {number}", None, True) for number in (91, 92)}
    names[9] = Item(9, "Item 9", Decimal(10), True, True, None, None, variations)
    products = covered(quotas, names)
    number = like.id if like else next(_event_ids)
    if like and version == 1:
        version = like.version + 1
    return Event(
        id=number,
        organizer_id=1,
        organizer="bigevents",
        slug=like.slug if like else slug or f"event{number}",
        version=version,
        currency="EUR",
        timezone="UTC",
        testmode=False,
        has_subevents=False,
        plugins=(),
        settings={},
        items=names,
        tax_rules={},
        questions={},
        subevents={},
        quotas={one.id: one for one in sorted(quotas, key=lambda one: one.id)},
        products=products,
        quotas_by_product=covering(products),
        reserving=reserving,
        waiting=waiting or {},
        seats=seated or (like.seats if like else Seats()),
    )


def neighbour(of, *quotas, shards=64, seated=None):
    """Return another event that lives in the same shard as `of`."""
    shard = keys.shard_of(of.organizer, of.slug, shards)
    slug = next(
        slug for slug in (f"next{n}-{of.id}" for n in count()) if keys.shard_of(of.organizer, slug, shards) == shard
    )
    return event(*quotas, slug=slug, seated=seated)


def product(number):
    """Return the product of an item (a number), of a variation (a pair), or of either on a date (all three)."""
    return (number, 0, 0) if isinstance(number, int) else (*number, 0)[:3]


def group(*numbers, cart="c@api", ttl_ms=MINUTE_MS, deadline_ms=None, seats=()):
    """Return a group over one position for each of `numbers`, the first ones with these seats."""
    chosen = [*seats, *[""] * len(numbers)]
    positions = [HoldPosition(product(number), b"{}", seat=seat) for number, seat in zip(numbers, chosen, strict=False)]
    return HoldGroup(cart, positions, ttl_ms, deadline_ms)


def order(of, *numbers, status="n", seats=()):
    """Return a new order over one position for each of `numbers`, the first ones with these seats."""
    chosen = [
        of.seats.by_name[product(number)[2], guid].place if guid else None
        for number, guid in zip(numbers, [*seats, *[""] * len(numbers)], strict=False)
    ]
    number = next(_order_ids)
    return Order(
        id=number,
        organizer_id=of.organizer_id,
        event_id=of.id,
        version=1,
        code=f"C{number}",
        status=OrderStatus(status),
        secret=f"secret{number}",
        datetime=NOW,
        expires=NOW,
        last_modified=NOW,
        total=Decimal("10.00"),
        positions=tuple(
            _position(index, *product(number), seat=seat)
            for index, (number, seat) in enumerate(zip(numbers, chosen, strict=True), 1)
        ),
    )


def _position(index, item, variation, subevent, *, seat=None):
    number = next(_position_ids)
    return Position(
        id=number,
        positionid=index,
        item=item,
        price=Decimal("10.00"),
        tax_rate=Decimal("0.00"),
        tax_value=Decimal("0.00"),
        secret=f"s{number}",
        pseudonymization_id=f"P{number}",
        variation=variation or None,
        subevent=subevent or None,
        seat=seat,
    )


def following(old, status):
    """Return the next version of an order, in another state."""
    return msgspec.structs.replace(old, version=old.version + 1, status=OrderStatus(status))


def move(number, state, delta):
    return Move(product(number), state, delta)


def now_ms(redis):
    seconds, microseconds = redis.time()
    return seconds * 1000 + microseconds // 1000


async def after(redis, deadline_ms):
    """Wait until the server's clock has passed `deadline_ms`."""
    while (left := deadline_ms - now_ms(redis)) >= 0:
        await asyncio.sleep(max(left, 1) / 1000)
