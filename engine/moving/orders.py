"""The orders of an event: taken over page by page, then what has changed meanwhile.

First all orders in the order in which they were placed, which does not change while they are read; then those that
have changed since that began, by the latest change seen so far. Each page is safe twice: an order that is here as it is
there is left alone. One that was changed here since is never overwritten.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.domain import clock, codes
from engine.domain.catalogue import Event
from engine.domain.errors import Busy, SeatsTaken
from engine.domain.order import Order, encode
from engine.ledger.values import Committed
from engine.moving.ids import Ids, Problems
from engine.moving.reading import Body, Lookup, Unreadable, parts_of, read
from engine.moving.source import PAGE_SIZE, PAGES_AT_ONCE, Answer, Source, results
from engine.sales.house import House
from engine.sales.ids import LOOK_AGAIN_S
from engine.sales.takeover import take_over
from persistence import imports

_EVERYTHING: dict[str, Any] = {"include_canceled_positions": "true", "include_canceled_fees": "true"}
_DRAIN_PATIENCE_S = 60.0
"""How long orders may wait for a worker to write them before somebody ought to look for one."""
_AT_ONCE = 50
_SETTLE_S = 2 * LOOK_AGAIN_S + 2
"""By then no process gives out a code that was claimed before."""
_OURS = frozenset({"version", "last_modified", "mails", "invoice_from", "imported", "elsewhere", "blocked_secrets"})
"""Fields that say nothing about whether an order is here as it is there."""


class NotDrained(Exception):
    """No worker writes what was taken over."""


class Tally(Struct):
    """How orders went, in one run."""

    looked_at: int = 0
    taken: int = 0
    changed: int = 0
    expected: int = 0


class Orders:
    """Takes over the orders of one event."""

    def __init__(
        self,
        house: House,
        source: Source,
        ids: Ids,
        event: Event,
        problems: Problems,
        *,
        reentry: frozenset[int],
        progress: Callable[[Tally], None],
    ) -> None:
        self._house, self._source, self._ids, self._problems = house, source, ids, problems
        self._event, self._reentry, self._progress = event, reentry, progress
        self.tally = Tally()
        self._held: list[tuple[float, Body]] = []
        """Orders whose code a process may be about to give out, and when it was claimed."""
        self._left_out: set[str] = set()
        """Codes of orders that cannot be taken over."""
        self._seatless: list[tuple[Order | None, Order]] = []
        """Orders that need a seat which another one had when they came, and may have left by now."""

    def judge_by(self, event: Event, reentry: frozenset[int]) -> None:
        """Read what follows by a newer catalogue."""
        self._event, self._reentry = event, reentry

    async def take_all(self) -> str:
        """Take over all orders in the order in which they were placed; return what catch_up begins with."""
        begun = self._ids.begun
        followed_to = _written(begun.followed_to)
        query: dict[str, Any] = {"ordering": "datetime", **_EVERYTHING}
        if begun.placed_until is not None:
            query["created_since"] = _written(begun.placed_until)
        under_way: deque[tuple[asyncio.Task[None], Sequence[Body]]] = deque()

        async def finish() -> None:
            task, rows = under_way[0]
            await task
            under_way.popleft()
            if rows:
                await imports.placed(self._house.database, begun.id, _when(rows[-1]["datetime"]))

        try:
            async for answer in self._pages(query):
                followed_to = followed_to or await self._begin_to_follow(answer)
                rows = results(answer, "orders/")
                under_way.append((asyncio.create_task(self._take(rows)), rows))
                if len(under_way) == PAGES_AT_ONCE:
                    await finish()
            while under_way:
                await finish()
        finally:
            for task, _ in under_way:
                task.cancel()
            await asyncio.gather(*(task for task, _ in under_way), return_exceptions=True)
        await self._take_rest()
        assert followed_to is not None
        return followed_to

    async def complete(self) -> bool:
        """Tell whether all orders that can be are here; if not, the next take_all looks at all of them."""
        answer = await self._source.get("orders/", page_size=1)
        there = int(answer.body["count"]) if answer else 0
        here = await imports.stored(self._house.database, self._ids.begun.id)
        if here + len(self._left_out) >= there:
            return True
        await imports.placed(self._house.database, self._ids.begun.id, None)
        return False

    async def catch_up(self, since: str) -> str:
        """Take over what has changed since; return what the next call begins with."""
        following: str | None = None
        page = 1
        while True:
            answer = await self._source.get(
                "orders/",
                ordering="last_modified",
                modified_since=since,
                page=page,
                page_size=PAGE_SIZE,
                **_EVERYTHING,
            )
            assert answer is not None
            rows = results(answer, "orders/")
            following = following or answer.generated or since
            await self._take(rows)
            if not answer.body.get("next"):
                break
            # changes move orders to the end, so pages shift: begin again after what has been seen
            latest = rows[-1].get("last_modified") if rows else None
            if latest and _when(latest) > _when(since):
                since, page = latest, 1
            else:
                page += 1
        await self._take_rest()
        await imports.followed(self._house.database, self._ids.begun.id, _when(following))
        return following

    async def _begin_to_follow(self, first: Answer) -> str:
        generated = first.generated or _written(clock.now() - dt.timedelta(minutes=5)) or ""
        await imports.followed(self._house.database, self._ids.begun.id, _when(generated))
        return generated

    async def _pages(self, query: dict[str, Any]) -> AsyncIterator[Answer]:
        """Yield all pages in order; some more are asked for meanwhile."""

        async def page(number: int) -> Answer | None:
            # orders that are deleted meanwhile leave the last pages without any: 404
            return await self._source.get("orders/", missing=number > 1, page=number, page_size=PAGE_SIZE, **query)

        first = await page(1)
        assert first is not None
        size = max(1, len(results(first, "orders/")))
        self.tally.expected = self.tally.looked_at + int(first.body.get("count") or 0)
        last = -(-int(first.body.get("count") or 0) // size)
        ahead = {n: asyncio.create_task(page(n)) for n in range(2, min(last, 1 + PAGES_AT_ONCE) + 1)}
        try:
            yield first
            for number in range(2, last + 1):
                answer = await ahead.pop(number)
                if (further := number + PAGES_AT_ONCE) <= last:
                    ahead[further] = asyncio.create_task(page(further))
                if answer is not None:
                    yield answer
        finally:
            for task in ahead.values():
                task.cancel()
            await asyncio.gather(*ahead.values(), return_exceptions=True)

    # -- one page ----------------------------------------------------------------------------------------------

    async def _take(self, rows: Sequence[Body], *, settled: bool = False) -> None:
        """Take over some orders; return once Postgres has them."""
        rows = [row for row in rows if self._is_order(row)]
        own = await self._own_ids(rows)
        known = await imports.orders(self._house.database, [own["order", row["code"]] for row in rows])
        fresh = {row["code"]: own["order", row["code"]] for row in rows if own["order", row["code"]] not in known}
        refused = await self._claim(fresh) if fresh else {}
        now = time.monotonic()
        lookup = Lookup(self._ids.ours, own, self._reentry)
        todo: list[tuple[Order | None, Order]] = []
        for row in rows:
            code = row["code"]
            why = refused.get(code)
            if why == _LEASED and not settled:
                self._held.append((now, row))
                continue
            if why not in (None, _LEASED):
                self._leave_out(code, why)
                continue
            before = known.get(own["order", code]) or await self._house.ledger.order_read(self._event, code)
            try:
                order = self._read(row, own["order", code], lookup)
            except Unreadable as error:
                self._leave_out(code, str(error))
                continue
            if (following := self._following(before, order)) is not None:
                todo.append((before, following))
        await self._commit(todo)
        self.tally.looked_at += len(rows)
        self._progress(self.tally)

    def _is_order(self, row: Body) -> bool:
        code = row.get("code")
        if isinstance(code, str) and 0 < len(code) <= 64 and code.isascii() and code.isalnum():
            return True
        self._leave_out(str(code)[:60], "this is no code of an order")
        return False

    def _leave_out(self, code: str, why: str | None) -> None:
        self._left_out.add(code)
        self._problems.add(f"order {code}", f"was not taken over: {why}")

    async def _own_ids(self, rows: Sequence[Body]) -> dict[tuple[str, str], int]:
        """Return our ids of orders and what is in them, by kind and theirs; new ones are kept before they are used."""
        database, import_id = self._house.database, self._ids.begun.id
        wanted: dict[tuple[str, str], None] = {}
        for row in rows:
            wanted["order", row["code"]] = None
            try:
                wanted |= dict.fromkeys(parts_of(row))
            except (KeyError, TypeError, ValueError):
                continue  # reading it will say what is wrong
        own: dict[tuple[str, str], int] = {}
        for kind in ("order", "position", "fee", "checkin"):
            theirs = [key for of, key in wanted if of == kind]
            if theirs:
                found = await imports.some(database, import_id, kind, theirs)
                own |= {(kind, key): number for key, number in found.items()}
        new = [key for key in wanted if key not in own]
        for key in new:
            own[key] = await self._new_id(key[0])
        if new:
            await imports.keep_all(database, import_id, [(kind, theirs, own[kind, theirs]) for kind, theirs in new])
        return own

    async def _new_id(self, kind: str) -> int:
        ids = self._house.ids
        match kind:
            case "order":
                return (await ids.order())[0]
            case "position":
                return await ids.positions(1)
            case "fee":
                return await ids.fees(1)
        return await ids.checkin()

    async def _claim(self, fresh: dict[str, int]) -> dict[str, str]:
        """Claim codes for orders, so that nobody else gets or is given them; return why not, by code."""
        database, organizer_id = self._house.database, self._event.organizer_id
        key = await self._house.ids.code_key()
        numbers = {code: n for code in fresh if (n := codes.order_number(code, key)) is not None}
        ours = await imports.claim(database, "order_id", 0, {str(n): fresh[code] for code, n in numbers.items()})
        leased = await imports.leased(database, list(numbers.values()))
        claimed = await imports.claim(database, "code", organizer_id, fresh)
        used = await imports.codes_used(database, organizer_id, fresh)
        refused = {}
        for code in fresh:
            number = numbers.get(code)
            if code in used or code not in claimed or (number is not None and str(number) not in ours):
                refused[code] = "another order of this organizer has its code"
            elif number in leased:
                refused[code] = _LEASED
        return refused

    def _read(self, row: Body, order_id: int, lookup: Lookup) -> Order:
        found = read(row, self._event, order_id, lookup)
        try:
            document = encode(found.order)
        except (UnicodeEncodeError, ValueError) as error:
            raise Unreadable(str(error)) from None
        if b"\\u0000" in document:
            raise Unreadable("a text has a character that cannot be kept")
        for remark in found.remarks:
            self._problems.add(f"order {row['code']}", remark)
        return found.order

    def _following(self, before: Order | None, order: Order) -> Order | None:
        """Return what has to be made true, None if it is already so or must not be."""
        if before is None:
            self.tally.taken += 1
            return order
        if not _differs(before, order) and before.elsewhere == order.elsewhere:
            return None
        if before.version > before.imported:
            if _differs(before, order):
                self._problems.add(f"order {order.code}", "was changed here and there: it stays as it is here")
            return None
        self.tally.changed += 1
        version = before.version + 1
        return replace(order, version=version, imported=version)

    async def _commit(self, todo: Sequence[tuple[Order | None, Order]]) -> None:
        """Make orders true and wait until Postgres has them, but for those that wait for a seat."""
        for chunk in _chunks(todo, _AT_ONCE):
            done: list[tuple[Order, Committed]] = []
            outcomes = await asyncio.gather(
                *(take_over(self._house, self._event, before, order) for before, order in chunk),
                return_exceptions=True,
            )
            for (before, order), outcome in zip(chunk, outcomes, strict=True):
                match outcome:
                    case SeatsTaken():
                        self._seatless.append((before, order))
                    case Busy():
                        self._problems.add(f"order {order.code}", "was changed here at this moment: run this again")
                    case BaseException():
                        raise outcome
                    case _:
                        done.append((order, outcome))
            await self._stored(done)

    async def _stored(self, done: Sequence[tuple[Order, Committed]]) -> None:
        """Wait until Postgres has orders. Raises NotDrained if nobody writes them, Lost if they were lost."""
        deadline = time.monotonic() + _DRAIN_PATIENCE_S
        wanted = {order.id: order.version for order, _ in done}
        with suppress(TimeoutError):
            for _, committed in done:
                await self._house.ledger.watermark.wait(committed, self._house.settings.ack_timeout_s)
        while wanted:
            there = await imports.versions(self._house.database, list(wanted))
            wanted = {number: version for number, version in wanted.items() if there.get(number, 0) < version}
            if wanted and time.monotonic() > deadline:
                raise NotDrained
            if wanted:
                await asyncio.sleep(0.2)

    async def _take_rest(self) -> None:
        """Take over the orders that had to wait: for their codes to be theirs, or for seats that others had."""
        while self._held:
            since, _ = self._held[-1]
            await asyncio.sleep(max(0.0, since + _SETTLE_S - time.monotonic()))
            rows, self._held = [row for _, row in self._held], []
            await self._take(rows, settled=True)
        waiting = len(self._seatless) + 1
        while self._seatless and len(self._seatless) < waiting:
            todo, self._seatless = self._seatless, []
            waiting = len(todo)
            await self._commit(todo)
        for _, order in self._seatless:
            self._leave_out(order.code, "its seat is somebody else's, or blocked")
        self._seatless = []


_LEASED = "leased"


def _differs(before: Order, order: Order) -> bool:
    names = [name for name in Order.__struct_fields__ if name not in _OURS]
    return any(getattr(before, name) != getattr(order, name) for name in names)


def _chunks(rows: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (rows[first : first + size] for first in range(0, len(rows), size))


def _when(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _written(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
