"""The bench can hold a seat with a voucher of its own, and says what that costs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loadtests.api import Api
from loadtests.child import child
from loadtests.full_hold import Comparison, FullHolds
from loadtests.generator import Job, Outcome
from loadtests.measuring import known_processes
from loadtests.shop import PRICE, create_event, create_item, create_quota
from loadtests.target import TargetError, read


def test_each_full_hold_has_a_seat_and_a_voucher_that_nobody_had(server: Any) -> None:
    target = read(server.ready_file)
    api = Api(target)
    event = create_event(api)
    item = create_item(api, event, "Plain")
    create_quota(api, event, "Plain", 1000, [item])
    host, _, port = target.base_url.removeprefix("http://").partition(":")
    plain = Job(
        host=host,
        port=int(port),
        method="POST",
        path=f"{api.root}events/{event}/cartpositions/",
        headers={"Authorization": f"Token {target.token}", "Accept": "application/json"},
        concurrency=1,
        seconds=30,
        expected=201,
        body=msgspec.json.encode({"item": item, "price": PRICE}).decode(),
    )
    holds = FullHolds(api, plain, rounds=2, holds=30)
    with child("loadtests.generator") as generator:

        def run(job: Job) -> Outcome:
            return msgspec.json.decode(generator.ask(job), type=Outcome)

        found = holds.compare(run, known_processes(target), 8, rounds=2)
        with pytest.raises(TargetError, match="The specified seat does not exist"):
            holds.compare(run, known_processes(target), 8, rounds=1)
    assert sum(found.plain_us.values()) > 0
    path = holds.full.path.removeprefix(api.root)
    held = api.must("GET", f"{path}?page_size=50", None, 200)
    api.close()
    assert held["count"] == 60
    seats = {position["seat"]["seat_guid"] for position in held["results"]}
    assert len(seats) == len({position["voucher"] for position in held["results"]}) == 50


def test_twice_the_cost_is_the_most_a_full_hold_may_have() -> None:
    plain = {"front_doors": 60.0, "redis": 40.0}
    assert Comparison(32, plain, {"front_doors": 120.0, "redis": 80.0}).met
    assert not Comparison(32, plain, {"front_doors": 121.0, "redis": 80.0}).met
