"""Work that travels together: what one turn of the event loop asks of one event goes in one script call.

A script call costs Redis and this process as much as the hold or half as much as the order that it is made for; shared
by the requests of a turn, it is paid once. Where a turn brought company, the next one may, too: a call departs when a
turn has brought nothing more. A request that is alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from engine.meters import METERS

Work = TypeVar("Work")
Answer = TypeVar("Answer")


_TURNS_MAX = 4
"""Turns of the loop that a call waits while more comes with each, at most; in a rush one takes about a millisecond."""


class _Call(Generic[Work, Answer]):
    """The work of one script call to be, and who waits for how many answers of it: None for one that is no list.

    `seen` is how much of it there was a turn ago, `turns` for how many more it has been kept.
    """

    __slots__ = ("seen", "send", "turns", "waiting", "works")

    def __init__(self, send: Callable[[Sequence[Work]], Awaitable[list[Answer]]]) -> None:
        self.send = send
        self.seen = self.turns = 0
        self.works: list[Work] = []
        self.waiting: list[tuple[int | None, asyncio.Future[Any]]] = []


class Company(Generic[Work, Answer]):
    """Collects work of one kind, and sends it when no more of it comes, at most `most` at a time."""

    def __init__(self, most: int, name: str = "other") -> None:
        self._name = name
        self._most = most
        self._calls: dict[Hashable, _Call[Work, Answer]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def join(
        self,
        key: Hashable,
        works: Sequence[Work],
        send: Callable[[Sequence[Work]], Awaitable[list[Answer]]],
    ) -> asyncio.Future[list[Answer]]:
        """Send work along with what else has the same `key` this turn; the future gets the answers to it, in order.

        `send` of the first who comes sends it all: it returns one answer to each work.
        """
        call = self._calls.get(key)
        if call is None or len(call.works) + len(works) > self._most:
            call = self._begin(key, call, send)
        future: asyncio.Future[list[Answer]] = self._loop.create_future()
        call.works.extend(works)
        call.waiting.append((len(works), future))
        return future

    def join_one(
        self, key: Hashable, work: Work, send: Callable[[Sequence[Work]], Awaitable[list[Answer]]]
    ) -> asyncio.Future[Answer]:
        """Send one piece of work as `join` does; the future gets the answer to it."""
        call = self._calls.get(key)
        if call is None or len(call.works) >= self._most:
            call = self._begin(key, call, send)
        future: asyncio.Future[Answer] = self._loop.create_future()
        call.works.append(work)
        call.waiting.append((None, future))
        return future

    def _begin(
        self,
        key: Hashable,
        full: _Call[Work, Answer] | None,
        send: Callable[[Sequence[Work]], Awaitable[list[Answer]]],
    ) -> _Call[Work, Answer]:
        """Return a call that has room, the first of its turn or after one that is full."""
        if not self._calls:
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._depart)
        if full is not None:
            self._start(full)
        call = self._calls[key] = _Call(send)
        return call

    def _depart(self) -> None:
        waiting, self._calls = self._calls, {}
        for key, call in waiting.items():
            if call.turns < _TURNS_MAX and len(call.works) > call.seen:
                call.turns += 1
                call.seen = len(call.works)
                self._calls[key] = call
            else:
                self._start(call)
        if self._calls:
            self._loop.call_soon(self._depart)

    def _start(self, call: _Call[Work, Answer]) -> None:
        # the loop keeps only weak references to tasks
        task = self._loop.create_task(self._run(call))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _run(self, call: _Call[Work, Answer]) -> None:
        METERS.batch(self._name, len(call.works))
        try:
            answers = await call.send(call.works)
        except BaseException as error:
            for _, future in call.waiting:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        first = 0
        for count, future in call.waiting:
            following = first + (1 if count is None else count)
            if not future.done():
                future.set_result(answers[first] if count is None else answers[first:following])
            first = following
