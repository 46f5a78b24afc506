"""Replies as bytes: what goes out ready-made and what aiohttp puts together look the same to a client."""

from __future__ import annotations

import socket
from email.parser import BytesParser
from urllib.parse import urlsplit

import pytest

COMMON = {"content-type", "vary", "server", "date", "content-length", "x-request-id"}


def exchange(server, head, path="/api/v1/organizers/", body=b""):
    """Send one request as it stands; return status line, headers and all that follows until the server is silent."""
    address = urlsplit(server.base_url)
    lines = [f"{head.format(path)}", "Host: x", f"Authorization: Token {server.token}", *extra(body)]
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        received = connection.recv(65536)
        connection.settimeout(0.5)
        closed = False
        try:
            while part := connection.recv(65536):
                received += part
            closed = True
        except TimeoutError:
            pass
    raw_head, _, rest = received.partition(b"\r\n\r\n")
    status, _, raw_headers = raw_head.partition(b"\r\n")
    return status.decode(), BytesParser().parsebytes(raw_headers + b"\r\n\r\n"), rest, closed


def extra(body):
    return [f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else []


def test_a_usual_reply_has_its_length_and_keeps_the_connection(server):
    status, headers, body, closed = exchange(server, "GET {} HTTP/1.1")
    assert status == "HTTP/1.1 200 OK"
    assert int(headers["Content-Length"]) == len(body)
    assert {name.lower() for name in headers} == COMMON
    assert not closed


def test_head_has_the_same_headers_and_no_body(server):
    _, usual, body, _ = exchange(server, "GET {} HTTP/1.1")
    status, headers, nothing, _ = exchange(server, "HEAD {} HTTP/1.1")
    assert status == "HTTP/1.1 200 OK"
    assert nothing == b""
    assert headers["Content-Length"] == str(len(body))
    assert sorted(headers) == sorted(usual)


@pytest.mark.parametrize("head", ["GET {} HTTP/1.0", "GET {} HTTP/1.1\r\nConnection: close"])
def test_whoever_wants_the_connection_closed_gets_it_closed(server, head):
    status, headers, body, closed = exchange(server, head)
    assert status.endswith("200 OK")
    assert int(headers["Content-Length"]) == len(body)
    assert closed


def test_two_requests_in_one_go_get_two_replies_in_order(server):
    first = "GET {0} HTTP/1.1\r\nHost: x\r\nAuthorization: Token " + server.token + "\r\n\r\nGET {0}nothing/ HTTP/1.1"
    _, _, rest, _ = exchange(server, first)
    assert rest.count(b"HTTP/1.1 ") == 1
    assert b"HTTP/1.1 404" in rest or b"HTTP/1.1 403" in rest
