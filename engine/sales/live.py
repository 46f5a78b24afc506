"""How a sale goes, for people who watch it: one ticker an event and process, however many watch.

A ticker begins with its first viewer and ends some time after its last. Once a second (less often where an event has
very many quotas) it reads the counts of all quotas and makes one frame, of which all viewers get the same bytes. A
frame names only the quotas whose counts have changed; who comes later gets a hello with all of them, and with what has
been seen so far.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable

import msgspec
from msgspec import Struct
from redis.exceptions import RedisError

from engine.domain import clock
from engine.domain.catalogue import Event
from engine.domain.errors import HoldfastError, Unavailable
from engine.ledger.reports import Rates
from engine.ledger.values import Counts
from engine.sales.house import House
from engine.sales.watch import Watch

log = logging.getLogger("holdfast.live")

TICK_S = 1.0
_QUOTAS_A_SECOND = 500
"""An event with more quotas is looked at less often, so that watching costs Redis a few milliseconds a second."""
_QUOTAS_A_CALL = 100
"""Each call blocks the server for less than a millisecond."""
_LINGER_S = 60.0
"""How long a ticker goes on without viewers, so that whoever comes back sees what has been."""
_NUMBERS_KEPT = 60_000
_FRAMES_KEPT = 600
_BEHIND_MAX = 30
"""Frames that a viewer may be behind; then he has to come again."""
_VIEWERS_MAX = 200
"""Of one process."""
_LAG_ALARM_S = 5.0
_WORKER_ALARM_S = 10.0

Row = list[int | None]
"""A quota's id, size (None: unlimited), closed, free (None: any number), held, pending, paid, blocked, waiting,
exited."""


class Alarm(Struct, frozen=True):
    """Something that somebody should look at; `kind` is a word for programs."""

    kind: str
    text: str


class _Sale(Struct, frozen=True):
    """What is the same in all frames until the catalogue changes."""

    slug: str
    organizer: str
    quotas: list[tuple[int, str, str, dt.datetime | None]]
    """Id and name; name and beginning of the date that it is for."""


class _Frame(Struct, frozen=True):
    """One moment; `quotas` are those that have changed. `rates` are requests, orders and units a second."""

    at: int
    rates: tuple[float, float, float]
    lag: tuple[int, float] | None
    alarms: list[Alarm]
    quotas: list[Row]


class _Hello(Struct, frozen=True):
    """All that there is to know.

    `past` are moments, oldest first: ms, requests, orders and units a second, and for each quota of `sale` held,
    pending, paid, blocked and free.
    """

    sale: _Sale
    now: _Frame
    past: list[list[float | None]]


class Live:
    """The tickers of one process, by event."""

    def __init__(self, house: House, watch: Watch) -> None:
        self._house = house
        self._watch = watch
        self._tickers: dict[int, _Ticker] = {}
        self._viewers = 0

    def close(self) -> None:
        """Send all viewers home."""
        for ticker in self._tickers.values():
            ticker.close()

    async def follow(self, event: Event) -> AsyncGenerator[bytes, None]:
        """Yield what a viewer is to be sent, as server-sent events. Raises Unavailable where too many watch already."""
        if self._viewers >= _VIEWERS_MAX:
            raise Unavailable(reason="too many viewers")
        ticker = self._tickers.get(event.id)
        if ticker is None or ticker.ended:
            if len(self._tickers) >= _VIEWERS_MAX:
                self._end_idle()
            ticker = self._tickers[event.id] = _Ticker(self._house, self._watch, event, self._forget)
        self._viewers += 1
        try:
            async for data in ticker.follow():
                yield data
        finally:
            self._viewers -= 1

    def _end_idle(self) -> None:
        """End tickers that only wait for somebody to come back."""
        for ticker in self._tickers.values():
            if ticker.idle:
                ticker.close()

    def _forget(self, ticker: _Ticker) -> None:
        if self._tickers.get(ticker.event_id) is ticker:
            del self._tickers[ticker.event_id]


class _Ticker:
    """Watches one event for all its viewers."""

    def __init__(self, house: House, watch: Watch, event: Event, forget: Callable[[_Ticker], None]) -> None:
        self._house = house
        self._watch = watch
        self._event = event
        self._forget = forget
        self._rates = Rates()
        self._viewers: set[asyncio.Queue[bytes | None]] = set()
        self._rows: dict[int, Row] = {}
        self._sale: _Sale | None = None
        self._frame: _Frame | None = None
        self._past: deque[list[float | None]] = deque()
        self._first = asyncio.Event()
        self._left_at = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._run())

    @property
    def event_id(self) -> int:
        return self._event.id

    @property
    def ended(self) -> bool:
        return self._task.done() or self._task.cancelling() > 0

    @property
    def idle(self) -> bool:
        """Whether nobody watches."""
        return not self._viewers

    def close(self) -> None:
        self._task.cancel()

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """Yield a hello, then frames, until the ticker ends or the viewer is too far behind."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BEHIND_MAX)
        first = asyncio.create_task(self._first.wait())
        await asyncio.wait({first, self._task}, return_when=asyncio.FIRST_COMPLETED)
        first.cancel()
        if self.ended:
            return
        self._viewers.add(queue)
        try:
            yield self._hello()
            while (data := await queue.get()) is not None:
                yield data
        finally:
            self._viewers.discard(queue)
            self._left_at = asyncio.get_running_loop().time()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._viewers or loop.time() - self._left_at < _LINGER_S:
                began = loop.time()
                try:
                    await self._tick()
                except Exception:
                    log.exception("cannot watch %s/%s", self._event.organizer, self._event.slug)
                self._first.set()
                pause_s = max(TICK_S, len(self._event.quotas) / _QUOTAS_A_SECOND)
                await asyncio.sleep(max(pause_s / 2, began + pause_s - loop.time()))
        finally:
            self._forget(self)
            for queue in self._viewers:
                _put(queue, None)

    async def _tick(self) -> None:
        rows = await self._read()
        changed = [] if rows is None else [row for row in rows if self._rows.get(int(row[0] or 0)) != row]
        sale = self._described()
        anew = sale != self._sale
        if rows is not None:
            self._rows = {int(row[0] or 0): row for row in rows}
        reports = await self._house.ledger.reports.all()
        requests, orders, units = (round(rate, 1) for rate in self._rates.look(reports, self._event.id))
        lag = await self._lag()
        # a worker needs longer to its first report than we do
        began = self._house.ledger.reports.own().began
        worked = max((report.at for report in reports if report.role == "worker"), default=began)
        alarms = await self._alarms(rows is None, lag, clock.now().timestamp() - worked)
        at = int(clock.now().timestamp() * 1000)
        self._frame = _Frame(at, (requests, orders, units), lag, alarms, changed)
        if anew:
            if self._sale is None or [quota[0] for quota in self._sale.quotas] != [quota[0] for quota in sale.quotas]:
                self._past.clear()
            self._sale = sale
        if rows is not None:
            numbers = [self._rows.get(quota[0]) for quota in sale.quotas]
            nothing: list[float | None] = [None] * 5
            past = [n for row in numbers for n in (nothing if row is None else [*row[4:8], row[3]])]
            self._past.append([at, requests, orders, units, *past])
        while len(self._past) > min(_FRAMES_KEPT, max(2, _NUMBERS_KEPT // (5 * len(self._rows) + 4))):
            self._past.popleft()
        data = self._hello() if anew else _event("frame", self._frame)
        for queue in list(self._viewers):
            _put(queue, data)

    async def _read(self) -> list[Row] | None:
        """Return the counts of all quotas, None while they cannot be had."""
        try:
            self._event = await self._house.catalogue.current(self._event)
            ids = list(self._event.quotas)
            counts: dict[int, Counts] = {}
            for first in range(0, len(ids), _QUOTAS_A_CALL):
                counts |= await self._house.catalogue.counts(self._event, ids[first : first + _QUOTAS_A_CALL])
        except HoldfastError as error:
            log.debug("no counts: %s", error)
            return None
        return [_row(quota_id, counts[quota_id]) for quota_id in ids if quota_id in counts]

    async def _lag(self) -> tuple[int, float] | None:
        try:
            lag = await self._watch.lag(self._house.ledger.shard_of(self._event))
        except (HoldfastError, RedisError):
            return None
        return lag.entries, round(lag.seconds, 2)

    async def _alarms(self, away: bool, lag: tuple[int, float] | None, worker_silent_s: float) -> list[Alarm]:
        """Return what is wrong, the worst first."""
        found = []
        if away:
            text = "Nothing is sold: Redis is away, or its books are being verified. Sales go on by themselves."
            found.append(Alarm("fence", text))
        if worker_silent_s > _WORKER_ALARM_S:
            text = "No worker reports: orders are not confirmed, mails are not sent. Start holdfast worker."
            found.append(Alarm("worker", text))
        if lag is not None and lag[1] > _LAG_ALARM_S:
            text = f"Postgres is {lag[1]:.0f} s behind: {lag[0]} changes wait to be confirmed."
            found.append(Alarm("lag", text))
        books = await self._watch.books.get()
        if books is None:
            found.append(Alarm("postgres", "Postgres does not answer. Sales go on; orders are answered 202."))
            return found
        if books.differences:
            text = f"Redis and Postgres differ in {books.differences} places. Run holdfast audit."
            found.append(Alarm("difference", text))
        if books.parked:
            text = f"{books.parked} changes could not be written to Postgres. Run holdfast audit."
            found.append(Alarm("parked", text))
        mails = books.dead.get(("mail", self._event.organizer_id), 0)
        if mails:
            found.append(Alarm("mails", f"{mails} mails could not be sent. See holdfast mails dead."))
        webhooks = books.dead.get(("webhook", self._event.organizer_id), 0)
        if webhooks:
            text = f"{webhooks} webhook calls could not be delivered. See holdfast webhooks dead."
            found.append(Alarm("webhooks", text))
        return found

    def _described(self) -> _Sale:
        event = self._event
        return _Sale(
            event.slug,
            event.organizer,
            [
                (quota.id, quota.name, date.name if date else "", date.date_from if date else None)
                for quota in event.quotas.values()
                for date in [event.subevents.get(quota.subevent or 0)]
            ],
        )

    def _hello(self) -> bytes:
        assert self._sale is not None
        assert self._frame is not None
        now = msgspec.structs.replace(self._frame, quotas=list(self._rows.values()))
        return _event("hello", _Hello(self._sale, now, list(self._past)))


def _row(quota_id: int, counts: Counts) -> Row:
    return [
        quota_id,
        counts.size,
        int(counts.closed),
        counts.free,
        counts.held,
        counts.pending,
        counts.paid,
        counts.blocked,
        counts.waiting,
        counts.exited,
    ]


def _event(name: str, content: Struct) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(content))


def _put(queue: asyncio.Queue[bytes | None], data: bytes | None) -> None:
    """Put something into a viewer's queue; one that is full is ended."""
    if data is not None and queue.qsize() < _BEHIND_MAX - 1:
        queue.put_nowait(data)
        return
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)
