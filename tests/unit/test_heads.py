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


def with_fields(fields):
    return HEAD.replace(b"Host: x\r\n", b"Host: x\r\n" + b"".join(field + b"\r\n" for field in fields)) + b"{ }"


@pytest.mark.parametrize(
    ("fields", "request_id", "key"),
    [
        ([], None, None),
        ([b"X-Request-ID: abc"], "abc", None),
        ([b"x-request-id: a-b=c"], "a-b=c", None),
        ([b"X-Idempotency-Key: 1234", b"traceparent: 00-af76-b7ad-01"], None, "1234"),
        ([b"X-REQUEST-ID: 1", b"X-Idempotency-Key: 2"], "1", "2"),
        ([b"X-Request-ID: 1", b"X-Request-ID: 2", b"X-Idempotency-Key: 3", b"x-idempotency-key: 4"], "1", "3"),
    ],
)
def test_fields_that_are_new_each_time_are_read_each_time(memory, fields, request_id, key):
    request = memory.request(with_fields(fields), None)
    assert (request.request_id, request.idempotency_key) == (request_id, key)
    assert request.body == b"{ }"


@pytest.mark.parametrize(
    "fields",
    [
        [b"X-Request-ID: a b"],
        [b"X-Request-ID:abc"],
        [b"X-Request-ID: abc "],
        [b"X-Idempotency-Key: \xc3\xa4"],
        [b"X-Idempotency-Key: "],
        [b"X-Idempotency-Key: 1\x00"],
        [b"X-Idempotency-Key: " + b"1" * 200],
        [b"X-Idempotency-Key: 1\r\n 2"],
        [b"X-Other: X-Request-ID: 1"],
    ],
)
def test_odd_ones_are_for_the_parser_each_time(memory, fields):
    data = with_fields(fields)
    for _ in range(3):
        assert memory.request(data, None) is None
        if b"\x00" not in data and b"\r\n 2" not in data:
            memory.learn(data, parsed(data))


def test_what_was_new_once_is_nobody_elses(memory):
    head = HEAD.replace(b"Host: x", b"Host: y")
    first = head.replace(b"Content-Type", b"X-Request-ID: one\r\nX-Idempotency-Key: two\r\nContent-Type") + b"{ }"
    memory.learn(first, parsed(first))
    request = memory.request(head + b"{ }", None)
    assert (request.request_id, request.idempotency_key) == (None, None)
    again = memory.request(first.replace(b"one", b"three"), None)
    assert (again.request_id, again.idempotency_key) == ("three", "two")


def about(memory, code, what="confirm"):
    """Return the line of a request about an order."""
    request = memory.request(HEAD.replace(b"/a/", b"/events/e/orders/%b/%b/" % (code, what.encode())) + b"{ }", None)
    return request and request.line


def test_where_a_line_leads_holds_for_all_orders_but_not_for_other_lines(memory):
    first = about(memory, b"ABC12")
    assert (first.method, first.path, first.way) == ("POST", "/api/v1/events/e/orders/ABC12/confirm/", None)
    first.lead("a way", {"event": "e", "code": "ABC12"})
    for code in (b"ABC12", b"ZZZZZ9", b"E"):
        line = about(memory, code)
        assert line.raw_path == line.path == f"/api/v1/events/e/orders/{code.decode()}/confirm/"
        assert (line.way, line.params) == ("a way", {"event": "e", "code": code.decode()})
    assert about(memory, b"ABC12", "refund").way is None
    assert about(memory, b"abc12").way is None
    assert memory.request(HEAD.replace(b"POST", b"GET").replace(b"/a/", b"/events/e/orders/Q/") + b"{ }", None)
    assert first.params == {"event": "e", "code": "ABC12"}


@pytest.mark.parametrize("code", [b"", b"AB%43", b"A" * 33 + b"?"])
def test_a_line_without_a_code_or_with_an_odd_one_is_no_orders(memory, code):
    about(memory, b"ABC12").lead("a way", {"event": "e", "code": "ABC12"})
    assert about(memory, code) is None


def test_a_line_that_leads_elsewhere_says_nothing_about_others(memory):
    about(memory, b"ABC12").lead("a way", {"event": "ABC12"})
    assert about(memory, b"DEF").way is None


def test_what_is_remembered_is_bounded(memory):
    for number in range(5000):
        memory.request(HEAD.replace(b"/a/", b"/%d/" % number) + b"{ }", None)
        head = HEAD.replace(b"Host: x", b"Host: %d" % number)
        if number < 2500:
            memory.learn(head + b"{ }", parsed(head + b"{ }"))
        if number < 1500:
            assert memory.request(head + b"{ }", None) is not None
    assert len(memory._lines) <= 4000
    assert len(memory._fields) <= 1000
    assert len(memory._once) <= 1000


def test_heads_that_come_once_push_out_none_that_come_again(memory):
    assert memory.request(HEAD + b"{ }", None) is not None
    for number in range(1500):
        head = HEAD.replace(b"Host: x", b"Host: %d" % number)
        memory.learn(head + b"{ }", parsed(head + b"{ }"))
    assert memory.request(HEAD + b"{ }", None) is not None
