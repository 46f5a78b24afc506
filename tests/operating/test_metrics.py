"""What Prometheus is told: by any front door, of all processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import psycopg
import pytest
import redis

from engine.ledger import keys
from engine.ledger.reports import Report
from engine.meters import Meters, Rebuild

Scrape = Callable[..., Any]
EVENT = "/api/v1/organizers/{organizer}/events/{event}/"


@pytest.fixture(scope="module")
def sold(own: Any, scrape: Scrape) -> None:
    """One ticket is sold, another refused, and all processes have told of it."""
    command = [sys.executable, "-m", "engine", "demo", "--ready-file", str(own.ready_file)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with httpx.Client(
        base_url=f"{own.base_url}/api/v1/organizers/{own.organizer}/events/demo/",
        headers={"Authorization": f"Token {own.token}"},
        timeout=30,
    ) as client:
        item = client.post("items/", json={"name": {"en": "Last"}, "default_price": "1.00"}).json()["id"]
        client.post("quotas/", json={"name": "None", "size": 0, "items": [item], "variations": []})
        assert client.post("cartpositions/", json={"item": item, "price": "1.00"}).status_code == 400
        assert client.get("nothing/here/").status_code == 404
        assert client.get("orders/NOSUCH/").status_code == 404
    # the last of each kind: every process tells a second later what it has counted until then
    last = [("POST", "orders/", "201"), ("POST", "cartpositions/", "201"), ("GET", "orders/{code}/", "404")]
    deadline = time.monotonic() + 120
    told = 0
    # so often in a row that both front doors were asked: each looks at the stores when it is time for it
    while told < 16:
        found = scrape(own.base_url)
        requests = [labels for labels, _ in found.get("holdfast_requests_total", [])]
        asked = {(labels["method"], labels["route"], labels["status"]) for labels in requests}
        drained = sum(value for _, value in found["holdfast_drained_total"])
        waits = [found.get(f"holdfast_{name}") for name in ("outbox_entries", "outbox_lag_seconds")]
        settled = waits == [[({}, 0)]] * 2
        compared = sum(value for _, value in found.get("holdfast_reconcile_compared_total", [])) >= 1
        if asked >= {(m, EVENT + path, s) for m, path, s in last} and drained >= 2 and settled and compared:
            told += 1
            continue
        assert time.monotonic() < deadline, found
        told = 0
        time.sleep(0.2)


def test_any_front_door_tells_the_numbers_of_all_processes(own: Any, sold: None, scrape: Scrape) -> None:
    answers = [scrape(own.base_url) for _ in range(8)]  # each on a connection of its own, so of either front door
    for found in answers:
        roles = sorted(labels["role"] for labels, _ in found["holdfast_process_start_time_seconds"])
        assert roles == ["front_door", "front_door", "worker"]
        for name, least in (("holds", 1), ("orders", 1), ("units", 1), ("drained", 2)):
            assert sum(value for _, value in found[f"holdfast_{name}_total"]) >= least, name
        refused = {labels["reason"]: value for labels, value in found["holdfast_refused_total"] if value}
        assert refused == {"sold_out": 1}


def test_requests_are_counted_by_route_and_status(own: Any, sold: None, scrape: Scrape) -> None:
    found = scrape(own.base_url)
    counts: dict[tuple[str, str, str], float] = {}
    for labels, value in found["holdfast_requests_total"]:
        key = (labels["method"], labels["route"], labels["status"])
        counts[key] = counts.get(key, 0) + value
    assert counts["POST", f"{EVENT}orders/", "201"] == 1
    assert counts["POST", f"{EVENT}cartpositions/", "201"] == 1
    assert counts["POST", f"{EVENT}cartpositions/", "400"] == 1
    assert counts["GET", f"{EVENT}orders/{{code}}/", "404"] == 1
    # what strangers make up gets no name of its own
    assert counts["other", "unknown", "404"] >= 1
    assert not any("nothing" in route for _, route, _ in counts)


def test_histograms_add_up(own: Any, sold: None, scrape: Scrape) -> None:
    found = scrape(own.base_url)
    names = ("request_seconds", "script_seconds", "batch_size", "drain_seconds", "drain_batch_size")
    for name in (f"holdfast_{name}" for name in names):
        assert found[f"{name}_count"], name
        for labels, count in found[f"{name}_count"]:
            buckets = [value for its, value in found[f"{name}_bucket"] if its | {"le": ""} == labels | {"le": ""}]
            assert buckets == sorted(buckets)
            assert buckets[-1] == count > 0
    assert {labels["script"] for labels, _ in found["holdfast_script_seconds_count"]} >= {"hold_create", "order_commit"}


def test_an_entry_that_waits_for_postgres_is_seen_and_how_long(own: Any, sold: None, scrape: Scrape) -> None:
    found = scrape(own.base_url)
    assert found["holdfast_outbox_entries"] == [({}, 0)]
    assert found["holdfast_outbox_lag_seconds"] == [({}, 0)]
    assert found["holdfast_postgres_up"] == [({}, 1)]
    assert found["holdfast_shards_fenced"] == [({}, 0)]
    assert {value for _, value in found["holdfast_server_fenced"]} == {0}
    assert len(found["holdfast_shard_epoch"]) == 64
    [(_, at)] = found["holdfast_watermark_timestamp_seconds"]
    assert abs(at - time.time()) < 600
    for name in ("parked_entries", "mails_dead", "webhooks_dead"):
        assert found[f"holdfast_{name}"] == [({}, 0)], name
    assert "holdfast_reconcile_differences" not in found
    assert found["holdfast_reconcile_compared_total"][0][1] >= 1


@contextmanager
def lost_shards(own: Any) -> Iterator[int]:
    """Lose what Redis knows of all shards, and keep whoever rebuilds them waiting as long as the block lasts.

    How many positions there are to be counted.
    """
    with psycopg.connect(own.database_url) as owner, redis.Redis.from_url(own.redis_url) as store:
        [[positions]] = owner.execute("SELECT count(*) FROM positions").fetchall()
        # he reads what an event has for sale; who stands in his way for 10 s ends this attempt, and he begins anew
        owner.execute("LOCK TABLE quotas IN ACCESS EXCLUSIVE MODE")
        store.delete(*store.keys("hf1:*:shard"))
        yield positions


def verifying(answer: Any) -> set[str]:
    """Return the processes that verify, if it is told how far they are."""
    told = {labels["process"] for labels, _ in answer.get("holdfast_rebuild_positions", [])}
    return told & {labels["process"] for labels, value in answer["holdfast_server_verifying"] if value}


def end_of_rebuild(own: Any, scrape: Scrape) -> None:
    deadline = time.monotonic() + 120
    while True:
        found = scrape(own.base_url)
        if "holdfast_rebuild_positions" not in found and not any(v for _, v in found["holdfast_server_verifying"]):
            return
        assert time.monotonic() < deadline, "the end of the rebuild is not seen"
        time.sleep(0.2)


def test_a_rebuild_is_seen_while_it_lasts_by_whoever_asks_any_front_door(own: Any, sold: None, scrape: Scrape) -> None:
    with lost_shards(own) as positions:
        deadline = time.monotonic() + 120
        while True:
            answers = [scrape(own.base_url) for _ in range(8)]
            if all(verifying(answer) for answer in answers):
                break
            assert time.monotonic() < deadline, f"the rebuild is not seen: {answers[-1]}"
            time.sleep(0.2)
    for answer in answers:
        [process] = verifying(answer)
        assert {labels["process"] for labels, value in answer["holdfast_server_verifying"] if value} == {process}
        to_read = answer["holdfast_rebuild_positions"]
        assert {labels["process"] for labels, _ in to_read} == {process}
        assert sum(value for _, value in to_read) == positions
        assert {value for _, value in answer["holdfast_rebuild_positions_read"]} == {0}
    end_of_rebuild(own, scrape)


def test_a_rebuild_by_a_process_that_has_just_been_started_is_seen(own: Any, sold: None, scrape: Scrape) -> None:
    with lost_shards(own):
        [pid] = json.loads(own.ready_file.read_text())["processes"]["workers"]
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 120
        while True:
            answer = scrape(own.base_url)
            others = {process for process in verifying(answer) if not process.endswith(f":{pid}")}
            if others:
                break
            assert time.monotonic() < deadline, f"the rebuild is not seen: {answer}"
            time.sleep(0.2)
    roles = {labels["process"]: labels["role"] for labels, _ in answer["holdfast_process_start_time_seconds"]}
    assert {roles[process] for process in others} == {"worker"}
    closed = {labels["process"] for labels, value in answer["holdfast_server_fenced"] if value}
    assert others <= closed
    end_of_rebuild(own, scrape)


def test_what_a_dead_process_was_doing_is_not_told_for_long(own: Any, scrape: Scrape) -> None:
    meters = Meters(holds=7, verifying=["some"], rebuilds={3: Rebuild(positions=5)})
    with redis.Redis.from_url(own.redis_url) as store:
        deadline = time.monotonic() + 120
        while True:
            at = time.time()
            for process, reported in (("dead", at - 15), ("busy", at + 30)):
                report = Report(process, "worker", reported, at - 100, {"some": True}, meters)
                store.hset(keys.reports(), process, msgspec.msgpack.encode(report))
            found = scrape(own.base_url)
            holds = {labels["process"]: value for labels, value in found["holdfast_holds_total"]}
            if {"dead", "busy"} <= holds.keys():
                break
            assert time.monotonic() < deadline, f"what they report is not known: {found}"
            time.sleep(0.2)
        store.hdel(keys.reports(), "dead", "busy")
    assert holds["dead"] == holds["busy"] == 7
    for name in ("rebuild_positions", "rebuild_positions_read"):
        told = {labels["process"] for labels, _ in found[f"holdfast_{name}"]}
        assert told & {"dead", "busy"} == {"busy"}, name
    assert "dead" not in {labels["process"] for labels, value in found["holdfast_server_verifying"] if value}


def test_strangers_are_told_nothing(own: Any) -> None:
    for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        assert httpx.get(f"{own.base_url}/metrics", headers={name: "203.0.113.7"}).status_code == 403
    assert httpx.post(f"{own.base_url}/metrics").status_code == 405


def test_with_a_token_it_takes_the_token(own: Any, door: Callable[..., Any], scrape: Scrape) -> None:
    base_url = door(METRICS_TOKEN="open-sesame").base_url
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Token {own.token}"}):
        assert httpx.get(f"{base_url}/metrics", headers=headers).status_code == 401
    found = scrape(base_url, **{"Authorization": "Bearer open-sesame", "X-Forwarded-For": "203.0.113.7"})
    assert found["holdfast_postgres_up"] == [({}, 1)]
