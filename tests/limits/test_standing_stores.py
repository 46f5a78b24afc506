"""Stores that stand still under a flood: everybody is told so in time, nothing piles up, and sales go on afterwards."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import pytest
import redis
from fresh import fresh
from standstill import standing
from stored import shard_of

from engine.ledger import keys

Doors = Callable[..., Any]

PATIENCE_S = 40.0
"""No answer may take longer: a store's silence is noticed after 5 to 10 s, and the machine is busy."""


@pytest.fixture
def event(own: Any) -> dict[str, Any]:
    """An event with plenty of tickets, and one order, so that everything that is remembered is remembered."""
    slug = fresh("s")
    with httpx.Client(
        base_url=f"{own.base_url}/api/v1/organizers/{own.organizer}/", headers={"Authorization": f"Token {own.token}"}
    ) as client:
        body: dict[str, Any] = {
            "name": {"en": "A"},
            "slug": slug,
            "currency": "EUR",
            "date_from": "2031-01-01T10:00:00Z",
        }
        assert client.post("events/", json=body).status_code == 201
        item = client.post(f"events/{slug}/items/", json={"name": {"en": "T"}, "default_price": "1.00"}).json()["id"]
        body = {"name": "All", "size": 10**6, "items": [item], "variations": []}
        assert client.post(f"events/{slug}/quotas/", json=body).status_code == 201
    order = {"email": "a@example.org", "positions": [{"item": item}]}
    return {"path": f"events/{slug}/", "item": item, "order": order, "hold": {"item": item, "price": "1.00"}}


def process_of(server: Any, kind: str) -> int:
    """Return the process of a store."""
    [first] = json.loads(server.ready_file.read_text())["processes"][kind]
    return int(first)


async def flood(
    door: Any, method: str, path: str, body: Any, *, clients: int, seconds: float
) -> tuple[Counter[int], int, set[str]]:
    """Return statuses, the most memory used meanwhile, and what Retry-After said at 503. Raises TimeoutError."""
    statuses: Counter[int] = Counter()
    most = 0
    waits: set[str] = set()
    until = time.monotonic() + seconds

    async def one(session: aiohttp.ClientSession) -> None:
        while time.monotonic() < until:
            async with session.request(method, door.root + path, json=body) as answer:
                await answer.read()
            statuses[answer.status] += 1
            if answer.status == 503:
                waits.add(answer.headers["Retry-After"])
                await asyncio.sleep(0.2)

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, door.memory_bytes())
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        headers=door.headers, connector=connector, timeout=aiohttp.ClientTimeout(total=PATIENCE_S)
    ) as session:
        await asyncio.gather(*(one(session) for _ in range(clients)))
    watching.cancel()
    return statuses, most, waits


def settled(door: Any, method: str, path: str, body: Any) -> int:
    """Return the status of a request once the stores are believed again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        status = httpx.request(
            method, door.root + path, json=body, headers=door.headers, timeout=PATIENCE_S
        ).status_code
        if status != 503 or time.monotonic() > deadline:
            return status
        time.sleep(0.2)


async def test_a_redis_that_stands_still_is_503_in_time_and_fills_no_memory(
    front_door: Doors, own: Any, event: dict[str, Any]
) -> None:
    door = front_door()
    path = event["path"] + "cartpositions/"
    assert await asyncio.to_thread(settled, door, "POST", path, event["hold"]) == 201
    before = door.memory_bytes()
    large = event["hold"] | {"attendee_name_parts": {"full_name": "x" * 9000}}
    with standing(process_of(own, "redis")):
        statuses, most, waits = await flood(door, "POST", path, large, clients=400, seconds=6)
    assert set(statuses) <= {201, 503}
    assert statuses[503] >= 400
    assert all(wait.isdigit() for wait in waits)
    assert most - before < 80_000_000, statuses
    assert await asyncio.to_thread(settled, door, "POST", path, event["hold"]) == 201


async def test_a_postgres_that_stands_still_is_503_in_time_and_fills_no_memory(
    front_door: Doors, own: Any, event: dict[str, Any]
) -> None:
    door = front_door()
    path = event["path"] + "orders/"
    assert await asyncio.to_thread(settled, door, "GET", path, None) == 200
    before = door.memory_bytes()
    with standing(process_of(own, "postgres")):
        statuses, most, waits = await flood(door, "GET", path, None, clients=1300, seconds=3)
    assert set(statuses) == {503}
    assert all(wait.isdigit() for wait in waits)
    assert most - before < 120_000_000, statuses
    assert await asyncio.to_thread(settled, door, "GET", path, None) == 200


def test_sigterm_answers_what_is_under_way_and_takes_nothing_new(
    front_door: Doors, own: Any, event: dict[str, Any]
) -> None:
    door = front_door(ACK_TIMEOUT_S=PATIENCE_S)
    path = event["path"] + "orders/"
    outbox = keys.outbox(shard_of(own, event["path"].split("/")[1]))
    assert httpx.post(door.root + path, json=event["order"], headers=door.headers).status_code == 201
    answers: list[httpx.Response] = []

    def order() -> None:
        answers.append(httpx.post(door.root + path, json=event["order"], headers=door.headers, timeout=PATIENCE_S))

    with socket.create_connection(("127.0.0.1", door.port)) as idle, redis.Redis.from_url(own.redis_url) as store:
        until("the first order is written", lambda: store.xlen(outbox) == 0)
        with standing(process_of(own, "postgres")):
            buyers = [threading.Thread(target=order) for _ in range(10)]
            for buyer in buyers:
                buyer.start()
            # orders of one call of the script share an entry, a line each
            until(
                "they wait for Postgres",
                lambda: sum(fields[b"d"].count(b"\n") + 1 for _, fields in store.xrange(outbox)) == 10,
            )
            assert not answers
            door.process.send_signal(signal.SIGTERM)
            until("nothing new is taken", lambda: refused(door.port))
            assert door.process.poll() is None
        for buyer in buyers:
            buyer.join(PATIENCE_S)
        idle.settimeout(PATIENCE_S)
        assert idle.recv(100) == b"", "a connection without a request is closed"
    assert [answer.status_code for answer in answers] == [201] * 10
    assert door.process.wait(PATIENCE_S) == 0
    count = httpx.get(f"{own.base_url}/api/v1/organizers/{own.organizer}/{path}", headers=door.headers).json()["count"]
    assert count == 11


def test_what_was_sent_before_sigterm_on_an_open_connection_is_answered(
    front_door: Doors, event: dict[str, Any]
) -> None:
    door = front_door()
    head = f"GET {door.root}events/ HTTP/1.1\r\nHost: x\r\nAuthorization: {door.headers['Authorization']}\r\n\r\n"
    clients = [socket.create_connection(("127.0.0.1", door.port), PATIENCE_S) for _ in range(20)]
    try:
        for client in clients:
            client.sendall(head.encode())
            assert b"HTTP/1.1 200" in client.recv(100_000)
        door.process.send_signal(signal.SIGSTOP)
        for client in clients:
            client.sendall(head.encode())
        door.process.send_signal(signal.SIGTERM)
        door.process.send_signal(signal.SIGCONT)
        for client in clients:
            answer = b""
            while piece := client.recv(100_000):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200 ")
    finally:
        for client in clients:
            client.close()
    assert door.process.wait(PATIENCE_S) == 0


def until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


def refused(port: int) -> bool:
    """Tell whether nobody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE_S).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_ends_in_time_whatever_a_client_does(front_door: Doors, event: dict[str, Any]) -> None:
    door = front_door(BODY_TIMEOUT_S=600)
    with socket.create_connection(("127.0.0.1", door.port)) as slow:
        head = f"POST {door.root}events/ HTTP/1.1\r\nHost: x\r\nAuthorization: {door.headers['Authorization']}\r\n"
        slow.sendall(head.encode() + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.3)
        door.process.send_signal(signal.SIGTERM)
        assert door.process.wait(60) == 0
