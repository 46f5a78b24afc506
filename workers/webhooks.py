"""Webhooks: told of what has happened to orders at least once, one order's news in order, and never before it is true.

A change is written down with its order, in one transaction (sql/orders.sql). `tell` makes notifications of it, and
`Couriers` deliver them. Whoever claims a queue has it for a minute; if it dies in between, somebody else delivers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter

import msgspec

from engine.domain.errors import HoldfastError
from engine.domain.order_actions import actions
from engine.sales.house import House
from engine.settings import networks
from persistence import webhooks
from persistence.webhooks import Change, Due, Told
from workers.calling import Caller, NotCalled

log = logging.getLogger("holdfast.webhooks")

CHANGES_MAX = 200
"""Changes of orders made into notifications in one transaction."""
COURIERS_MAX = 20
"""Calls under way at once in one worker."""
COURIERS_EACH = 4
"""And to one webhook, so that a slow one leaves room for others."""
_RUN_S = 20.0
"""A run ends after this; the next one goes on."""
_GONE = 410


async def tell(house: House) -> int:
    """Make notifications of what has happened; return of how many changes.

    Safe to run twice and beside others: one at a time does it, and what is told is gone in the same transaction.
    """
    end = time.monotonic() + _RUN_S
    told = latest = await _tell_some(house)
    while latest == CHANGES_MAX and time.monotonic() < end:
        latest = await _tell_some(house)
        told += latest
    return told


async def _tell_some(house: House) -> int:
    async with house.database.transaction() as session:
        if not await webhooks.lock_telling(session):
            return 0
        changes = await webhooks.changes(session, CHANGES_MAX)
        told: list[Told] = []
        for change in changes:
            try:
                told += news(change, len(told))
            except Exception:  # whatever it is, it is about this order, and the others have to be told
                log.exception("what happened to order %d cannot be told", change.order_id)
        if changes:
            await webhooks.tell(session, told, changes)
    return len(changes)


def news(change: Change, first: int) -> list[Told]:
    """Return what there is to tell of a change; places count from `first`."""
    told: list[Told] = []
    before, *following = change.orders()
    for after in following:
        if before and after and after.version <= before.version:
            continue
        if after and after.version <= after.imported:
            # whoever sold it has told of it
            before = after
            continue
        order = after or before
        code = order.code if order else ""
        for action in actions(before, after, split=change.split):
            body = {"organizer": change.organizer, "event": change.event, "code": code}
            text = msgspec.json.encode(body | action.details | {"action": action.name}).decode()
            told.append(Told(first + len(told), change.organizer_id, change.order_id, change.event, action.type, text))
        before = after
    return told


async def deliver(house: House, caller: Caller, due: Due) -> None:
    """Deliver one notification and note what has come of it."""
    if due.id is None:
        await webhooks.close(house.database, due)
        return
    facts = msgspec.json.decode(due.body or "{}")
    body = msgspec.json.encode({"notification_id": due.notification_id} | facts)
    try:
        status = await caller.post(due.target_url, body)
    except NotCalled as error:
        problem = str(error)
    else:
        if 200 <= status < 300:
            await webhooks.delivered(house.database, due)
            return
        if status == _GONE:
            log.error("webhook %d is disabled: its URL answers 410 Gone", due.webhook_id)
            await webhooks.gone(house.database, due)
            return
        problem = f"it answered {status}"
    what = f"webhook {due.webhook_id}: {facts['action']} of {facts['event']}/{facts['code']}"
    if due.late:
        log.error("%s is given up: %s (holdfast webhooks dead)", what, problem)
    else:
        log.warning("%s has not been delivered yet: %s", what, problem)
    await webhooks.failed(house.database, due, problem)


class Couriers:
    """Deliver notifications, some at a time, until they are closed."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._caller = Caller(networks(house.settings.webhook_networks))
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: Counter[int] = Counter()
        """Calls under way by webhook."""
        self._choosing = asyncio.Lock()

    async def close(self) -> None:
        """Leave everything that is under way; it is delivered again after its minute."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._caller.close()

    async def send_out(self) -> None:
        """Begin to deliver what is due, as much as there is room for."""
        async with self._choosing:
            room = COURIERS_MAX - self._calls.total()
            if room <= 0:
                return
            busy = [webhook for webhook, calls in self._calls.items() if calls >= COURIERS_EACH]
            found = await webhooks.claim(self._house.database, most=room, each=COURIERS_EACH, busy=busy)
            for due in found:
                self._calls[due.webhook_id] += 1
                task = asyncio.create_task(self._carry(due), name=f"webhook {due.webhook_id}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _carry(self, due: Due) -> None:
        try:
            try:
                await deliver(self._house, self._caller, due)
            finally:
                self._calls[due.webhook_id] -= 1
            # the next one takes this one's place, without waiting for a job to say so
            await self.send_out()
        except HoldfastError as error:
            log.warning("webhook %d: a store is away, the next run will do it: %s", due.webhook_id, error)
