"""What every process counts, where every process can read it: each writes its own numbers into one hash of Redis.

Front doors share a port, so whoever asks one of them gets the numbers of an accidental one; and workers have no port.
So any front door can tell the numbers of all, a second old at most.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time

import msgspec
from msgspec import Struct
from redis.exceptions import RedisError

from engine.domain import clock
from engine.domain.errors import Fenced
from engine.ledger import keys
from engine.ledger.fence import Fence
from engine.ledger.nodes import Nodes
from engine.meters import METERS, Meters, Pulse
from persistence.outbox import SILENCE_S

log = logging.getLogger("holdfast.reports")

EVERY_S = 1.0
_STALE_S = 60.0
"""A process that has not reported for so long has ended; until then scrapers may still fetch its last numbers."""
_IDLE_MAX = 15
"""Reports that still name an event in which nothing happens any more."""
_EVENTS_MAX = 1000
"""Events named in one report."""
_FRESH_S = 0.9


class Report(Struct):
    """One process's numbers at a time (seconds since 1970, by the clock of Redis)."""

    process: str
    role: str
    at: float
    began: float
    fenced: dict[str, bool]
    """By server: whether this process sells nothing there, because it is away or being verified."""
    meters: Meters


_decoder = msgspec.msgpack.Decoder(Report)


class Reports:
    """Writes the numbers of this process each second, once `begin` has been called, and reads those of all."""

    def __init__(self, nodes: Nodes, fence: Fence) -> None:
        self._nodes = nodes
        self._fence = fence
        self._role = ""
        self._name = ""
        self._began = 0.0
        self._writing: asyncio.Task[None] | None = None
        self._before: dict[int, tuple[int, int]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._read_at = float("-inf")
        self._known: dict[str, Report] = {}

    def begin(self, role: str) -> None:
        """Report from now on, as a process of this role: front_door, worker or command."""
        self._role = role
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._began = clock.now().timestamp()
        self._writing = asyncio.create_task(self._write())

    async def close(self) -> None:
        tasks = [task for task in (self._writing, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def own(self) -> Report:
        """Return the numbers of this process."""
        return Report(self._name, self._role, clock.now().timestamp(), self._began, self._fence.closed(), METERS)

    async def all(self) -> list[Report]:
        """Return the reports of all processes, this one's as it is now; those of the others as far as is known."""
        if time.monotonic() - self._read_at > _FRESH_S:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
            await asyncio.wait({self._reading}, timeout=_FRESH_S)
        known = {**self._known, self._name: self.own()} if self._name else self._known
        oldest = clock.now().timestamp() - _STALE_S
        return [report for _, report in sorted(known.items()) if report.at > oldest]

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self._forget_idle()
            pipe = self._nodes.pipe(0)
            try:
                await asyncio.gather(
                    pipe.call("HSET", keys.reports(), self._name, msgspec.msgpack.encode(self.own())),
                    pipe.call("EXPIRE", keys.reports(), round(_STALE_S)),
                )
            except (Fenced, RedisError) as error:
                log.debug("cannot report: %s", error)

    def _forget_idle(self) -> None:
        """Name only events in which something happens."""
        seen: dict[int, tuple[int, int]] = {}
        for event_id, pulse in list(METERS.events.items()):
            count, idle = self._before.get(event_id, (-1, 0))
            idle = idle + 1 if count == pulse.requests else 0
            if idle > _IDLE_MAX or len(seen) >= _EVENTS_MAX:
                METERS.events.pop(event_id, None)
            else:
                seen[event_id] = (pulse.requests, idle)
        self._before = seen

    async def _read(self) -> None:
        try:
            fields = await self._nodes.pipe(0).call("HGETALL", keys.reports())
        except (Fenced, RedisError) as error:
            log.debug("cannot read reports: %s", error)
            return
        found: dict[str, Report] = {}
        gone: list[bytes] = []
        now = clock.now().timestamp()
        for name, packed in zip(fields[::2], fields[1::2], strict=True):
            try:
                report = _decoder.decode(packed)
            except msgspec.DecodeError:  # of another version of Holdfast, which tells its own front doors
                continue
            if report.at < now - _STALE_S:
                gone.append(name)
                continue
            if report.at < now - SILENCE_S:  # whoever verified is dead, or deposed
                report.meters.verifying, report.meters.rebuilds = [], {}
            found[report.process] = report
        self._known = found
        self._read_at = time.monotonic()
        if gone:
            self._nodes.pipe(0).call("HDEL", keys.reports(), *gone).add_done_callback(_ignore)


class Rates:
    """How fast the counts of an event grow, over all processes, from one look to the next."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, Pulse]] = {}

    def look(self, reports: list[Report], event_id: int) -> tuple[float, float, float]:
        """Return requests, orders and units a second since the last look, as far as processes have reported."""
        requests = orders = units = 0.0
        now: dict[str, tuple[float, Pulse]] = {}
        for report in reports:
            # the live object goes on counting
            pulse = msgspec.structs.replace(report.meters.events.get(event_id) or Pulse())
            now[report.process] = (report.at, pulse)
            at, before = self._before.get(report.process, (report.at, pulse))
            took_s = report.at - at
            if took_s <= 0:
                continue
            if before.requests > pulse.requests:  # it was forgotten as idle, and has begun anew
                before = Pulse()
            requests += (pulse.requests - before.requests) / took_s
            orders += (pulse.orders - before.orders) / took_s
            units += (pulse.units - before.units) / took_s
        self._before = now
        return requests, orders, units


def _ignore(future: asyncio.Future[object]) -> None:
    """Let a call fail whose answer nobody needs."""
    if not future.cancelled():
        future.exception()
