"""What the bench has found out, and how it prints and writes that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from loadtests.drain import Drain
from loadtests.figures import number, table
from loadtests.full_hold import Comparison
from loadtests.measured import BULK, GROUPS, TITLES, Point
from loadtests.store_floor import StoreFloor
from loadtests.targets import Verdict


class Measured(Struct):
    """All that a run of the bench has found out. `scaled` are points with other numbers of front doors."""

    points: list[Point] = []
    scaled: list[Point] = []
    comparisons: list[Comparison] = []
    store: StoreFloor | None = None
    drained: Drain | None = None


def as_json(found: Measured, judged: Sequence[Verdict]) -> dict[str, Any]:
    """Return all figures."""
    drained = found.drained
    return {
        "points": [_row(point) for point in found.points],
        "scaled": [_row(point) for point in found.scaled],
        "full_holds": [{**msgspec.to_builtins(one), "ratio": one.ratio} for one in found.comparisons],
        "store_floor": found.store,
        "drain": drained and {**msgspec.to_builtins(drained), "rate": drained.rate, "ratio": drained.ratio},
        "targets": [{**msgspec.to_builtins(one), "met": one.met} for one in judged],
    }


def _row(point: Point) -> dict[str, Any]:
    return {**msgspec.to_builtins(point), "cpu_us_sum": point.sum_us, "ratio": point.ratio}


def tell(found: Measured, judged: Sequence[Verdict]) -> None:
    """Print the tables."""
    points = [*found.points, *found.scaled]
    head = ["", "doors", "at once", "per s", "p50 ms", "p95 ms", "p99 ms", "front", "redis", "workers", "postgres"]
    print(table([*head, "sum us", "floor us", "front/floor", "sum/floor"], [_cells(point) for point in points]))
    print(
        "\nCPU in microseconds a request, user and system. floor: a bare aiohttp handler that decodes and answers the"
    )
    print("same bytes, measured just before and after.")
    for point in points:
        if point.unexpected:
            print(f"UNEXPECTED: {point.kind} at {point.concurrency}: {point.unexpected} times, first: {point.example}")
    _tell_bulk(found.points)
    _tell_stores(found)
    _tell_scaling(points)
    print("\n" + table(["target", "at once", "figure", "found", "limit", ""], [one.row() for one in judged]))


def _cells(point: Point) -> list[str]:
    cpu = [number(point.cpu_us[name]) if point.cpu_us else "–" for name in GROUPS]
    figures = [number(value) for value in (point.rate, point.p50_ms, point.p95_ms, point.p99_ms)]
    ratios = ["–" if ratio is None else f"{ratio:.2f}" for ratio in (point.door_ratio, point.ratio)]
    total = "–" if point.sum_us is None else number(point.sum_us)
    floor = number(point.floor_us) if point.floor_us else "–"
    return [TITLES[point.kind], str(point.processes), str(point.concurrency), *figures, *cpu, total, floor, *ratios]


def _tell_bulk(points: Sequence[Point]) -> None:
    single = {point.concurrency: point.floor_us for point in points if point.kind == "hold"}
    for point in points:
        if point.kind == "bulk" and point.sum_us is not None:
            each, floor = point.sum_us / BULK, single[point.concurrency]
            print(
                f"A position of a bulk_create costs {number(each)} us in all: {each / point.floor_us:.2f} of the bare"
            )
            print(f"handler of all {BULK}, and {each / floor:.2f} of the bare handler of one hold.")


def _tell_stores(found: Measured) -> None:
    rows = []
    if found.store is not None:
        for kind, floor in (("hold", found.store.hold_us), ("order", found.store.order_us)):
            for point in found.points:
                if point.kind == kind and point.cpu_us:
                    redis_us = point.cpu_us["redis"]
                    row = [f"{TITLES[kind]}, {point.concurrency} at once: Redis", number(redis_us), number(floor)]
                    rows.append([*row, f"{redis_us / floor:.2f}"])
    if found.drained is not None:
        one = found.drained
        name = f"drain of {number(one.orders)} orders, {number(one.rate)}/s: worker and Postgres"
        rows.append([name, number(one.written_us), number(one.floor.sum_us), f"{one.ratio:.2f}"])
    if rows:
        print(
            "\nBeside what the stores need alone: calls of the same script with real arguments, 16 in a pipeline; and a"
        )
        print("bare COPY of the same rows (us of CPU a hold or order):\n")
        print(table(["", "us", "floor us", "ratio"], rows))
    if found.drained is not None:
        told = ", ".join(f"{name} {number(us)}" for name, us in found.drained.cpu_us.items())
        bare = found.drained.floor
        print(f"\nCatching up, us an order: {told}. The COPY: Postgres {number(bare.postgres_us)}, ", end="")
        print(f"psql {number(bare.client_us)}, {number(bare.orders / bare.seconds)} orders/s.")


def _tell_scaling(points: Sequence[Point]) -> None:
    """Print what more front doors change: near-linear means that a request costs each of them the same."""
    rows = []
    for one in points:
        for other in points:
            same = (one.kind, one.concurrency) == (other.kind, other.concurrency)
            if same and one.processes < other.processes and one.cpu_us and other.cpu_us:
                front = [point.cpu_us["front_doors"] for point in (one, other)]
                could = other.processes / one.processes * front[0] / front[1]
                row = [TITLES[one.kind], f"{one.processes} → {other.processes}", number(one.rate), number(other.rate)]
                row += [f"{other.rate / one.rate:.2f}", number(front[0]), number(front[1]), f"{could:.2f}"]
                rows.append(row)
    if rows:
        head = ["front doors", "", "per s", "per s", "times", "front us", "front us", "times, a core each"]
        print("\n" + table(head, rows))
