"""A token may ask as often as its rate says, however it spreads its requests."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import Throttled
from engine.http.errors import answer
from engine.http.strangers import address_of
from engine.http.throttle import Throttle
from engine.settings import Rate


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_requests_beyond_the_rate_wait_until_one_has_come_back() -> None:
    clock = Clock()
    throttle = Throttle(Rate(3, 60.0), clock)
    for _ in range(3):
        throttle.take(b"one")
    with pytest.raises(Throttled) as refused:
        throttle.take(b"one")
    assert refused.value.retry_after_s == 20
    throttle.take(b"another")
    clock.now += 20
    throttle.take(b"one")
    with pytest.raises(Throttled):
        throttle.take(b"one")


@given(st.integers(1, 50), st.lists(st.floats(0, 3), max_size=200))
def test_never_more_than_a_period_and_what_came_back_meanwhile(requests: int, pauses: list[float]) -> None:
    clock = Clock()
    throttle = Throttle(Rate(requests, 1.0), clock)
    taken: list[float] = []
    for pause in pauses:
        clock.now += pause
        with suppress(Throttled):
            throttle.take(b"one")
            taken.append(clock.now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= requests + (taken[last] - taken[first]) * requests + 1e-3


def test_refused_requests_do_not_count() -> None:
    clock = Clock()
    throttle = Throttle(Rate(10, 1.0), clock)
    for _ in range(1000):
        with suppress(Throttled):
            throttle.take(b"one")
    clock.now += 0.1
    throttle.take(b"one")


def test_who_has_spent_all_is_known_before_and_nobody_else() -> None:
    clock = Clock()
    throttle = Throttle(Rate(2, 1.0), clock)
    for _ in range(2):
        assert not throttle.spent(b"one")
        throttle.take(b"one")
    assert throttle.spent(b"one")
    assert not throttle.spent(b"another")
    clock.now += 0.5
    assert not throttle.spent(b"one")


def test_no_more_are_remembered_than_there_is_room_for() -> None:
    throttle = Throttle(Rate(1, 60.0), Clock())
    for number in range(25_000):
        throttle.take(b"%d" % number)
        assert len(throttle._spent_until) <= 10_000
    assert throttle.spent(b"24999")


@pytest.mark.parametrize(
    ("remote", "same"),
    [
        ("203.0.113.7", "::ffff:203.0.113.7"),
        ("2001:db8::1", "2001:db8::ffff:2"),
        (None, ""),
    ],
)
def test_clients_are_told_apart_by_address_or_network(remote: str | None, same: str) -> None:
    assert address_of(remote) == address_of(same)
    assert address_of(remote) not in (
        address_of("203.0.113.8"),
        address_of("2001:db8:0:1::1"),
        address_of("fe80::1%eth0"),
    )


@pytest.mark.parametrize(("wait_s", "words"), [(1, "1 second."), (2, "2 seconds.")])
def test_the_answer_has_the_shape_that_clients_of_the_framework_know(wait_s: int, words: str) -> None:
    done = answer(Throttled(wait_s))
    assert (done.status, done.headers) == (429, {"Retry-After": str(wait_s)})
    assert done.body == b'{"detail":"Request was throttled. Expected available in %b"}' % words.encode()
