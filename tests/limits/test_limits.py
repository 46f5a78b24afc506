"""What a client may send is bounded, and what is too much is told in an answer."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Doors = Callable[..., Any]

PATIENCE_S = 60
"""How long something that has to happen may take on a busy machine."""


def said(connection: socket.socket) -> tuple[int, bytes]:
    """Return the status and the rest of what comes until the other side closes."""
    connection.settimeout(PATIENCE_S)
    whole = b""
    # whoever closes while something is still on its way to him resets
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            whole += piece
    return (int(whole.split()[1]) if whole else 0), whole


def connect(door: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", door.port), PATIENCE_S)


def test_a_token_that_asks_too_often_is_throttled_alone(front_door: Doors, own: Any) -> None:
    door = front_door(RATE_LIMIT="3/m")
    with httpx.Client(headers=door.headers) as client:
        answers = [client.get(door.root + "events/") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 3
    wait = answers[-1].headers["Retry-After"]
    assert 1 <= int(wait) <= 20
    assert answers[-1].json() == {"detail": f"Request was throttled. Expected available in {wait} seconds."}
    # another token is not meant, and neither is another front door
    made = httpx.post(
        f"{own.base_url}/api/v1/organizers/{own.organizer}/teams/",
        headers=door.headers,
        json={"name": "other", "all_events": True},
    )
    team = f"{own.base_url}/api/v1/organizers/{own.organizer}/teams/{made.json()['id']}/"
    token = httpx.post(team + "tokens/", headers=door.headers, json={"name": "x"}).json()["token"]
    assert httpx.get(door.root + "events/", headers={"Authorization": f"Token {token}"}).status_code == 200
    assert httpx.get(door.root + "events/", headers={"Authorization": "Token none"}).status_code == 401


def test_who_tries_tokens_is_throttled_and_nobody_who_has_one(front_door: Doors, own: Any) -> None:
    door = front_door(AUTH_FAILURE_LIMIT="3/m")
    wrong: list[dict[str, str]] = [{}, {"Authorization": "Token none"}, {"Authorization": "Token"}]
    with httpx.Client() as client:
        answers = [client.get(door.root + "events/", headers=wrong[n % 3]) for n in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 3 + [429] * 3
        wait = answers[-1].headers["Retry-After"]
        assert 1 <= int(wait) <= 20
        assert answers[-1].json() == {"detail": f"Request was throttled. Expected available in {wait} seconds."}
        assert client.get(f"{door.base_url}/live/stream").status_code == 429
        # a token that this front door has never seen, and one that it has
        for _ in range(3):
            assert client.get(door.root + "events/", headers=door.headers).status_code == 200
        assert client.get(door.root + "events/").status_code == 429
        assert client.get(door.base_url + "/health/live").status_code == 200


def test_without_a_rate_nobody_is_throttled(front_door: Doors) -> None:
    door = front_door()
    with httpx.Client(headers=door.headers) as client:
        assert {client.get(door.root).status_code for _ in range(200)} == {200}


def test_bodies_that_do_not_arrive_end_with_408(front_door: Doors) -> None:
    door = front_door(BODY_TIMEOUT_S=1)
    with connect(door) as connection:
        head = f"POST {door.root}events/ HTTP/1.1\r\nHost: x\r\nAuthorization: {door.headers['Authorization']}\r\n"
        began = time.monotonic()
        connection.sendall(head.encode() + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'{"detail":"The request body did not arrive in time."}' in answer
        assert 0.5 < time.monotonic() - began < 25


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_connections_without_a_whole_request_are_closed(front_door: Doors, sent: bytes) -> None:
    door = front_door(IDLE_TIMEOUT_S=1)
    began = time.monotonic()
    with connect(door) as connection:
        connection.sendall(sent)
        assert said(connection)[0] == 0
        assert time.monotonic() - began > 0.5


def test_a_head_that_trickles_is_closed_too(front_door: Doors) -> None:
    door = front_door(IDLE_TIMEOUT_S=1)
    with connect(door) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        deadline = time.monotonic() + PATIENCE_S
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline:
                connection.sendall(b"X-A: b\r\n")
                time.sleep(0.05)
        assert time.monotonic() < deadline


def test_more_connections_than_allowed_are_told_to_come_again(front_door: Doors) -> None:
    door = front_door(CONNECTIONS_MAX=3)
    kept = [connect(door) for _ in range(3)]
    time.sleep(0.2)
    with connect(door) as one_more:
        status, whole = said(one_more)
    assert status == 503
    assert b"Retry-After: 1\r\n" in whole
    assert whole.endswith(b'\r\n\r\n{"detail":"Too many connections."}')
    kept.pop().close()
    deadline = time.monotonic() + PATIENCE_S
    status = 503
    while status == 503:
        assert time.monotonic() < deadline
        # whoever is one too many may find the connection closed before he has sent his request
        with contextlib.suppress(httpx.TransportError):
            status = httpx.get(door.root, headers=door.headers).status_code
    assert status == 200
    for connection in kept:
        connection.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(1000)) + b"\r\n", 400),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" * 9 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)
def test_heads_that_are_too_large_or_none_are_refused_in_json(
    front_door: Doors, request_bytes: bytes, status: int
) -> None:
    with connect(front_door()) as connection:
        connection.sendall(request_bytes)
        found, whole = said(connection)
    assert found == status
    head, _, body = whole.partition(b"\r\n\r\n")
    assert b"application/json" in head
    assert set(json.loads(body)) == {"detail"}


def test_what_is_too_large_is_413_before_it_is_sent(front_door: Doors) -> None:
    door = front_door()
    with connect(door) as connection:
        head = f"POST {door.root}events/ HTTP/1.1\r\nHost: x\r\nAuthorization: {door.headers['Authorization']}\r\n"
        connection.sendall(head.encode() + b"Content-Type: application/json\r\nContent-Length: 999999999\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_packed_bodies_are_not_unpacked(front_door: Doors) -> None:
    door = front_door()
    bomb = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
    before = door.memory_bytes()
    headers = {**door.headers, "Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = httpx.post(door.root + "events/", headers=headers, content=bomb)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error - ")
    assert door.memory_bytes() - before < 10_000_000


def test_chunks_that_are_none_end_with_the_time_for_a_body(front_door: Doors) -> None:
    door = front_door(BODY_TIMEOUT_S=1)
    with connect(door) as connection:
        head = f"POST {door.root}events/ HTTP/1.1\r\nHost: x\r\nAuthorization: {door.headers['Authorization']}\r\n"
        connection.sendall(head.encode() + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        time.sleep(0.2)
        connection.sendall(b"not a length\r\n")
        status, whole = said(connection)
    assert status == 408
    assert b"detail" in whole


def test_many_large_bodies_at_once_do_not_fill_the_memory(front_door: Doors) -> None:
    door = front_door(BODY_BYTES_MAX=8_000_000, BODY_TIMEOUT_S=3)
    before = door.memory_bytes()
    connections = [connect(door) for _ in range(50)]
    head = (
        f"POST {door.root}events/ HTTP/1.1\r\nHost: x\r\nAuthorization: {door.headers['Authorization']}\r\n"
        "Content-Type: application/json\r\nContent-Length: 7900000\r\n\r\n"
    )
    for connection in connections:
        connection.setblocking(False)
    most = 0
    unsent = {connection: memoryview(head.encode() + b" " * 7_800_000) for connection in connections}
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        for connection, rest in unsent.items():
            try:
                unsent[connection] = rest[connection.send(rest[:262_144]) :]
            except OSError:
                continue
        most = max(most, door.memory_bytes())
    assert most - before < 220_000_000
    statuses = set()
    for connection in connections:
        connection.settimeout(PATIENCE_S)
        try:
            statuses.add(int(connection.recv(65536).split()[1]))
        except OSError:
            continue
        finally:
            connection.close()
    assert statuses == {408, 503}
    assert httpx.get(door.root, headers=door.headers).status_code == 200
