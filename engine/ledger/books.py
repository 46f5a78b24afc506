"""What Redis believes about an event, read plainly and whole: for the audit, never for a sale."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis

from engine.domain.catalogue import Event, Product, SeatName
from engine.domain.order import Order, decode
from engine.ledger import keys
from engine.ledger.cluster import masters
from engine.ledger.commits import entry_id
from engine.ledger.losses import overwritten
from engine.ledger.outcomes import SeatOwner, seat_name, seat_owner
from engine.ledger.reach import reach
from engine.settings import Settings

_PAGE = 1000
_ANSWER_TIMEOUT_S = 30.0
"""A million holds are read in a few seconds."""


class EventBooks(Struct, frozen=True):
    """One event in Redis. `fields` is the event hash, `live` and `listed` the holds that take units and all of them,
    `vouchers` how often the former use each voucher, `due_ids` the holds whose deadline is watched, `due_vouchers` the
    vouchers. `seats` says who has each seat, `held_seats` which holds think that they have it.
    """

    fields: dict[str, str]
    live: Counter[Product]
    vouchers: Counter[int]
    live_ids: frozenset[int]
    due_ids: frozenset[int]
    due_vouchers: frozenset[int]
    listed: int
    seats: dict[SeatName, SeatOwner]
    held_seats: dict[SeatName, list[int]]

    def count(self, state: str, product: Product) -> int:
        """Return the units of a product in one state (h n p b w x d)."""
        return int(self.fields.get(f"{state}{product[0]}.{product[1]}.{product[2]}", 0))

    def uses(self, state: str) -> dict[int, int]:
        """Return the uses of vouchers in one state (r t), or what they took off prices (y), by id."""
        return {int(name[1:]): int(n) for name, n in self.fields.items() if name[0] == state and name[1:].isdigit()}

    def held(self) -> int:
        """Return how many units are held, of all products."""
        return sum(int(n) for name, n in self.fields.items() if name[0] == "h" and name.count(".") == 2)

    def expiring(self) -> set[int]:
        """Return the vouchers that keep units free until a time."""
        return {int(name[1:]) for name, text in self.fields.items() if name[0] == "g" and text.split(",")[1]}

    def products(self) -> set[Product]:
        """Return every product that has a count."""
        found = set()
        for field in self.fields:
            parts = field[1:].split(".")
            if field[0] in "hnpbwxd" and len(parts) == 3:
                found.add((int(parts[0]), int(parts[1]), int(parts[2])))
        return found


class Moment(Struct, frozen=True):
    """An event and its shard's outbox at one instant: `last` is the id of the last entry ever, `entries` are those that
    are still there. `whole` says whether the holds are among the event's books; `deadlines` are those of the shard.
    """

    books: EventBooks
    epoch: int
    last: bytes
    entries: list[tuple[bytes, dict[bytes, bytes]]]
    whole: bool
    deadlines: int


class Outbox(Struct, frozen=True):
    """How many entries wait in an outbox for the drain, and the id of the last one ever."""

    waiting: int
    last: tuple[int, int]


class Books:
    """Plain reads of one Redis server, or of each master of a cluster."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self._shards = settings.shards
        self._by_url: dict[str, Redis] = {}
        self._by_shard: list[Redis] = []
        self._clustered = False

    async def open(self) -> None:
        """Find the servers. Raises Fenced if none answers."""
        self._clustered = self._clustered or await asyncio.to_thread(reach, self._url)
        urls = [self._url] * self._shards
        if self._clustered:
            urls = await asyncio.to_thread(masters, [self._url, *self._by_url], self._shards)
        self._by_url = {url: Redis.from_url(url, socket_timeout=_ANSWER_TIMEOUT_S) for url in urls}
        self._by_shard = [self._by_url[url] for url in urls]

    async def close(self) -> None:
        for redis in self._by_url.values():
            await redis.aclose()

    async def _of_shards(self, ask: Callable[[Any, int], object]) -> list[Any]:
        """Return what each shard answers; an error for a key that is not there, or that is not what it ought to be."""
        answers: list[Any] = [None] * self._shards
        for redis in self._by_url.values():
            pipe = redis.pipeline(transaction=False)
            shards = [shard for shard, its in enumerate(self._by_shard) if its is redis]
            for shard in shards:
                ask(pipe, shard)
            for shard, answer in zip(shards, await pipe.execute(raise_on_error=False), strict=True):
                if isinstance(answer, Exception) and "no such key" not in str(answer) and not overwritten(answer):
                    raise answer
                answers[shard] = answer
        return answers

    async def epochs(self) -> dict[int, int | None]:
        """Return the epoch of each shard, None where it has none."""
        epochs = await self._of_shards(lambda pipe, shard: pipe.hget(keys.shard(shard), "epoch"))
        known = (None if isinstance(epoch, Exception) else epoch for epoch in epochs)
        return {shard: None if epoch is None else int(epoch) for shard, epoch in enumerate(known)}

    async def outboxes(self) -> dict[int, Outbox]:
        """Return what each shard's outbox says; nothing of shards that have none."""
        streams = await self._of_shards(lambda pipe, shard: pipe.xinfo_stream(keys.outbox(shard)))
        return {
            shard: Outbox(stream["length"], entry_id(stream["last-generated-id"]))
            for shard, stream in enumerate(streams)
            if not isinstance(stream, Exception)
        }

    async def event(self, event: Event) -> EventBooks:
        """Return an event's books, of one instant."""
        shard = keys.shard_of(event.organizer, event.slug, self._shards)
        pipe = self._by_shard[shard].pipeline(transaction=True)
        _ask(pipe, shard, event.id)
        return _books(event, *await pipe.execute())

    async def moment(self, event: Event, *, rows_max: int, entries_max: int) -> Moment | None:
        """Return an event's books with the outbox, of one instant and in bounded time.

        An event with more than `rows_max` holds and seats comes without them; None if too much waits for the drain.
        """
        shard = keys.shard_of(event.organizer, event.slug, self._shards)
        sizes = self._by_shard[shard].pipeline(transaction=False)
        sizes.zcard(keys.holds(shard, event.id))
        sizes.zcard(keys.due(shard))
        sizes.hlen(keys.seats(shard, event.id))
        sizes.xlen(keys.outbox(shard))
        *rows, waiting = await sizes.execute()
        whole = sum(rows) <= rows_max
        if waiting > entries_max:
            return None
        pipe = self._by_shard[shard].pipeline(transaction=True)
        _ask(pipe, shard, event.id, whole=whole)
        pipe.zcard(keys.due(shard))
        pipe.hget(keys.shard(shard), "epoch")
        pipe.xrange(keys.outbox(shard), count=2 * entries_max)
        pipe.xinfo_stream(keys.outbox(shard))
        *found, deadlines, epoch, entries, stream = await pipe.execute(raise_on_error=False)
        for answer in (*found, deadlines, epoch, entries):
            if isinstance(answer, Exception):
                raise answer
        # a shard that has lost its outbox is told by the sweeper, and the fence sees to it
        if isinstance(stream, Exception) or epoch is None or len(entries) >= 2 * entries_max:
            return None
        books = _books(event, *(found if whole else (found[0], [], [], {})))
        return Moment(books, int(epoch), stream["last-generated-id"], entries, whole, deadlines)

    async def orders(self) -> list[Order]:
        """Return every order that Redis still has, in its newest version."""
        return [order for redis in self._by_url.values() for order in await self._orders(redis)]

    async def _orders(self, redis: Redis) -> list[Order]:
        found = []
        cursor: Any = 0
        while True:
            cursor, names = await redis.scan(cursor, match=f"{keys.LAYOUT}:*:order:*", count=_PAGE)
            pipe = redis.pipeline(transaction=False)
            for name in names:
                pipe.hget(name, "d")
            for document in await pipe.execute(raise_on_error=False):
                if isinstance(document, Exception) and not overwritten(document):
                    raise document
                if isinstance(document, bytes) and document:
                    found.append(decode(document))
            if int(cursor) == 0:
                return found


def _ask(pipe: Any, shard: int, event_id: int, *, whole: bool = True) -> None:
    """Ask for all that `_books` needs."""
    pipe.hgetall(keys.event(shard, event_id))
    if whole:
        pipe.zrange(keys.holds(shard, event_id), 0, -1)
        pipe.zrange(keys.due(shard), 0, -1)
        pipe.hgetall(keys.seats(shard, event_id))


def _books(
    event: Event, fields: dict[bytes, bytes], members: list[bytes], due: list[bytes], seats: dict[bytes, bytes]
) -> EventBooks:
    """Return what was read as books."""
    live: Counter[Product] = Counter()
    vouchers: Counter[int] = Counter()
    live_ids = set()
    held_seats: dict[SeatName, list[int]] = {}
    for member in members:
        hold_id, state, product, _, _, _, seat, voucher, _ = member.split(b"|", 8)
        if state == b"H":
            if voucher != b"0":
                vouchers[int(voucher)] += 1
            item, variation, subevent = product.split(b".")
            live[int(item), int(variation), int(subevent)] += 1
            live_ids.add(int(hold_id))
            if seat:
                held_seats.setdefault(seat_name(subevent + b"." + seat), []).append(int(hold_id))
    mine = b"%d:" % event.id
    return EventBooks(
        {name.decode(): value.decode() for name, value in fields.items()},
        live,
        vouchers,
        frozenset(live_ids),
        frozenset(int(m[len(mine) :]) for m in due if m.startswith(mine) and not m.startswith(mine + b"v")),
        frozenset(int(m[len(mine) + 1 :]) for m in due if m.startswith(mine + b"v")),
        len(members),
        {seat_name(name): seat_owner(value) for name, value in seats.items() if b"." in name},
        held_seats,
    )
