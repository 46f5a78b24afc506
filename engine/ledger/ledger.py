"""The ledger: every question and every change that Redis decides, each one script call.

All methods raise Fenced while Redis is away or being verified, and StaleCatalogue where a script says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from time import perf_counter
from typing import Any
from urllib.parse import unquote

from redis.exceptions import NoScriptError, ResponseError

from engine.domain.catalogue import Event, Product, SeatName, products_of
from engine.domain.errors import (
    Busy,
    Duplicate,
    Fenced,
    InUse,
    KeyReused,
    NotFound,
    StaleCatalogue,
)
from engine.domain.order import Order, decode
from engine.ledger import keys
from engine.ledger.cluster import elsewhere
from engine.ledger.commits import Commit, commit, committed, product_text
from engine.ledger.company import Company
from engine.ledger.fence import Fence, Loss
from engine.ledger.nodes import Nodes
from engine.ledger.outcomes import SeatOwner, outcome_of, quoted, seat_field, seat_mark, seat_name, seat_owner
from engine.ledger.quotas import quota_args
from engine.ledger.replies import CLAIM_MS, KEEP_MS, Claim, Kept, Replay
from engine.ledger.reports import Reports
from engine.ledger.scripts import ALARMS, load_scripts
from engine.ledger.timekeeper import Timekeeper
from engine.ledger.values import (
    Committed,
    Counts,
    Held,
    HoldGroup,
    Move,
    Outcome,
    SeatMove,
    SeatTaken,
    Short,
    StoredHold,
    VoucherMove,
    VoucherUse,
    VoucherUses,
)
from engine.ledger.watermark import Watermark
from engine.meters import METERS
from engine.settings import Settings
from persistence import replies, sequences
from persistence.database import Database

_AGAIN_MAX = 1000
"""Calls that only released what was due before one that does its work: 64,000 holds that expired unnoticed."""

_PAGE = 1000
"""Vouchers that one call asks about."""

_GROUPS_MAX = 64
"""Groups of holds in one call: it blocks the server for about a millisecond, and makes nobody wait longer than that."""

_QUOTAS_MAX = 500
"""Quotas that one call asks about for several requests; most ask for the same."""

_ORDERS_MAX = 32
"""Orders in one call, for the same reason."""

_SEATS_MAX = 2000
"""Seats in one call: it blocks the server for about two milliseconds."""


class Ledger:
    """Redis for one process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._scripts = load_scripts()
        self.nodes = Nodes(settings.redis_url, settings.shards)
        self._listed_ms = settings.cart_listed_s * 1000
        self._holds: Company[HoldGroup, Outcome] = Company(_GROUPS_MAX, "holds")
        self._reads: Company[int, Counts] = Company(_QUOTAS_MAX, "quotas")
        self._orders: Company[Commit, tuple[int, list[Any]]] = Company(_ORDERS_MAX, "orders")
        self.watermark = Watermark(self.nodes.url, database)
        self.fence = Fence(self.nodes, database, settings, self._scripts)
        self.timekeeper = Timekeeper(self.nodes)
        self.reports = Reports(self.nodes, self.fence)

    async def open(self) -> None:
        await self.nodes.open()
        await self.timekeeper.open()
        await self.watermark.open()
        await self.fence.open()

    async def close(self) -> None:
        await self.reports.close()
        await self.timekeeper.close()
        await self.fence.close()
        await self.watermark.close()
        await self.nodes.close()

    def shard_of(self, event: Event) -> int:
        return keys.shard_of(event.organizer, event.slug, self._settings.shards)

    # ------------------------------------------------------------------------------------------------ catalogue

    async def publish(self, event: Event) -> None:
        """Make this version of an event's quotas and seats live; an older one than the live one is ignored."""
        if event.seats.version:
            await self._publish_seats(event, self.shard_of(event))
        await self._publish(event, "", {})

    async def publish_if(self, event: Event, unused: Product | None, room: Mapping[int, int]) -> None:
        """Make a version of the quotas live if nobody has a product (0 for any in its parts) and quotas have room.

        `room` is for how many units each quota must have room before. Raises InUse, StaleCatalogue for want of room:
        whoever has judged that there is some has to look again.
        """
        await self._publish(event, "" if unused is None else product_text(unused), room)

    async def _publish(self, event: Event, unused: str, room: Mapping[int, int]) -> None:
        shard = self.shard_of(event)
        new = int(event.version == 1)
        answer = await self._run(
            "event_publish",
            shard,
            [keys.event(shard, event.id), keys.shard(shard), keys.outbox(shard), keys.due(shard)],
            [
                event.version,
                new,
                event.id,
                unused,
                self._listed_ms,
                len(room),
                *chain(*room.items()),
                *quota_args(event),
            ],
        )
        if answer[0] == b"in_use":
            raise InUse
        if answer[0] == b"no_room":
            raise StaleCatalogue

    async def _publish_seats(self, event: Event, shard: int) -> None:
        """Make the seats live that have been made or changed since the last time."""
        script_keys = [keys.seats(shard, event.id), keys.shard(shard)]
        version = event.seats.version
        answer = await self._run("seats_publish", shard, script_keys, [version, 0, 0])
        if answer[0] == b"older":
            return
        fresh = [seat for seat in event.seats.by_name.items() if seat[1].version > answer[1]]
        for first in range(0, max(1, len(fresh)), _SEATS_MAX):
            page = fresh[first : first + _SEATS_MAX]
            marks = [text for name, seat in page for text in (seat_field(name), seat_mark(seat))]
            last = int(first + _SEATS_MAX >= len(fresh))
            answer = await self._run("seats_publish", shard, script_keys, [version, last, len(page), *marks])
            if answer[0] == b"older":
                return

    async def remove_seats(self, event: Event, seats: Sequence[SeatName]) -> list[SeatName]:
        """Take seats out of an event; if somebody has any, return the first of those, and none is taken out."""
        shard = self.shard_of(event)
        fields = [seat_field(seat) for seat in seats]
        script_keys = [keys.seats(shard, event.id), keys.shard(shard)]
        answer = await self._run("seats_remove", shard, script_keys, [len(fields), *fields])
        return [seat_name(field) for field in answer[1:]]

    async def seat_owners(self, event: Event, seats: Sequence[SeatName]) -> list[SeatOwner]:
        """Return who has each of some seats (at most 500)."""
        shard = self.shard_of(event)
        fields = [seat_field(seat) for seat in seats]
        script_keys = [keys.event(shard, event.id), keys.seats(shard, event.id)]
        answer = await self._run("seats_read", shard, script_keys, [len(fields), *fields])
        return [seat_owner(value) for value in answer[1:]]

    async def version(self, event: Event) -> int | None:
        """Return the version of the event that is live, None if the event is unknown here."""
        shard = self.shard_of(event)
        answer = await self._call("event_version", shard, [keys.event(shard, event.id)], [])
        return int(answer[1]) if answer[0] == b"ok" else None

    async def availability(self, event: Event, quota_ids: Sequence[int]) -> dict[int, Counts]:
        """Return the counts of quotas by id, exact at this instant. Who asks for the same quotas shares the answer."""
        if not quota_ids:
            return {}
        counts = await self._reads.join((event.id, event.version), quota_ids, partial(self._availability, event))
        return dict(zip(quota_ids, counts, strict=True))

    async def _availability(self, event: Event, quota_ids: Sequence[int]) -> list[Counts]:
        """Return the counts of each of `quota_ids`, which may name a quota more than once."""
        shard = self.shard_of(event)
        wanted = dict.fromkeys(quota_ids)
        args: list[Any] = [event.version, self._listed_ms, len(wanted)]
        for quota_id in wanted:
            products = [product_text(product) for product in products_of(event.quotas[quota_id], event.items)]
            args += [quota_id, len(products), *products]
        answer = await self._run("quota_read", shard, [keys.event(shard, event.id), keys.due(shard)], args)
        found = {}
        for index, quota_id in enumerate(wanted):
            size, closed, held, pending, paid, blocked, waiting, exited, used = answer[1 + 9 * index : 10 + 9 * index]
            found[quota_id] = Counts(
                None if size == -1 else size, closed == 1, held, pending, paid, blocked, waiting, exited, used
            )
        return [found[quota_id] for quota_id in quota_ids]

    async def voucher_uses(self, event: Event, voucher_ids: Sequence[int]) -> dict[int, VoucherUses]:
        """Return by id how often vouchers have been used."""
        shard = self.shard_of(event)
        found = {}
        for first in range(0, len(voucher_ids), _PAGE):
            page = voucher_ids[first : first + _PAGE]
            answer = await self._run("voucher_read", shard, [keys.event(shard, event.id)], [len(page), *page])
            for voucher_id, *uses in zip(page, answer[1::3], answer[2::3], answer[3::3], strict=True):
                found[voucher_id] = VoucherUses(*uses)
        return found

    # ---------------------------------------------------------------------------------------------------- holds

    async def hold(self, event: Event, groups: Sequence[HoldGroup], kept: Kept | None = None) -> list[Outcome]:
        """Hold units for each group; each gets all of its units or none. One round trip, shared with others.

        `kept` is kept if any group got its units.
        """
        if not groups:
            return []
        if kept is not None:
            return await self._hold(event, groups, kept)
        return await self._holds.join((event.id, event.version), groups, partial(self._hold, event))

    async def _hold(self, event: Event, groups: Sequence[HoldGroup], kept: Kept | None = None) -> list[Outcome]:
        shard = self.shard_of(event)
        tail: list[Any] = [self._listed_ms, len(groups)]
        for group in groups:
            deadline = "" if group.deadline_ms is None else group.deadline_ms
            tail += [quoted(group.cart_id), deadline, group.ttl_ms, len(group.positions)]
            for position in group.positions:
                seat = quoted(position.seat) if position.seat else ""
                voucher = _use(position.voucher) if position.voucher else 0
                tail += [product_text(position.product), seat, voucher, position.parent + 1, position.payload]
        tail += _kept_args(kept)
        hold_keys = [*self._hold_keys(shard, event.id), *_kept_keys(kept)]
        first = last = 0
        for _ in range(_AGAIN_MAX):
            answer = await self._run("hold_create", shard, hold_keys, [event.id, event.version, first, last, *tail])
            if answer[0] == b"ok":
                return _counted(list(_outcomes(answer, groups)))
            first = await sequences.lease(self._database, "hold_ids")
            last = first + sequences.BLOCK["hold_ids"] - 1
        raise Busy(reason="hold ids")

    async def hold_page(self, event: Event, offset: int, size: int, ordering: str) -> tuple[int, list[StoredHold]]:
        """Return (number of all listed holds, one page of them)."""
        shard = self.shard_of(event)
        answer = await self._run("hold_page", shard, self._hold_keys(shard, event.id)[:3], [offset, size, ordering])
        return answer[1], [_stored(member) for member in answer[2:] if member]

    async def hold_read(self, event: Event, hold_id: int) -> StoredHold:
        """Return one hold. Raises NotFound."""
        shard = self.shard_of(event)
        answer = await self._run("hold_read", shard, self._hold_keys(shard, event.id)[:2], [hold_id])
        return _stored(answer[1])

    async def hold_release(self, event: Event, hold_id: int, kept: Kept | None = None) -> None:
        """Delete one hold and give back what it took. Raises NotFound."""
        shard = self.shard_of(event)
        await self._run(
            "hold_release",
            shard,
            [*self._hold_keys(shard, event.id), keys.purge(shard), *_kept_keys(kept)],
            [event.id, hold_id, *_kept_args(kept)],
        )

    async def sweep(self, shard: int) -> bool:
        """Release and forget what is due in a shard; tell whether there is more to do."""
        script_keys = [keys.due(shard), keys.purge(shard), keys.shard(shard)]
        answer = await self._run("shard_sweep", shard, script_keys, [self._listed_ms, 100])
        return bool(answer[1])

    # --------------------------------------------------------------------------------------------------- orders

    async def order_read(self, event: Event, code: str) -> Order | None:
        """Return an order that was changed lately; None means that Postgres has the newest version.

        Raises NotFound if it was deleted lately.
        """
        shard = self.shard_of(event)
        try:
            answer = await self._run(
                "order_read", shard, [keys.event(shard, event.id), keys.order(shard, event.id, code)], []
            )
        except NotFound:
            return None
        if not answer[1]:
            raise NotFound("No Order matches the given query.")
        return decode(answer[1])

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
        version = event.version if judged else ""
        for _ in range(_AGAIN_MAX):
            [(epoch, answer)] = await self._orders.join(
                (event.id, version), [work], partial(self._commit, shard, event.id, version)
            )
            if answer[0] != b"again":
                return committed(shard, epoch, answer)
        raise Busy(reason="holds are expiring faster than they can be released")

    async def _commit(
        self, shard: int, event_id: int, version: int | str, commits: Sequence[Commit]
    ) -> list[tuple[int, list[Any]]]:
        """Return epoch and answer for each order."""
        event_key, holds_key, carts_key, due_key = self._hold_keys(shard, event_id)
        script_keys = [event_key, keys.outbox(shard), keys.shard(shard), holds_key, carts_key, due_key]
        args = [event_id, version, self._listed_ms, len(commits)]
        for one in commits:
            script_keys += one.keys
            args += one.args
        _, epoch, *answers = await self._run("order_commit", shard, script_keys, args)
        if [b"unknown_seats"] in answers:
            raise self._alarm("order_commit", b"unknown_seats", shard, script_keys)
        return [(epoch, answer) for answer in answers]

    # -------------------------------------------------------------------------------------------------- replies

    async def reply_claim(
        self, event: Event | None, name: str, fingerprint: str, *, claim_ms: int = CLAIM_MS
    ) -> Claim | Replay:
        """Claim an idempotency key for one request, or return what was answered to the first with that key.

        Raises Duplicate while that is being worked on, and KeyReused if it had another fingerprint.
        """
        shard = 0 if event is None else self.shard_of(event)
        claim = Claim(shard, keys.reply(shard, name), secrets.token_hex(8))
        args = [claim.owner, fingerprint, claim_ms, KEEP_MS]
        answer = await self._run("reply_claim", shard, [claim.key, keys.shard(shard)], args)
        if answer[0] == b"replay":
            return Replay(claim.key, shard, answer[1], answer[2])
        if answer[1]:
            return await self._reply_found(claim, name, fingerprint)
        return claim

    async def _reply_found(self, claim: Claim, name: str, fingerprint: str) -> Claim | Replay:
        """Return what Postgres remembers of a key that Redis does not know; it may have lost it."""
        try:
            found = await replies.find(self._database, name)
        except Fenced:
            await self.reply_store(claim, b"")
            raise
        if found is None:
            return claim
        if found.request != fingerprint:
            await self.reply_store(claim, b"")
            raise KeyReused
        await self.reply_store(claim, found.reply)
        return Replay(claim.key, claim.shard, found.reply, b"")

    async def reply_forget(self, replay: Replay) -> None:
        """Forget the reply of work that was lost, so that the same request does it again."""
        try:
            await self.nodes.pipe(replay.shard).call("DEL", replay.key)
        except ResponseError as error:
            raise Fenced(reason=f"Redis: {error}") from error

    async def reply_store(self, claim: Claim, reply: bytes) -> None:
        """Keep the reply for a claim; an empty one gives the claim up. Does nothing once the claim has ended."""
        await self._call("reply_store", claim.shard, [claim.key], [claim.owner, reply, KEEP_MS])

    async def undrained(self, committed: Committed) -> bool:
        """Tell whether an entry still waits in the outbox to be written."""
        entry = f"{committed.entry[0]}-{committed.entry[1]}"
        pipe = self.nodes.pipe(committed.shard)
        try:
            return bool(await pipe.call("XRANGE", keys.outbox(committed.shard), entry, entry))
        except ResponseError as error:
            raise Fenced(reason=f"Redis: {error}") from error

    # -------------------------------------------------------------------------------------------------- calling

    @staticmethod
    def _hold_keys(shard: int, event_id: int) -> list[str]:
        return [
            keys.event(shard, event_id),
            keys.holds(shard, event_id),
            keys.carts(shard, event_id),
            keys.due(shard),
        ]

    async def _run(self, name: str, shard: int, script_keys: Sequence[str], args: Sequence[Any]) -> list[Any]:
        """Run a script to its end and turn its statuses into exceptions, but for the ones that carry an answer."""
        for _ in range(_AGAIN_MAX):
            answer = await self._call(name, shard, script_keys, args)
            status = answer[0]
            if status == b"again":
                continue
            if status in ALARMS:
                raise self._alarm(name, status, shard, script_keys)
            if status == b"stale_catalogue":
                raise StaleCatalogue
            if status in (b"not_owner", b"running"):
                raise Duplicate
            if status == b"other_request":
                raise KeyReused
            if status == b"not_found":
                raise NotFound
            return answer
        raise Busy(reason="holds are expiring faster than they can be released")

    def _alarm(self, name: str, status: bytes, shard: int, script_keys: Sequence[str]) -> Fenced:
        lost = Loss(shard, *ALARMS[status](shard, script_keys))
        return self.fence.alarm(self.nodes.pipe(shard), f"{name} answered {status.decode()}", lost)

    async def _call(self, name: str, shard: int, script_keys: Sequence[str], args: Sequence[Any]) -> list[Any]:
        """Run a script by its hash, as it is. NOSCRIPT is the alarm, and nothing here loads a script."""
        pipe = self.nodes.pipe(shard)
        self.fence.check(pipe)
        began = perf_counter()
        try:
            answer: list[Any] = await pipe.call(
                "EVALSHA", self._scripts[name].sha, len(script_keys), *script_keys, *args
            )
        except NoScriptError:
            raise self.fence.alarm(pipe, "the server does not know our scripts") from None
        except ResponseError as error:
            if elsewhere(error):  # nothing was done, and who has the shard now has to be verified first
                self.nodes.doubt()
            raise Fenced(reason=f"Redis: {error}") from error
        METERS.script(name, perf_counter() - began)
        return answer


def _use(use: VoucherUse) -> str:
    return f"{use.voucher}.{use.max_usages}.{int(use.skips_quota)}"


def _kept_keys(kept: Kept | None) -> list[str]:
    return [] if kept is None else [kept.claim.key]


def _kept_args(kept: Kept | None) -> list[Any]:
    return [] if kept is None else [kept.claim.owner, kept.reply, KEEP_MS]


def _counted(outcomes: list[Outcome]) -> list[Outcome]:
    """Count what became of groups."""
    for outcome in outcomes:
        match outcome:
            case Held(ids=ids):
                METERS.holds += len(ids)
            case Short():
                METERS.refuse("sold_out")
            case SeatTaken():
                METERS.refuse("seat")
            case _:
                METERS.refuse("voucher")
    return outcomes


def _outcomes(answer: list[Any], groups: Sequence[HoldGroup]) -> Iterator[Outcome]:
    for index, group in enumerate(groups):
        status, what, deadline_ms = answer[2 + 3 * index : 5 + 3 * index]
        yield outcome_of(status, what, deadline_ms, len(group.positions), answer[1])


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
