"""Growth is measured on what is really there, and drawn; a crowd is served although the server hangs up each time."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from loadtests import compare, growth_report
from loadtests.child import child
from loadtests.growth import Filling
from loadtests.growth_report import Growth, Memory
from loadtests.lean import Crowd, send
from loadtests.record import Record
from loadtests.result import Result
from loadtests.shop import Quota, Shop
from loadtests.target import TargetError, read


def test_growth_is_measured_step_by_step_and_drawn(run_up: Any, tmp_path: Path) -> None:
    growth = Growth("today", {})
    options = Namespace(seconds=0.1, rounds=1)
    # orders that are made in Postgres are unknown to Redis: an audit would say so
    with run_up(tmp_path) as up, child("loadtests.generator") as generator, child("loadtests.floor") as floor:
        target = read(up.ready_file)
        filling = Filling(target, generator, floor, options, growth)
        filling.availability([1, 5])
        filling.measuring.open_event()
        holds, hold_bytes = filling.holds([0, 1000])
        filling.measuring.open_event()
        filling.orders([0, 300])
        growth.memory = Memory(holds, hold_bytes, 500, filling.memory_of_orders(500), 1, 0, 1)
        filling.redis.close()
    assert [(step.kind, step.size) for step in growth.steps] == [
        ("availability", 1),
        ("availability", 5),
        ("hold", 0),
        ("hold", 1000),
        ("order", 0),
        ("order", 300),
    ]
    assert holds >= 1000
    assert growth.memory.order_bytes > 300
    growth_report.write(growth, tmp_path / "growth.json", tmp_path / "growth.svg")
    drawn = (tmp_path / "growth.svg").read_text()
    assert drawn.count("<svg") == 4
    assert "× 1.00" in drawn


async def test_buyers_of_a_server_that_hangs_up_after_each_answer_are_all_served(tmp_path: Path) -> None:
    left = 5
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        nonlocal left
        body = msgspec.json.decode(await request.read())
        asked.append(request.path.rsplit("/", 2)[1])
        if "cart_id" in body:
            left -= 1
            if left < 0:
                no = ['There is not enough quota available on quota "Hall" to perform the operation.']
                return web.json_response(no, status=400, headers={"Connection": "close"})
        return web.json_response({"code": "A"}, status=201, headers={"Connection": "close"})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    shop = Shop("e", [1], [Quota(1, "Hall", 5, [1])])
    path = tmp_path / "record.json"
    await send(Crowd(f"http://{host}:{port}", "T", "o", shop, 30, 0.2, 30, 3, str(path)))
    await runner.cleanup()
    record = msgspec.json.decode(path.read_bytes(), type=Record)
    assert (asked.count("cartpositions"), asked.count("orders")) == (30, 5)
    assert (record.left, record.answers.ordered, record.failures) == (30, {"1": 5}, [])
    result = Result("today", "http://it", 1.0, shop, record, [], [], None, lean=True)
    assert (result.sold, len(result.waits("hold", "sold_out"))) == (5, 25)
    kept = tmp_path / "result.json"
    kept.write_bytes(msgspec.json.encode(result))
    assert compare.rows([compare.read_result(kept), result])[2] == ["tickets ordered", "5", "5"]


def test_what_no_rush_has_left_cannot_be_compared(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("{}")
    with pytest.raises(TargetError, match="is not what a rush leaves"):
        compare.read_result(file)
