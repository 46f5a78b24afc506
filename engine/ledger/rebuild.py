"""Rebuilding: makes shards that lost something anew, from Postgres and from the holds that are still listed.

For the fence alone, which sees to it that nothing else changes these shards meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from engine.domain.catalogue import Event
from engine.domain.errors import Fenced
from engine.ledger import keys
from engine.ledger.outcomes import seat_field, seat_mark
from engine.ledger.pipe import Pipe
from engine.ledger.quotas import quota_args
from engine.ledger.scripts import Script
from engine.meters import METERS, Rebuild
from engine.settings import Settings
from persistence import catalogue, orders, outbox, seating
from persistence.database import Row, Session

log = logging.getLogger("holdfast.fence")

_PAGE = 500
_TELL_S = 1.0
"""How often the log tells how far it has come."""


class Progress:
    """Tells metrics of each shard, and the log now and then, how many positions of orders have been counted."""

    def __init__(self, to_read: Mapping[int, int]) -> None:
        self._of = {shard: Rebuild(positions) for shard, positions in to_read.items()}
        self._told_at = time.monotonic()

    def __enter__(self) -> Progress:
        METERS.rebuilds.update(self._of)
        return self

    def __exit__(self, *error: object) -> None:
        for shard in self._of:
            METERS.rebuilds.pop(shard, None)

    def read(self, shard: int, positions: int) -> None:
        """Count what has been read of a shard."""
        self._of[shard].read += positions
        if time.monotonic() - self._told_at > _TELL_S:
            self._told_at = time.monotonic()
            read, to_read = (sum(getattr(one, name) for one in self._of.values()) for name in ("read", "positions"))
            log.info("rebuilding: %d of %d positions counted", read, to_read)


async def rebuild(session: Session, pipe: Pipe, damaged: Mapping[int, int], settings: Settings, script: Script) -> None:
    """Make shards that are `damaged` anew; `script` is event_rebuild. All are on one server.

    They are given with the epochs that they are about to have. Raises Fenced if somebody empties the server meanwhile:
    what was read of holds is not true any more.
    """
    await _clear(session, pipe, damaged)
    # before anything is read: it is gone if anything is
    await asyncio.gather(
        *(pipe.call("HSET", keys.shard(shard), "rebuilding", epoch) for shard, epoch in damaged.items())
    )
    events: list[tuple[int, Row]] = []
    for row in await outbox.all_events(session):
        shard = keys.shard_of(row["organizer"], row["slug"], settings.shards)
        if shard in damaged:
            events.append((shard, row))
    sizes = await orders.position_counts(session, [row["id"] for _, row in events])
    to_read = dict.fromkeys(damaged, 0)
    for shard, row in events:
        to_read[shard] += sizes.get(row["id"], 0)
    with Progress(to_read) as progress:
        for shard, row in events:
            event = await catalogue.load_event(session, row["organizer_id"], row["slug"])
            if event is not None:
                args = await _counted(session, pipe, shard, event, progress)
                places = [keys.event(shard, event.id), keys.due(shard), keys.shard(shard)]
                places += [keys.holds(shard, event.id), keys.carts(shard, event.id)]
                head = [damaged[shard], event.version, event.id, settings.cart_listed_s * 1000]
                # by its text: no script is known until all is done
                answer = await pipe.call("EVAL", script.text, len(places), *places, *head, *args)
                if answer[0] == b"emptied":
                    raise Fenced(reason=f"shard {shard} was emptied while it was rebuilt")
                name = f"{event.organizer}/{event.slug}"
                log.info("rebuilt event %s: %d products counted", name, args[0])
                if answer[1]:
                    log.warning("event %s: %d cart positions given up, there is no room for them", name, answer[1])


async def _clear(session: Session, pipe: Pipe, shards: Iterable[int]) -> None:
    """Delete what a damaged shard believes about events and orders.

    Holds stay, they are counted again and get their deadlines and their places in carts anew. Replies stay, too: what
    was lost is found out when one is asked for again.
    """
    forget = tuple(
        f"{keys.prefix(shard)}{kind}".encode()
        for shard in shards
        for kind in ("shard", "event:", "seats:", "order:", "outbox", "due", "carts:", "restored:")
    )
    cursor: Any = 0
    while True:
        cursor, found = await pipe.call("SCAN", cursor, "MATCH", f"{keys.LAYOUT}:*", "COUNT", 1000)
        gone: dict[bytes, list[bytes]] = {}
        for key in found:
            if key.startswith(forget):
                gone.setdefault(key[: key.index(b"}")], []).append(key)
        if gone:
            # once Postgres has let go of us somebody else may be elected, and may have rebuilt these keys
            await outbox.require(session)
        # a node of a cluster takes keys of several shards only one shard at a time
        await asyncio.gather(*(pipe.call("UNLINK", *of_shard) for of_shard in gone.values()))
        if int(cursor) == 0:
            return


async def _counted(session: Session, pipe: Pipe, shard: int, event: Event, progress: Progress) -> list[Any]:
    """Make an event's seats and deadlines anew; return what the script that makes the event itself anew counts."""
    counts: Counter[str] = Counter()
    taken = await orders.taken(session, event.id, lambda positions: progress.read(shard, positions))
    for (product, status), units in taken.units.items():
        counts[f"{status}{product[0]}.{product[1]}.{product[2]}"] += units
    for voucher, (uses, spent) in taken.vouchers.items():
        counts[f"r{voucher}"] += uses
        counts[f"y{voucher}"] += spent
    seated = event.seats.version > 0
    sold = await seating.sold(session, event) if seated else {}
    owners = {seat_field(seat): f"o{order_ids[0]}" for seat, order_ids in sold.items()}
    held, seats = await _surviving_holds(pipe, shard, event.id, owners)
    counts.update(held)
    if seated:
        await _rebuild_seats(pipe, shard, event, owners | seats)
    counted = [value for pair in counts.items() for value in pair]
    return [len(counts), *counted, *quota_args(event)]


async def _rebuild_seats(pipe: Pipe, shard: int, event: Event, owners: dict[str, str]) -> None:
    """Write down who has each seat, by field: the order that Postgres knows, else a hold."""
    values: list[Any] = ["v", event.seats.version, "w", event.seats.version]
    for name, seat in event.seats.by_name.items():
        field = seat_field(name)
        values += [field, owners.get(field, "free") + seat_mark(seat)]
    for first in range(0, len(values), 2 * _PAGE):
        await pipe.call("HSET", keys.seats(shard, event.id), *values[first : first + 2 * _PAGE])


async def _surviving_holds(
    pipe: Pipe, shard: int, event_id: int, sold: Mapping[str, str]
) -> tuple[Counter[str], dict[str, str]]:
    """Count the holds that still stand, and see to it that each has its deadline and its place in its cart.

    Return who has seats as well.

    A hold whose seat is among the `sold` has ended in what was lost, most likely as that order: it goes.
    """
    held: Counter[str] = Counter()
    seats: dict[str, str] = {}
    ended: list[tuple[bytes, bytes, bytes]] = []
    first = 0
    while members := await pipe.call("ZRANGE", keys.holds(shard, event_id), first, first + _PAGE - 1):
        deadlines: list[Any] = []
        places: list[Any] = []
        for member in members:
            hold_id, state, product, _, deadline, cart, seat, voucher, _ = member.split(b"|", 8)
            field = f"{product.rpartition(b'.')[2].decode()}.{seat.decode()}"
            place = b"%s %015d" % (cart, int(hold_id))
            places += [0, place]
            if state == b"H" and field in sold:
                ended.append((member, place, b"%d:%s" % (event_id, hold_id)))
            elif state == b"H":
                held[f"h{product.decode()}"] += 1
                if voucher != b"0":
                    held[f"t{voucher.decode()}"] += 1
                if seat:
                    seats[field] = f"h{hold_id.decode()}"
                deadlines += [deadline, b"%d:%s" % (event_id, hold_id)]
        if deadlines:
            await pipe.call("ZADD", keys.due(shard), *deadlines)
        await pipe.call("ZADD", keys.carts(shard, event_id), *places)
        first += _PAGE
    for member, place, deadline in ended:
        await pipe.call("ZREM", keys.holds(shard, event_id), member)
        await pipe.call("ZREM", keys.carts(shard, event_id), place)
        await pipe.call("ZREM", keys.due(shard), deadline)
    return held, seats
