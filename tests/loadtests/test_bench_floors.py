"""The bench measures every kind of request, calls the server's own scripts again, and sees a drain catch up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from loadtests import bench, drain
from loadtests.api import Api
from loadtests.child import child
from loadtests.measured import Point
from loadtests.measuring import ALL, Measuring
from loadtests.redis_server import RedisServer
from loadtests.store_floor import TAG, Scripts, StoreFloor
from loadtests.target import read
from loadtests.targets import verdicts

HOLD = Point("hold", 128, 2, 100, 1.0, 8000.0, 10.0, 20.0, 50.0, {"front_doors": 18.0, "redis": 7.0}, 10.0, 9.0, 0, "")


def test_each_kind_of_request_is_answered_as_it_should_be(server: Any) -> None:
    target = read(server.ready_file)
    with child("loadtests.generator") as generator, child("loadtests.floor") as floor:
        points = list(Measuring(target, generator, floor).points(ALL, 8, 0.1))
    assert [point.kind for point in points] == [*ALL[:5], "detail", "availability", "bulk"]
    assert all(point.requests and not point.unexpected for point in points), points
    assert all(point.floor_rate and set(point.cpu_us) == set(target.processes) for point in points)


def test_scripts_that_are_called_again_do_their_work_where_nobody_else_sees_it(server: Any) -> None:
    target = read(server.ready_file)
    api = Api(target)
    with RedisServer(target.redis_url) as redis:
        with Scripts(target, api) as scripts:
            found = scripts.measure(target.processes, 0.05)
            assert found.holds >= found.orders > 0
            assert scripts.redis.ask("XLEN", scripts.outbox) == found.orders
        assert not redis.keys(f"*{TAG}*")
    api.close()


def test_a_drain_writes_what_has_piled_up(run_up: Any, tmp_path: Path) -> None:
    with run_up(tmp_path, environment=drain.ENVIRONMENT) as server, child("loadtests.generator") as generator:
        target = read(server.ready_file)
        found = bench.measure_drain(target, generator, 60)
        with RedisServer(target.redis_url) as redis:
            assert not any(redis.ask("XLEN", stream) for stream in redis.keys("*:outbox"))
    assert (found.orders, found.floor.orders) == (60, 60)
    assert found.seconds > 0


def test_a_target_is_met_up_to_its_limit_and_no_further() -> None:
    met = {(one.kind, one.figure): one.met for one in verdicts([HOLD], [], StoreFloor(7.0, 0.0, 1, 1), None)}
    assert all(met.values())
    assert len(met) == 6
    dearer = replace(HOLD, rate=7999.0, p99_ms=51.0, cpu_us={"front_doors": 18.5, "redis": 9.2})
    missed = [one.figure for one in verdicts([dearer], [], StoreFloor(7.0, 0.0, 1, 1), None) if not one.met]
    assert len(missed) == 5, missed
