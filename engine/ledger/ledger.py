"""The ledger: every question and every change that Redis decides, each one script call.

All methods raise Fenced while Redis is away or being verified, and StaleCatalogue where a script says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import lru_cache, partial
from typing import Any
from urllib.parse import unquote

from msgspec import msgpack
from redis.exceptions import ResponseError

from engine.domain.catalogue import Event, Product
from engine.domain.errors import (
    Busy,
    Fenced,
    NotFound,
)
from engine.domain.order import Order, decode
from engine.ledger import keys
from engine.ledger.calls import AGAIN_MAX
from engine.ledger.commits import Commit, commit, committed, together
from engine.ledger.company import Company
from engine.ledger.groups import outcomes, packed
from engine.ledger.hold_ids import HoldIds
from engine.ledger.kept_replies import KeptReplies
from engine.ledger.live import LiveCatalogue
from engine.ledger.replies import KEEP_MS, Kept
from engine.ledger.reports import Reports
from engine.ledger.timekeeper import Timekeeper
from engine.ledger.values import (
    Committed,
    HoldGroup,
    Move,
    Outcome,
    SeatMove,
    StoredHold,
    VoucherMove,
)
from engine.ledger.watermark import Watermark
from engine.settings import Settings
from persistence.database import Database

_GROUPS_MAX = 64
"""Groups of holds in one call: it blocks the server for about a millisecond, and makes nobody wait longer than that."""

_ORDERS_MAX = 32
"""Orders in one call, for the same reason."""

_DOCUMENTS_MAX = 64
"""Orders read in one call, for the same reason."""


class Ledger(LiveCatalogue, KeptReplies):
    """Redis for one process: holds and orders, on top of what is live and what was replied."""

    def __init__(self, settings: Settings, database: Database) -> None:
        super().__init__(settings, database)
        self._hold_ids = HoldIds(database)
        self._holds: Company[HoldGroup, Outcome] = Company(_GROUPS_MAX, "holds")
        self._orders: Company[Commit, tuple[int, bytes | list[Any]]] = Company(_ORDERS_MAX, "orders")
        self._documents: Company[str, bytes | None] = Company(_DOCUMENTS_MAX, "documents")
        self.watermark = Watermark(self.nodes.url, database)
        self.timekeeper = Timekeeper(self.nodes)
        self.reports = Reports(self.nodes, self.fence)

    async def open(self, role: str = "") -> None:
        """Connect, and see to it that what is there has been verified; as a process of a role, tell metrics of it."""
        await self.nodes.open()
        await self.timekeeper.open()
        await self.watermark.open(listen=role == "front_door")
        if role:
            # before the fence: it may be this process that verifies
            self.reports.begin(role)
        await self.fence.open()

    async def close(self) -> None:
        await self._hold_ids.close()
        await self.reports.close()
        await self.timekeeper.close()
        await self.fence.close()
        await self.watermark.close()
        await self.nodes.close()

    # ---------------------------------------------------------------------------------------------------- holds

    def hold(self, event: Event, groups: Sequence[HoldGroup], kept: Kept | None = None) -> Awaitable[list[Outcome]]:
        """Hold units for each group; each gets all of its units or none. One round trip, shared with others.

        `kept` is kept if any group got its units.
        """
        if kept is not None or not groups:
            return self._hold(event, groups, kept)
        return self._holds.join((event.id, event.version), groups, partial(self._hold, event))

    async def _hold(self, event: Event, groups: Sequence[HoldGroup], kept: Kept | None = None) -> list[Outcome]:
        if not groups:
            return []
        shard = self.shard_of(event)
        asked, reply = [self._listed_ms, *packed(groups)], _kept_args(kept)
        hold_keys = [*_hold_keys(shard, event.id), *_kept_keys(kept)]
        block = self._hold_ids.ahead(event.id)
        for _ in range(AGAIN_MAX):
            args = [event.id, msgpack.encode([event.version, *block, *asked]), *reply]
            answer = await self._run("hold_create", shard, hold_keys, args)
            if answer[0] == b"ok":
                self._hold_ids.told(event.id, answer[2])
                return outcomes(answer, groups)
            block = await self._hold_ids.block(event.id)
        raise Busy(reason="hold ids")

    async def hold_page(self, event: Event, offset: int, size: int, ordering: str) -> tuple[int, list[StoredHold]]:
        """Return (number of all listed holds, one page of them)."""
        shard = self.shard_of(event)
        answer = await self._run("hold_page", shard, _hold_keys(shard, event.id)[:3], [offset, size, ordering])
        return answer[1], [_stored(member) for member in answer[2:] if member]

    async def hold_read(self, event: Event, hold_id: int) -> StoredHold:
        """Return one hold. Raises NotFound."""
        shard = self.shard_of(event)
        answer = await self._run("hold_read", shard, _hold_keys(shard, event.id)[:2], [hold_id])
        return _stored(answer[1])

    async def hold_release(self, event: Event, hold_id: int, kept: Kept | None = None) -> None:
        """Delete one hold and give back what it took. Raises NotFound."""
        shard = self.shard_of(event)
        await self._run(
            "hold_release",
            shard,
            [*_hold_keys(shard, event.id), keys.purge(shard), *_kept_keys(kept)],
            [event.id, hold_id, *_kept_args(kept)],
        )

    async def sweep(self, shard: int) -> bool:
        """Release and forget what is due in a shard; tell whether there is more to do."""
        script_keys = [keys.due(shard), keys.purge(shard), keys.shard(shard), keys.outbox(shard)]
        answer = await self._run("shard_sweep", shard, script_keys, [self._listed_ms, 100])
        return bool(answer[1])

    # --------------------------------------------------------------------------------------------------- orders

    async def order_read(self, event: Event, code: str) -> Order | None:
        """Return an order that was changed lately; None means that Postgres has the newest version.

        Raises NotFound if it was deleted lately.
        """
        document = await self._documents.join_one(event.id, code, lambda codes: self._order_read(event, codes))
        if document is None:
            return None
        if not document:
            raise NotFound("No Order matches the given query.")
        return decode(document)

    async def _order_read(self, event: Event, codes: Sequence[str]) -> list[bytes | None]:
        """Return the document of each order, None for those that are not here."""
        shard = self.shard_of(event)
        script_keys = [keys.event(shard, event.id), *(keys.order(shard, event.id, code) for code in codes)]
        _, *documents = await self._run("order_read", shard, script_keys, [])
        return documents

    async def order_commit(
        self,
        event: Event,
        order: Order,
        document: bytes,
        *,
        moves: Sequence[Move] = (),
        needs: Sequence[Product] = (),
        carts: Sequence[str] = (),
        mode: str = "commit",
        judged: bool = False,
        split_off: Order | None = None,
        vouchers: Sequence[VoucherMove] = (),
        seats: Sequence[SeatMove] = (),
        kept: Kept | None = None,
    ) -> Committed:
        """Make `order` true as the successor of the version before it, and the new order that was split off it.

        An empty document deletes the order.
        `moves` are the units that change state, `needs` the products that need room, in the order of positions; `mode`
        is commit, admit (some units need no room), force (none does) or simulate (checks, changes nothing). With
        `judged` the catalogue must still be at the event's version. Raises Busy if the stored order is at another
        version, VoucherSpent, SoldOut.
        """
        shard = self.shard_of(event)
        work = commit(
            shard,
            event,
            order,
            document,
            moves=moves,
            needs=needs,
            carts=carts,
            mode=mode,
            split_off=split_off,
            vouchers=vouchers,
            seats=seats,
            kept=kept,
        )
        version = event.version if judged else None
        for _ in range(AGAIN_MAX):
            epoch, answer = await self._orders.join_one(
                (event.id, version), work, lambda works: self._commit(shard, event.id, version, works)
            )
            if answer != [b"again"]:
                return committed(shard, epoch, answer)
        raise Busy(reason="holds are expiring faster than they can be released")

    async def _commit(
        self, shard: int, event_id: int, version: int | None, commits: Sequence[Commit]
    ) -> list[tuple[int, bytes | list[Any]]]:
        """Return epoch and answer for each order."""
        order_keys, told = together(version, self._listed_ms, commits)
        script_keys = [*_commit_keys(shard, event_id), *order_keys]
        _, epoch, *answers = await self._run("order_commit", shard, script_keys, [event_id, *told])
        if [b"unknown_seats"] in answers:
            raise self._alarm("order_commit", b"unknown_seats", shard, script_keys)
        return [(epoch, answer) for answer in answers]

    async def undrained(self, committed: Committed) -> bool:
        """Tell whether an entry still waits in the outbox to be written."""
        entry = f"{committed.entry[0]}-{committed.entry[1]}"
        pipe = self.nodes.pipe(committed.shard)
        try:
            return bool(await pipe.call("XRANGE", keys.outbox(committed.shard), entry, entry))
        except ResponseError as error:
            raise Fenced(reason=f"Redis: {error}") from error


@lru_cache(maxsize=10_000)
def _hold_keys(shard: int, event_id: int) -> tuple[str, ...]:
    return (
        keys.event(shard, event_id),
        keys.holds(shard, event_id),
        keys.carts(shard, event_id),
        keys.due(shard),
    )


@lru_cache(maxsize=10_000)
def _commit_keys(shard: int, event_id: int) -> tuple[str, ...]:
    event_key, *others = _hold_keys(shard, event_id)
    return (event_key, keys.outbox(shard), keys.shard(shard), *others)


def _kept_keys(kept: Kept | None) -> list[str]:
    return [] if kept is None else [kept.claim.key]


def _kept_args(kept: Kept | None) -> list[Any]:
    return [] if kept is None else [kept.claim.owner, kept.reply, KEEP_MS]


def _stored(member: bytes) -> StoredHold:
    hold_id, _, product, created, deadline, cart, seat, voucher, parent, payload = member.split(b"|", 9)
    item, variation, subevent = product.split(b".")
    return StoredHold(
        int(hold_id),
        unquote(cart.decode()),
        (int(item), int(variation), int(subevent)),
        int(created),
        int(deadline),
        payload,
        unquote(seat.decode()) if seat else "",
        int(voucher),
        int(parent),
    )
