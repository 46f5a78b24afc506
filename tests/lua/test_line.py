"""The drain's connection to Redis: what is told is done, its errors come out, and it is made again when it breaks."""

from __future__ import annotations

import pytest
from fresh import fresh
from redis.exceptions import RedisError, ResponseError

from engine.ledger.line import Line, packed


@pytest.fixture
def line(redis_url):
    made = Line(redis_url, 5.0)
    yield made
    made.close()


def test_answers_come_in_order_and_errors_are_among_them(line):
    name = fresh("line")
    first, wrong, last = line.ask(("SET", name, 1), ("LPUSH", name, 1), ("INCRBY", name, 4))
    assert (first, last) == (b"OK", 5)
    assert isinstance(wrong, ResponseError)
    large = b"x" * 1_000_000
    assert line.ask(("SET", name, large), ("GET", name)) == [b"OK", large]


def test_a_command_may_be_packed_by_whoever_sends_it(line):
    name = fresh("line").encode()
    value = b"\r\n$1\r\n\x00"
    command = b"*3\r\n" + packed(b"SET") + packed(name, value)
    assert line.ask(command, ("GET", name)) == [b"OK", value]


def test_what_is_told_is_done_before_the_next_command_and_its_answer_is_nobodys(line):
    name = fresh("line")
    line.tell(("SET", name, 1), ("INCR", name))
    line.tell(("INCR", name))
    assert line.ask(("GET", name)) == [b"3"]
    assert line.ask() == []


def test_what_went_wrong_with_what_was_told_is_raised_later(line):
    name = fresh("line")
    line.tell(("SET", name, "text"), ("INCR", name))
    with pytest.raises(ResponseError):
        line.ask(("GET", name))
    assert line.ask(("GET", name)) == [b"text"]


def test_a_line_that_was_cut_is_made_again(line):
    [number] = line.ask(("CLIENT", "ID"))
    assert line.ask(("CLIENT", "KILL", "ID", number, "SKIPME", "no")) == [1]
    with pytest.raises((RedisError, OSError)):
        line.ask(("PING",))
    assert line.ask(("PING",)) == [b"PONG"]
    assert line.ask(("CLIENT", "ID")) != [number]
