"""A lean load generator: a closed loop of keep-alive connections, in a process of its own.

`python -m loadtests.generator` reads one Job as a JSON line from stdin, runs it, and writes one Outcome as a JSON line
to stdout; then the next. It spends some 20 microseconds a request, so that what is measured is the server.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from itertools import repeat
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

from loadtests.figures import percentile

VALUE = "$value"
"""Stands in a job's path or body for the next of its values."""
LAST_ANSWERS_SECONDS = 60


class Job(Struct):
    """Requests to send: `concurrency` at a time until `seconds` are over or the values are used up."""

    host: str
    port: int
    method: str
    path: str
    headers: dict[str, str]
    concurrency: int
    seconds: float
    expected: int
    body: str = ""
    values: list[str] | None = None
    keep: str = ""
    """The field of the answers to hand back."""


class Outcome(Struct):
    """What came back. Milliseconds are from writing a request to having read its answer."""

    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    unexpected: int
    example: str
    """The first unexpected answer."""
    kept: list[str]
    sample: str
    """The body of one expected answer."""

    @property
    def rate(self) -> float:
        """Return requests a second."""
        return self.requests / self.seconds


class Run:
    """One job on its way."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.requests = _requests(job)
        self.durations: list[float] = []
        self.answers: list[bytes] = []
        self.unexpected = 0
        self.example = ""
        self.deadline = 0.0
        self.open = job.concurrency
        self.ended = asyncio.get_running_loop().create_future()

    def next_request(self) -> bytes | None:
        """Return what to send next; None when it is over."""
        return next(self.requests, None) if time.perf_counter() < self.deadline else None

    def answered(self, status: int, body: bytes, duration: float) -> None:
        """Note an answer."""
        self.durations.append(duration)
        if status != self.job.expected:
            self.fail(f"{status}: {body[:500].decode(errors='replace')}")
        elif self.job.keep or not self.answers:
            self.answers.append(body)

    def fail(self, told: str) -> None:
        """Note an unexpected answer."""
        self.unexpected += 1
        self.example = self.example or told

    def close_one(self) -> None:
        """Note that a connection has nothing more to do."""
        self.open -= 1
        if self.open == 0 and not self.ended.done():
            self.ended.set_result(None)


class Connection(asyncio.Protocol):
    """One client: writes a request, reads its answer, goes on."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.transport: asyncio.Transport
        self.buffer = b""
        self.sent = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the run starts all connections together."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass of it

    def go_on(self) -> None:
        """Send the next request, or leave."""
        request = self.run.next_request()
        self.busy = request is not None
        if request is None:
            self.run.close_one()
            self.transport.close()
            return
        self.sent = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Read one answer; it ends where its Content-Length says."""
        self.buffer = buffer = self.buffer + data if self.buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        status = int(buffer[9:12])
        length = 0 if status == 204 else _content_length(buffer[:end])
        if len(buffer) < end + 4 + length:
            return
        duration = time.perf_counter() - self.sent
        self.run.answered(status, buffer[end + 4 : end + 4 + length], duration)
        self.buffer = b""
        self.go_on()

    def connection_lost(self, _: Exception | None) -> None:
        """A connection that the server closes on a waiting client is a failure."""
        if self.busy:
            self.run.fail("the server closed the connection")
            self.run.close_one()


def _content_length(head: bytes) -> int:
    lower = head.lower()
    start = lower.index(b"\r\ncontent-length:") + 17
    end = lower.find(b"\r\n", start)
    return int(lower[start : end if end > 0 else len(lower)])


def _requests(job: Job) -> Iterator[bytes]:
    """Yield the bytes of each request."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in job.headers.items())
    head = f"{job.method} {{}} HTTP/1.1\r\nHost: {job.host}:{job.port}\r\n{headers}"

    def whole(path: str, body: str) -> bytes:
        content = body.encode()
        length = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if body else ""
        return f"{head.format(path)}{length}\r\n".encode() + content

    if job.values is None:
        return repeat(whole(job.path, job.body))
    return (whole(job.path.replace(VALUE, value), job.body.replace(VALUE, value)) for value in job.values)


async def run(job: Job) -> Outcome:
    """Run one job."""
    loop = asyncio.get_running_loop()
    state = Run(job)
    pairs = [
        await loop.create_connection(lambda: Connection(state), job.host, job.port) for _ in range(job.concurrency)
    ]
    started = time.perf_counter()
    state.deadline = started + job.seconds
    for _, connection in pairs:
        connection.go_on()
    await asyncio.wait_for(state.ended, job.seconds + LAST_ANSWERS_SECONDS)
    seconds = time.perf_counter() - started
    ordered = sorted(state.durations) or [0.0]
    p50, p95, p99 = (percentile(ordered, share) * 1000 for share in (0.5, 0.95, 0.99))
    kept = [str(msgspec.json.decode(body)[job.keep]) for body in state.answers] if job.keep else []
    sample = state.answers[0].decode() if state.answers else ""
    return Outcome(len(state.durations), seconds, p50, p95, p99, state.unexpected, state.example, kept, sample)


def main() -> None:
    """Run jobs until stdin ends."""
    for line in sys.stdin.buffer:
        outcome = uvloop.run(run(msgspec.json.decode(line, type=Job)))
        sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
