"""Buyers who do not hesitate: each wants one unit, orders what he holds and pays at once, or is told he is too late.

`python -m loadtests.lean` reads one Crowd as JSON from stdin, sends it, and writes a Record to its path. Buyers come at
even distances, whether those before them have been served or not, and a buyer's wait is counted from the instant when
he came: what waits in here for a free connection waits, too.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop
from msgspec import Struct

from loadtests.judge import judge, retry_after
from loadtests.record import Failure, Outcome, Record, Requests
from loadtests.shop import PRICE, Shop, product

FAILURES_KEPT = 50
RECONNECT_S = 0.05


class Crowd(Struct):
    """Who comes, to which shop, and through how many connections: for holds, and for orders."""

    base_url: str
    token: str
    organizer: str
    shop: Shop
    buyers: int
    arrive_s: float
    seconds: float
    connections: int
    record: str


class Ask(Struct):
    """One request of a buyer who waits for its answer since an instant."""

    kind: str
    cart: str
    since: float


class Line(asyncio.Protocol):
    """One connection; takes up the next request when it is free, and connects again when the server has hung up."""

    def __init__(self, rush: Rush, queue: Queue) -> None:
        self.rush, self.queue = rush, queue
        self.transport: asyncio.Transport
        self.buffer = b""
        self.ask: Ask | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass of it
        self.queue.free(self)

    def send(self, ask: Ask) -> None:
        """Send a request."""
        self.ask = ask
        self.transport.write(self.rush.request(ask))

    def data_received(self, data: bytes) -> None:
        """Read one answer; it ends where its Content-Length says."""
        self.buffer = buffer = self.buffer + data if self.buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0 or self.ask is None:
            return
        head = dict(line.lower().split(b": ", 1) for line in buffer[:end].split(b"\r\n")[1:] if b": " in line)
        length = int(head.get(b"content-length", b"0"))
        if len(buffer) < end + 4 + length:
            return
        ask, self.ask, self.buffer = self.ask, None, b""
        if head.get(b"connection") == b"close":
            self.transport.close()
        else:
            self.queue.free(self)
        self.rush.answered(ask, int(buffer[9:12]), buffer[end + 4 : end + 4 + length], head)

    def connection_lost(self, _: Exception | None) -> None:
        """Connect again. Whether a request that was under way has taken effect nobody knows."""
        self.queue.lost(self)
        if self.ask is not None:
            ask, self.ask = self.ask, None
            self.rush.note(ask, "failed", 0, "the server closed the connection")
            self.rush.left()
        self.rush.connect_again(self.queue)


class Queue:
    """Requests that wait for a connection, or connections that wait for a request."""

    def __init__(self) -> None:
        self.waiting: deque[Ask] = deque()
        self.idle: list[Line] = []

    def put(self, ask: Ask) -> None:
        """Send a request as soon as there is a connection for it."""
        if self.idle:
            self.idle.pop().send(ask)
        else:
            self.waiting.append(ask)

    def free(self, line: Line) -> None:
        """Take up what waits."""
        if self.waiting:
            line.send(self.waiting.popleft())
        else:
            self.idle.append(line)

    def lost(self, line: Line) -> None:
        """Forget a connection."""
        if line in self.idle:
            self.idle.remove(line)


class Rush:
    """All buyers."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.record = Record(buyers=crowd.buyers)
        self.loop = asyncio.get_running_loop()
        self.holds, self.orders = Queue(), Queue()
        self.ended = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        parts = urlsplit(crowd.base_url)
        self.tls = parts.scheme == "https"
        self.host, self.port = parts.hostname or "", parts.port or (443 if self.tls else 80)
        self.item = crowd.shop.items[0]
        root = f"{parts.path.rstrip('/')}/api/v1/organizers/{crowd.organizer}/{crowd.shop.path}"
        position = {"item": self.item, "price": PRICE, "answers": []}
        order = {"email": "buyer@example.org", "locale": "en", "sales_channel": "web", "payment_provider": "manual"}
        self.paths = {"hold": f"{root}cartpositions/", "order": f"{root}orders/"}
        self.bodies = {
            "hold": msgspec.json.encode({**position, "sales_channel": "web", "cart_id": "$cart"}),
            "order": msgspec.json.encode({**order, "status": "p", "consume_carts": ["$cart"], "positions": [position]}),
        }
        self.head = f"Host: {parts.netloc}\r\nAuthorization: Token {crowd.token}\r\nAccept: application/json\r\n"
        self.head += "Content-Type: application/json\r\n"

    async def run(self) -> None:
        """Let everybody in, and wait until the last one has left, or the time is over."""
        lines = [self.connect(queue) for queue in (self.holds, self.orders) for _ in range(self.crowd.connections)]
        await asyncio.gather(*lines)
        self.record.started, self.began = time.time(), time.perf_counter()
        self.hand_over()
        arriving = asyncio.ensure_future(self.arrive())
        try:
            await asyncio.wait_for(self.ended.wait(), self.crowd.seconds)
        except TimeoutError:
            self.record.answers.unanswered = self.crowd.buyers - self.record.left
        arriving.cancel()
        self.hand_over()

    async def connect(self, queue: Queue) -> None:
        """Open one connection."""
        await self.loop.create_connection(lambda: Line(self, queue), self.host, self.port, ssl=self.tls or None)

    def connect_again(self, queue: Queue) -> None:
        """Open a connection for one that was lost, sooner or later."""
        if self.ended.is_set():
            return

        async def until_it_works() -> None:
            while not self.ended.is_set():
                try:
                    await self.connect(queue)
                except OSError:
                    await asyncio.sleep(RECONNECT_S)
                else:
                    return

        task = self.loop.create_task(until_it_works())
        self.tasks.add(task)  # the loop itself keeps a task only weakly
        task.add_done_callback(self.tasks.discard)

    async def arrive(self) -> None:
        """Let buyers in, each at his instant."""
        each = self.crowd.arrive_s / self.crowd.buyers
        for buyer in range(self.crowd.buyers):
            since = self.began + buyer * each
            if (early := since - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            self.holds.put(Ask("hold", f"lean{buyer:09d}@api", since))
            if buyer % 100 == 99:
                await asyncio.sleep(0)

    def request(self, ask: Ask) -> bytes:
        """Return the bytes of a request."""
        body = self.bodies[ask.kind].replace(b"$cart", ask.cart.encode())
        return f"POST {self.paths[ask.kind]} HTTP/1.1\r\n{self.head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def answered(self, ask: Ask, status: int, body: bytes, head: dict[bytes, bytes]) -> None:
        """Go on from an answer: order, try again, or leave."""
        text = body.decode(errors="replace") if status >= 300 else ""
        outcome = judge(ask.kind, status, text)
        self.note(ask, outcome, status, text)
        now = time.perf_counter()
        if outcome == "busy":
            wait_s = retry_after({"Retry-After": head.get(b"retry-after", b"1").decode()})
            self.loop.call_later(wait_s, self.queue(ask.kind).put, Ask(ask.kind, ask.cart, now + wait_s))
        elif outcome == "done" and ask.kind == "hold":
            self.orders.put(Ask("order", ask.cart, now))
        else:
            if outcome == "done":
                name = product(self.item)
                for counts in (self.record.answers.ordered, self.record.answers.paid):
                    counts[name] = counts.get(name, 0) + 1
            self.left()

    def queue(self, kind: str) -> Queue:
        """Return where requests of a kind wait."""
        return self.holds if kind == "hold" else self.orders

    def note(self, ask: Ask, outcome: Outcome, status: int, text: str) -> None:
        """Keep one request for the report."""
        requests = self.record.requests.setdefault(ask.kind, Requests())
        requests.at.append(round(ask.since - self.began, 3))
        requests.ms.append(round((time.perf_counter() - ask.since) * 1000, 2))
        requests.outcome.append(outcome)
        if outcome == "failed":
            self.record.answers.unanswered += not status
            if len(self.record.failures) < FAILURES_KEPT:
                self.record.failures.append(Failure(ask.kind, status, text[:500]))

    def left(self) -> None:
        """Note that a buyer has gone home."""
        self.record.left += 1
        if self.record.left == self.crowd.buyers:
            self.ended.set()

    def hand_over(self) -> None:
        """Write what the buyers saw so far: nothing at the start, which tells the rush when that was."""
        unfinished = Path(self.crowd.record + ".part")
        unfinished.write_bytes(msgspec.json.encode(self.record))
        unfinished.rename(self.crowd.record)


async def send(crowd: Crowd) -> None:
    """Send a crowd."""
    await Rush(crowd).run()


if __name__ == "__main__":
    uvloop.run(send(msgspec.json.decode(sys.stdin.buffer.read(), type=Crowd)))
