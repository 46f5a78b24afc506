"""A client that follows orders by `modified_since` misses none, however far Postgres lags behind."""

from __future__ import annotations

from typing import Any

from loadtests.sync import follow
from loadtests.target import read


def test_a_follower_ends_with_exactly_the_orders_of_the_server(server: Any) -> None:
    result = follow(read(server.ready_file), orders=2000, buyers=8)
    assert result.wrong == []
    assert result.orders == 2000
    assert result.halts > 0
    assert result.polls > 20
