"""What bench-growth has found out, and how it prints, writes and draws that."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from loadtests.charts import Series, sheet, stacked_columns
from loadtests.figures import number, table
from loadtests.measured import GROUPS, Point

MOST = 1.2
"""What a request may cost at most, in multiples of what it costs where there is nothing."""
KINDS = {
    "hold": "A hold, by how many are live in its event",
    "order": "An order with its commit, by how many the event has in Postgres",
    "availability": "Availability of one quota, by how many the event has",
}
NAMES = {"front_doors": ("front door", "doors"), "redis": ("Redis", "redis")}
NAMES |= {"workers": ("worker", "workers"), "postgres": ("Postgres", "postgres")}
"""Words and colours of processes."""


class Step(Struct):
    """What one kind of request costs where there is so much already: some rounds, each beside the bare handler."""

    kind: str
    size: int
    points: list[Point]

    @property
    def cpu_us(self) -> dict[str, float]:
        """Return the CPU of a request by process, over all rounds."""
        requests = sum(point.requests for point in self.points)
        groups = self.points[0].cpu_us
        return {name: sum(one.cpu_us[name] * one.requests for one in self.points) / requests for name in groups}

    @property
    def floors(self) -> float:
        """Return the median of what a request costs in bare handlers."""
        ratios = sorted(point.ratio or 0.0 for point in self.points)
        return ratios[len(ratios) // 2]


class Memory(Struct):
    """Bytes of Redis a hold and an order, and how many orders were in Redis once written and some time later."""

    holds: int
    hold_bytes: float
    orders: int
    order_bytes: float
    written: int
    left: int
    hot_s: int


class Growth(Struct):
    """All that was found."""

    when: str
    machine: dict[str, object]
    steps: list[Step] = []
    memory: Memory | None = None

    def times(self, step: Step) -> float:
        """Return what a step costs in multiples of the first of its kind."""
        first = next(one for one in self.steps if one.kind == step.kind)
        return step.floors / first.floors


def write(growth: Growth, report: Path, plot: Path) -> None:
    """Write the figures and the plot, and print the table."""
    for path in (report, plot):
        path.parent.mkdir(parents=True, exist_ok=True)
    rows, cells = [], []
    for step in growth.steps:
        cpu, times = step.cpu_us, growth.times(step)
        row = {"kind": step.kind, "size": step.size, "cpu_us": cpu, "floors": step.floors, "times": times}
        rows.append({**row, "points": step.points})
        figures = [number(cpu[name]) for name in GROUPS]
        verdict = "met" if times <= MOST else "MISSED"
        ratios = [f"{step.floors:.2f}", f"{times:.2f}", f"<= {MOST}", verdict]
        cells.append([step.kind, number(step.size), *figures, number(sum(cpu.values())), *ratios])
    body = {"when": growth.when, "machine": growth.machine, "steps": rows, "memory": growth.memory}
    report.write_bytes(msgspec.json.format(msgspec.json.encode(body)))
    plot.write_text(draw(growth))
    head = ["", "there are", "front", "redis", "workers", "postgres", "sum us", "floors", "times empty", "target", ""]
    print(table(head, cells))
    if (memory := growth.memory) is not None:
        print(
            f"\nA live hold takes {number(memory.hold_bytes)} bytes of Redis, seen at {number(memory.holds)}; an order"
        )
        print(f"{number(memory.order_bytes)} bytes as long as it is there, seen at {number(memory.orders)}.")
        told = f"{number(memory.written)} orders were in Redis when written, {number(memory.left)} after being idle"
        print(f"{told} for {memory.hot_s} s (HOLDFAST_ORDER_HOT_S).")
    print(f"\nAll figures: {report}; the plot: {plot}")


def draw(growth: Growth) -> str:
    """Return the plot."""
    panels = []
    for kind, title in KINDS.items():
        steps = [step for step in growth.steps if step.kind == kind]
        if not steps:
            continue
        labels = [number(step.size) for step in steps]
        notes = [f"{sum(step.cpu_us.values()):.0f} µs, × {growth.times(step):.2f}" for step in steps]
        panels.append((title, stacked_columns(labels, _series([step.cpu_us for step in steps]), notes, "µs")))
    title = f"CPU of a request in µs, by process ({growth.when})"
    style = files("loadtests").joinpath("sheet.css").read_text()
    return sheet(title, style, _series([]), panels)


def _series(columns: list[dict[str, float]]) -> list[Series]:
    return [Series(words, color, [cpu[name] for cpu in columns]) for name, (words, color) in NAMES.items()]
