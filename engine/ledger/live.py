"""What is live of an event's catalogue: its quotas, seats and vouchers as Redis has them."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any

from engine.domain.catalogue import Event, Product, SeatName
from engine.domain.errors import InUse, StaleCatalogue
from engine.ledger import keys
from engine.ledger.calls import Calls
from engine.ledger.commits import product_text
from engine.ledger.company import Company
from engine.ledger.outcomes import SeatOwner, seat_field, seat_mark, seat_name, seat_owner
from engine.ledger.quotas import change_args, quota_args
from engine.ledger.values import Counts, VoucherUses
from engine.settings import Settings
from persistence.database import Database

_PAGE = 1000
"""Vouchers that one call asks about."""

_QUOTAS_MAX = 500
"""Quotas that one call asks about for several requests; most ask for the same."""

_NO_ROOM: Mapping[int, int] = MappingProxyType({})

_SEATS_MAX = 2000
"""Seats in one call: it blocks the server for about two milliseconds."""


class LiveCatalogue(Calls):
    """Publishes catalogues, and reads the counts that belong to them."""

    def __init__(self, settings: Settings, database: Database) -> None:
        super().__init__(settings, database)
        self._reads: Company[int, Counts] = Company(_QUOTAS_MAX, "quotas")

    async def publish(self, event: Event, since: Event | None = None) -> None:
        """Make this version of an event's quotas and seats live; an older one than the live one is ignored.

        `since` is an older version, of which it may be that it is live now: then only what has changed is told.
        """
        if event.seats.version:
            await self._publish_seats(event, self.shard_of(event))
        await self._publish(event, since)

    async def publish_if(
        self, event: Event, unused: Product | None, room: Mapping[int, int], since: Event | None = None
    ) -> None:
        """Make a version of the quotas live if nobody has a product (0 for any in its parts) and quotas have room.

        It is not committed yet: whoever commits it has to `confirm` it. `room` is for how many units each quota must
        have room before. Raises InUse, StaleCatalogue for want of room: whoever has judged that there is some has to
        look again.
        """
        await self._publish(event, since, "" if unused is None else product_text(unused), room, early=True)

    async def confirm(self, event: Event) -> None:
        """Make the seats live of a version whose quotas are, and note that it has been committed."""
        shard = self.shard_of(event)
        if event.seats.version:
            await self._publish_seats(event, shard)
        answer = await self._run("event_confirm", shard, [keys.event(shard, event.id)], [event.version])
        if answer[1] < event.version:  # the shard was rebuilt in between, by what was committed then
            await self._publish(event, None)

    async def _publish(
        self,
        event: Event,
        since: Event | None,
        unused: str = "",
        room: Mapping[int, int] = _NO_ROOM,
        *,
        early: bool = False,
    ) -> None:
        shard = self.shard_of(event)
        script_keys = [keys.event(shard, event.id), keys.shard(shard), keys.outbox(shard), keys.due(shard)]
        start = [event.version, int(event.version == 1), event.id, unused, self._listed_ms]
        end = [int(early), len(room), *chain(*room.items())]
        answer: list[Any] = [b"behind"]
        if since is not None:
            args = [*start, since.version, *end, *change_args(since, event)]
            answer = await self._run("event_publish", shard, script_keys, args)
        if answer[0] == b"behind":
            answer = await self._run("event_publish", shard, script_keys, [*start, "", *end, *quota_args(event)])
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
        return (await self.live(event))[0]

    async def live(self, event: Event) -> tuple[int | None, bool]:
        """Return the version of the event that is live, None if there is none, and whether it is known as committed."""
        shard = self.shard_of(event)
        answer = await self._call("event_version", shard, [keys.event(shard, event.id)], [])
        return (int(answer[1]), not answer[2]) if answer[0] == b"ok" else (None, False)

    async def availability(self, event: Event, quota_ids: Sequence[int]) -> dict[int, Counts]:
        """Return the counts of quotas by id, exact at this instant. Who asks for the same quotas shares the answer."""
        if not quota_ids:
            return {}
        counts = await self._reads.join((event.id, event.version), quota_ids, partial(self._availability, event))
        return dict(zip(quota_ids, counts, strict=True))

    def availability_of(self, event: Event, quota_id: int) -> Awaitable[Counts]:
        """Return the counts of one quota, as `availability` does."""
        return self._reads.join_one((event.id, event.version), quota_id, partial(self._availability, event))

    async def _availability(self, event: Event, quota_ids: Sequence[int]) -> list[Counts]:
        """Return the counts of each of `quota_ids`, which may name a quota more than once."""
        shard = self.shard_of(event)
        wanted = dict.fromkeys(quota_ids)
        args: list[Any] = [event.version, self._listed_ms, len(wanted)]
        for quota_id in wanted:
            products = [product_text(product) for product in event.products[quota_id]]
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
