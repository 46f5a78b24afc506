"""Holds that travel together: all groups that one turn of the event loop asks of one event go in one script call.

A script call costs Redis and this process as much as the hold itself; shared by the requests of a turn, it is paid
once. A request that is alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from engine.domain.catalogue import Event
from engine.ledger.values import HoldGroup, Outcome

Send = Callable[[Event, Sequence[HoldGroup]], Awaitable[list[Outcome]]]

GROUPS_MAX = 64
"""Groups in one call: it blocks the server for about a millisecond, and makes nobody wait longer than that."""


class _Call:
    """The groups of one script call to be, and who waits for which of them."""

    __slots__ = ("event", "groups", "waiting")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.groups: list[HoldGroup] = []
        self.waiting: list[tuple[int, asyncio.Future[list[Outcome]]]] = []


class Company:
    """Collects groups by event and version, and sends them when the turn of the loop is over."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._calls: dict[tuple[int, int], _Call] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def hold(self, event: Event, groups: Sequence[HoldGroup]) -> asyncio.Future[list[Outcome]]:
        """Send groups along with others of this turn; the future gets the outcomes of these groups, in order."""
        loop = asyncio.get_running_loop()
        if not self._calls:
            loop.call_soon(self._depart)
        key = (event.id, event.version)
        call = self._calls.get(key)
        if call is None or len(call.groups) + len(groups) > GROUPS_MAX:
            if call is not None:
                self._start(call)
            call = self._calls[key] = _Call(event)
        future: asyncio.Future[list[Outcome]] = loop.create_future()
        call.groups.extend(groups)
        call.waiting.append((len(groups), future))
        return future

    def _depart(self) -> None:
        calls, self._calls = self._calls, {}
        for call in calls.values():
            self._start(call)

    def _start(self, call: _Call) -> None:
        # the loop keeps only weak references to tasks
        task = asyncio.get_running_loop().create_task(self._run(call))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _run(self, call: _Call) -> None:
        try:
            outcomes = await self._send(call.event, call.groups)
        except BaseException as error:
            for _, future in call.waiting:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        first = 0
        for count, future in call.waiting:
            if not future.done():
                future.set_result(outcomes[first : first + count])
            first += count
