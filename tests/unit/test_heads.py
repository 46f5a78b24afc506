"""Heads of requests that came before are understood without the parser, and nothing else is."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser

from engine.http.incoming import UNKNOWN, Memory

TYPE = b"Content-Type: application/json; charset=utf-8"
HEAD = b"POST /api/v1/a/ HTTP/1.1\r\nHost: x\r\n" + TYPE + b"\r\nContent-Length: 3\r\n\r\n"


def parsed(data):
    """Return what aiohttp makes of the first request in `data`."""
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16)
        messages, _, _ = parser.feed_data(data)
        return messages[0][0]
    finally:
        loop.close()


@pytest.fixture
def memory():
    """A memory that has met HEAD."""
    made = Memory()
    assert made.learn(HEAD + b"{ }", parsed(HEAD + b"{ }")) == 0
    return made


def test_nothing_is_known_at_first():
    assert Memory().request(HEAD + b"{ }", None) is None


def test_what_came_before_is_known_with_another_body_on_another_path(memory):
    request = memory.request(HEAD.replace(b"POST /api/v1/a/", b"PATCH /api/v1/b/c_D-9/") + b"[7]", None)
    assert (request.method, request.path, request.line.raw_path) == ("PATCH", "/api/v1/b/c_D-9/", "/api/v1/b/c_D-9/")
    assert request.body == b"[7]"
    assert request.fields.content_type == "application/json"
    assert request.headers["host"] == "x"
    assert (request.query_string, dict(request.query)) == ("", {})
    assert request.content.is_eof()
    assert request.lasts


@pytest.mark.parametrize(
    "data",
    [
        HEAD,
        HEAD + b"{",
        HEAD + b"{ }G",
        HEAD + b"{ }" + HEAD + b"{ }",
        HEAD[:-4] + b"{ }",
        HEAD[:-2],
        HEAD.replace(b"Host: x", b"Host: y") + b"{ }",
        HEAD.replace(b"Host", b"host") + b"{ }",
        HEAD.replace(b"Length: 3", b"Length: 4") + b"{  }",
        HEAD.replace(b"\r\nHost", b"\nHost") + b"{ }",
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"{ }",
        HEAD.replace(b"POST", b"HEAD") + b"{ }",
        HEAD.replace(b"POST", b"post") + b"{ }",
        HEAD.replace(b"POST ", b"POST  ") + b"{ }",
        HEAD.replace(b"POST", b"\r\nPOST") + b"{ }",
        HEAD.replace(b"/a/", b"/a/?b=c") + b"{ }",
        HEAD.replace(b"/a/", b"/a") + b"{ }",
        HEAD.replace(b"/a/", b"/../a/") + b"{ }",
        HEAD.replace(b"/a/", b"//a/") + b"{ }",
        HEAD.replace(b"/a/", b"/%61/") + b"{ }",
        HEAD.replace(b"/a/", b"/\xc3\xa4/") + b"{ }",
        HEAD.replace(b"/a/", b"/" + b"a" * 400 + b"/") + b"{ }",
        HEAD.replace(b"/api", b"http://x/api") + b"{ }",
        b"{ }",
        b"",
    ],
)
def test_all_else_is_for_the_parser(memory, data):
    assert memory.request(data, None) is None


@pytest.mark.parametrize(
    ("data", "owed"),
    [
        (HEAD, 3),
        (HEAD + b"{", 2),
        (HEAD + b"{ }", 0),
        (HEAD + b"{ }G", UNKNOWN),
        (b"\r\n" + HEAD + b"{ }", UNKNOWN),
        (HEAD.replace(b"Content-Length: 3", b"Transfer-Encoding: chunked"), UNKNOWN),
        (HEAD.replace(b"Content-Type: ", b"Connection: Upgrade\r\nUpgrade: websocket\r\nX: "), UNKNOWN),
    ],
)
def test_how_much_of_a_request_is_missing_is_known_or_not(data, owed):
    assert Memory().learn(data, parsed(data)) == owed


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n" + HEAD,
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HEAD.replace(b"Host", b"Connection: close\r\nHost"),
        HEAD.replace(b"Host", b"Content-Encoding: gzip\r\nHost"),
        HEAD.replace(b"Host", b"X-Long: " + b"a" * 2000 + b"\r\nHost"),
    ],
)
def test_some_heads_are_never_remembered(head):
    memory = Memory()
    memory.learn(head + b"{ }", parsed(head + b"{ }"))
    assert memory.request(head + b"{ }", None) is None


def test_what_is_remembered_is_bounded(memory):
    for number in range(5000):
        memory.request(HEAD.replace(b"/a/", b"/%d/" % number) + b"{ }", None)
        head = HEAD.replace(b"Host: x", b"Host: %d" % number)
        if number < 1500:
            memory.learn(head + b"{ }", parsed(head + b"{ }"))
    assert len(memory._lines) <= 4000
    assert len(memory._fields) <= 1000
