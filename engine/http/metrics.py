"""GET /metrics: what all processes count and what both stores say, for Prometheus.

docs/operating.md lists what each metric means, and deploy/grafana/holdfast.json shows them.
"""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Iterable, Iterator

from aiohttp import web
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from engine.ledger.reports import Report
from engine.meters import Histogram
from engine.sales.house import House
from engine.sales.watch import Health, LedgerState, Watch
from persistence.operating import State

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
"""What a proxy adds: then whoever asks is not on this machine, though the proxy may be."""
_LOOPBACK = ("127.", "::1", "::ffff:127.")

_COUNTS = (
    ("holds", "Cart positions that got their units"),
    ("orders", "Orders that were made"),
    ("units", "Positions of orders that were made"),
    ("unconfirmed", "Orders answered 202, because Postgres was away too long"),
    ("orders_expired", "Unpaid orders that a worker let expire"),
    ("alarms", "Alarms of the fence: Redis lost something, or is another"),
    ("drained", "Outbox entries that Postgres was given"),
    ("parked", "Outbox entries that Postgres refused"),
)
"""Counters by their name in engine/meters.py."""


class Metrics:
    """Answers scrapes of one process, with the numbers of all."""

    def __init__(self, house: House, watch: Watch) -> None:
        self._house = house
        self._watch = watch
        self._token = house.settings.metrics_token

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        refused = self._refusal(request)
        if refused is not None:
            return refused
        reports = await self._house.ledger.reports.all()
        health = await self._watch.health()
        ledger, books = await self._watch.ledger.get(), await self._watch.books.get()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Numbers(reports, health, ledger, books))
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _refusal(self, request: web.BaseRequest) -> web.Response | None:
        if self._token:
            sent = request.headers.get("Authorization", "")
            if hmac.compare_digest(sent.encode(errors="replace"), f"Bearer {self._token}".encode()):
                return None
            text = "Send the token of HOLDFAST_METRICS_TOKEN as Authorization: Bearer."
            return web.json_response({"detail": text}, status=401, headers={"WWW-Authenticate": "Bearer"})
        near = (request.remote or "").startswith(_LOOPBACK)
        if near and not any(name in request.headers for name in _FORWARDED):
            return None
        text = "Without HOLDFAST_METRICS_TOKEN only this machine may ask."
        return web.json_response({"detail": text}, status=403)


class Numbers(Collector):
    """All metrics of one scrape."""

    def __init__(self, reports: list[Report], health: Health, ledger: LedgerState | None, books: State | None) -> None:
        self._reports = reports
        self._health = health
        self._ledger = ledger
        self._books = books

    def collect(self) -> Iterable[Metric]:
        yield from self._of_processes()
        yield from self._of_requests()
        yield from self._of_histograms()
        yield from self._of_health()
        if self._ledger is not None:
            yield from _of_ledger(self._ledger)
        if self._books is not None:
            yield from _of_books(self._books)

    def _of_processes(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "holdfast_process_start_time_seconds", "When a process began", labels=("process", "role")
        )
        for report in self._reports:
            up.add_metric((report.process, report.role), report.began)
        yield up
        for name, text in _COUNTS:
            metric = CounterMetricFamily(f"holdfast_{name}", text, labels=("process",))
            for report in self._reports:
                metric.add_metric((report.process,), getattr(report.meters, name))
            yield metric
        refused = CounterMetricFamily(
            "holdfast_refused", "Holds and orders that could not be had, by what was gone", labels=("process", "reason")
        )
        for report in self._reports:
            for reason in ("sold_out", "seat", "voucher"):
                refused.add_metric((report.process, reason), report.meters.refused.get(reason, 0))
        yield refused

    def _of_requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "holdfast_requests", "Answered requests", labels=("process", "method", "route", "status")
        )
        seconds = HistogramMetricFamily(
            "holdfast_request_seconds", "Time to the answer", labels=("process", "method", "route")
        )
        for report in self._reports:
            for route in report.meters.routes:
                names = (report.process, route.method, route.path)
                for status, count in route.statuses.items():
                    requests.add_metric((*names, str(status)), count)
                _add(seconds, names, route.seconds)
        yield requests
        yield seconds

    def _of_histograms(self) -> Iterator[Metric]:
        scripts = HistogramMetricFamily(
            "holdfast_script_seconds",
            "Time from a call of a script in Redis to its answer",
            labels=("process", "script"),
        )
        batches = HistogramMetricFamily(
            "holdfast_batch_size",
            "How many requests shared a script call (holds, quotas, orders), or calls a write (redis)",
            labels=("process", "kind"),
        )
        drain_seconds = HistogramMetricFamily(
            "holdfast_drain_seconds", "Time of a transaction of the drain", labels=("process",)
        )
        drain_batch = HistogramMetricFamily(
            "holdfast_drain_batch_size", "Outbox entries in a transaction of the drain", labels=("process",)
        )
        for report in self._reports:
            for name, histogram in report.meters.scripts.items():
                _add(scripts, (report.process, name), histogram)
            for name, histogram in report.meters.batches.items():
                _add(batches, (report.process, name), histogram)
            for metric, drained in (
                (drain_seconds, report.meters.drain_seconds),
                (drain_batch, report.meters.drain_batches),
            ):
                if drained is not None:
                    _add(metric, (report.process,), drained)
        yield from (scripts, batches, drain_seconds, drain_batch)

    def _of_health(self) -> Iterator[Metric]:
        fenced = GaugeMetricFamily(
            "holdfast_server_fenced",
            "Whether a process sells nothing on a Redis server, because it is away or being verified",
            labels=("process", "server"),
        )
        for report in self._reports:
            for server, closed in report.fenced.items():
                fenced.add_metric((report.process, server), int(closed))
        yield fenced
        yield from self._of_verifications()
        yield GaugeMetricFamily("holdfast_postgres_up", "Whether Postgres answers", value=int(self._health.postgres))
        yield GaugeMetricFamily(
            "holdfast_shards_fenced", "Shards in which nothing is sold now", value=self._health.shards_fenced
        )

    def _of_verifications(self) -> Iterator[Metric]:
        verifying = GaugeMetricFamily(
            "holdfast_server_verifying",
            "Whether this is the process that verifies a Redis server now",
            labels=("process", "server"),
        )
        positions = GaugeMetricFamily(
            "holdfast_rebuild_positions",
            "Positions of orders in a shard that is being made anew from Postgres",
            labels=("process", "shard"),
        )
        read = GaugeMetricFamily(
            "holdfast_rebuild_positions_read", "Those of them that have been counted", labels=("process", "shard")
        )
        for report in self._reports:
            for server in report.fenced:
                verifying.add_metric((report.process, server), int(server in report.meters.verifying))
            for shard, progress in report.meters.rebuilds.items():
                positions.add_metric((report.process, str(shard)), progress.positions)
                read.add_metric((report.process, str(shard)), progress.read)
        yield from (verifying, positions, read)


def _of_ledger(ledger: LedgerState) -> Iterator[Metric]:
    yield GaugeMetricFamily("holdfast_outbox_entries", "Entries that wait for Postgres", value=ledger.lag.entries)
    yield GaugeMetricFamily(
        "holdfast_outbox_lag_seconds", "How long the oldest of them waits", value=ledger.lag.seconds
    )
    entries = GaugeMetricFamily(
        "holdfast_shard_outbox_entries", "Entries that wait for Postgres, where any do", labels=("shard",)
    )
    seconds = GaugeMetricFamily(
        "holdfast_shard_outbox_lag_seconds", "How long the oldest of a shard waits", labels=("shard",)
    )
    for shard, lag in ledger.lags.items():
        entries.add_metric((str(shard),), lag.entries)
        seconds.add_metric((str(shard),), lag.seconds)
    yield entries
    yield seconds
    yield GaugeMetricFamily("holdfast_holds_live", "Holds that take units now", value=ledger.holds)
    yield GaugeMetricFamily(
        "holdfast_holds_expired_listed", "Holds that expired within HOLDFAST_CART_LISTED_S", value=ledger.expired
    )


def _of_books(books: State) -> Iterator[Metric]:
    yield GaugeMetricFamily("holdfast_parked_entries", "Outbox entries that Postgres refused", value=books.parked)
    differences = GaugeMetricFamily(
        "holdfast_reconcile_differences",
        "What differs between Redis and Postgres, by the rule broken",
        labels=("rule",),
    )
    for rule, count in books.differences.items():
        differences.add_metric((rule,), count)
    yield differences
    yield CounterMetricFamily(
        "holdfast_reconcile_compared", "Events of which Redis was compared with Postgres", value=books.compared
    )
    dead = {"mail": 0, "webhook": 0}
    for (kind, _), count in books.dead.items():
        dead[kind] += count
    yield GaugeMetricFamily("holdfast_mails_dead", "Mails that nobody tries to send any more", value=dead["mail"])
    yield GaugeMetricFamily(
        "holdfast_webhooks_dead", "Notifications that nobody tries to deliver any more", value=dead["webhook"]
    )
    watermark = GaugeMetricFamily(
        "holdfast_watermark_timestamp_seconds", "Time of the entry that Postgres was given last", labels=("shard",)
    )
    epoch = GaugeMetricFamily("holdfast_shard_epoch", "How often a shard has been verified", labels=("shard",))
    for shard, mark in books.marks.items():
        epoch.add_metric((str(shard),), mark.epoch)
        if mark.last[0]:
            watermark.add_metric((str(shard),), mark.last[0] / 1000)
    yield watermark
    yield epoch


def _add(metric: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    sums = itertools.accumulate(histogram.counts)
    bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
    metric.add_metric(labels, list(zip(bounds, sums, strict=True)), histogram.sum)
