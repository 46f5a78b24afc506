"""However requests are cut into pieces on their way, and whatever came before them, their answers are the same."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import pytest


class Line:
    """One connection, on which requests go out as they are told to, and answers are read one by one."""

    def __init__(self, server):
        address = urlsplit(server.base_url)
        self._socket = socket.create_connection((address.hostname, address.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = self._socket.makefile("rb")

    def send(self, *pieces):
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(0.005)  # or they would arrive as one
            self._socket.sendall(piece)

    def answer(self):
        """Return status and body of the next answer."""
        status = int(self._read.readline().split()[1])
        self.headers = {}
        while (line := self._read.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            self.headers[name.lower()] = value.strip()
        return status, self._read.read(int(self.headers.get(b"content-length", 0)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._read.close()
        self._socket.close()


@pytest.fixture
def requests(server, shop):
    """Requests whose answers do not depend on when they are asked."""
    made = shop()
    root = f"/api/v1/organizers/{server.organizer}/"
    event = f"{root}events/{made.slug}/"
    quota = made.add("quotas/", name="q", size=5, items=[made.item()], variations=[])["id"]
    lines = (
        ("GET", f"{event}quotas/{quota}/availability/", b""),
        ("POST", f"{event}cartpositions/", b'{"item": 0}'),
        ("GET", f"{event}quotas/{quota}/?with_availability=true", b""),
        ("POST", f"{event}orders/", b'{"positions": [], "locale": "en"}'),
        ("POST", f"{event}orders/", b'{"positions": [], "locale": 5}   '),
        ("GET", f"{event}quotas/999999999999/availability/", b""),
        ("DELETE", f"{event}quotas/{quota}/availability/", b""),
        ("GET", f"{event[:-1]}", b""),
        ("GET", f"{root}nothing/", b""),
        ("POST", f"{event}cartpositions/", b"{"),
    )
    common = f"Host: x\r\nAuthorization: Token {server.token}\r\n"
    typed = "Content-Type: application/json\r\nContent-Length: {}\r\n"
    return [
        f"{method} {path} HTTP/1.1\r\n{common}{typed.format(len(body)) if body else ''}\r\n".encode() + body
        for method, path, body in lines
    ]


@pytest.fixture
def answers(server, requests):
    """What each is answered on a connection of its own."""
    found = []
    for request in requests:
        with Line(server) as line:
            line.send(request)
            found.append(line.answer())
    assert [status for status, _ in found] == [200, 400, 200, 400, 400, 404, 405, 301, 404, 400]
    return found


def test_one_after_the_other(server, requests, answers):
    with Line(server) as line:
        for _ in range(3):
            for request, answer in zip(requests, answers, strict=True):
                line.send(request)
                assert line.answer() == answer


def test_all_at_once(server, requests, answers):
    with Line(server) as line:
        for _ in range(2):
            line.send(b"".join(requests))
            assert [line.answer() for _ in requests] == answers


def test_two_at_once_and_one_by_one(server, requests, answers):
    with Line(server) as line:
        line.send(requests[0])
        assert line.answer() == answers[0]
        line.send(requests[0], requests[1] + requests[2], requests[3])
        assert [line.answer() for _ in range(4)] == answers[:4]
        line.send(requests[4])
        assert line.answer() == answers[4]


@pytest.mark.parametrize("where", ["in its first line", "in a header", "before its body", "in its body"])
def test_cut_in_two(server, requests, answers, where):
    with Line(server) as line:
        for request, answer in [*zip(requests, answers, strict=True)] * 2:
            head = request.index(b"\r\n\r\n") + 4
            cuts = {"in its first line": 9, "in a header": head - 6, "before its body": head}
            cut = cuts.get(where, len(request) - 1)
            line.send(request[:cut], request[cut:])
            assert line.answer() == answer
            line.send(request)
            assert line.answer() == answer


def test_byte_by_byte(server, requests, answers):
    request, answer = requests[1], answers[1]
    with Line(server) as line:
        line.send(*(request[n : n + 1] for n in range(len(request))))
        assert line.answer() == answer
        line.send(request)
        assert line.answer() == answer


def test_the_end_of_one_with_the_begin_of_the_next(server, requests, answers):
    whole = requests[1] + requests[0] + requests[3]
    first = len(requests[1])
    with Line(server) as line:
        line.send(requests[1])
        assert line.answer() == answers[1]
        line.send(whole[: first - 1], whole[first - 1 : first + 30], whole[first + 30 :])
        assert [line.answer() for _ in range(3)] == [answers[1], answers[0], answers[3]]
        line.send(requests[0])
        assert line.answer() == answers[0]


def test_the_last_one_says_so_when_asked_to(server, requests, answers):
    with Line(server) as line:
        line.send(requests[0])
        assert line.answer() == answers[0]
        line.send(requests[0].replace(b"Host", b"Connection: close\r\nHost"))
        assert line.answer() == answers[0]
        assert line._read.read() == b""


def test_ids_and_idempotency_keys_are_those_of_each_request(server, requests):
    order = requests[1]
    with Line(server) as line:
        for key, request_id in ((b"", b"a"), (b"cut-1", b"b"), (b"cut-2", b"c"), (b"cut-1", b"d"), (b"", b"e")):
            own = (b"X-Idempotency-Key: %b\r\n" % key if key else b"") + b"X-Request-ID: %b\r\n" % request_id
            line.send(order.replace(b"Host", own + b"Host"))
            assert line.answer()[0] == 400
            assert line.headers[b"x-request-id"] == request_id
        own = b"X-Idempotency-Key: cut-1\r\n"
        line.send(order.replace(b"Host", own + b"Host").replace(b'"item": 0', b'"item": 1'))
        status, body = line.answer()
        assert (status, body) == (409, b'{"detail":"This idempotency key was used for another method, path or body."}')
