"""The dashboard shows exactly what there is: no metric that nobody counts, and every one that somebody does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.core import Metric

from engine.http.metrics import Numbers
from engine.ledger.reports import Report
from engine.meters import Meters, Rebuild, RouteMeter, of_seconds, of_sizes
from engine.sales.watch import Health, Lag, LedgerState
from persistence.operating import State
from persistence.outbox import Mark

ROOT = Path(__file__).parent.parent.parent
DASHBOARD = json.loads((ROOT / "deploy/grafana/holdfast.json").read_text())


@pytest.fixture(scope="module")
def metrics() -> dict[str, Metric]:
    """All metrics, of a process to which everything has happened."""
    meters = Meters(
        routes=[RouteMeter("GET", "/", {200: 1}, of_seconds())],
        scripts={"hold_create": of_seconds()},
        batches={"holds": of_sizes()},
        drain_seconds=of_seconds(),
        drain_batches=of_sizes(),
        verifying=["redis:6379"],
        rebuilds={0: Rebuild(2, 1)},
    )
    report = Report("here:1", "worker", 0.0, 0.0, {"redis:6379": False}, meters)
    ledger = LedgerState({0: Lag(1, 0.5)}, 1, 1)
    books = State(1, {"never oversold": 1}, 1, {("mail", 1): 1}, {0: Mark(0, 1, (1000, 0))})
    return {metric.name: metric for metric in Numbers([report], Health(True, {}, 0), ledger, books).collect()}


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def test_every_metric_of_the_dashboard_exists_and_every_metric_is_shown(metrics: dict[str, Metric]) -> None:
    samples = {sample.name: name for name, metric in metrics.items() for sample in metric.samples}
    named = {name for expression in expressions() for name in re.findall(r"holdfast_\w+", expression)}
    assert named <= samples.keys()
    assert {samples[name] for name in named} == metrics.keys()


def test_every_label_of_the_dashboard_exists(metrics: dict[str, Metric]) -> None:
    labels = {label for metric in metrics.values() for sample in metric.samples for label in sample.labels}
    for expression in expressions():
        for found in re.findall(r"by \(([^)]*)\)|\{(\w+)=", expression):
            assert {word.strip() for word in (found[0] or found[1]).split(",")} <= labels, expression


def test_its_panels_lie_beside_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    panels: list[Any] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken.get((x, y)))
                taken[x, y] = panel["title"]


def test_the_document_lists_every_metric(metrics: dict[str, Metric]) -> None:
    text = (ROOT / "docs/operating.md").read_text()
    for name, metric in metrics.items():
        assert f"`{name}_total`" in text if metric.type == "counter" else f"`{name}`" in text, name
