"""One rush, measured and judged: what the table, the report and --json are made of."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from msgspec import Struct

from loadtests.books import Problem, Sample
from loadtests.figures import number, percentile
from loadtests.record import Outcome, Record, Requests
from loadtests.shop import Shop

KINDS = (
    ("look", "look at availability"),
    ("hold", "hold a place"),
    ("bulk", "hold several at once"),
    ("order", "order the cart"),
    ("pay", "confirm the payment"),
    ("release", "give a hold back"),
    ("cancel", "cancel the order"),
    ("expire", "let the order expire"),
    ("refund", "refund and cancel the order"),
    ("reactivate", "want the order back"),
    ("late pay", "pay too late"),
    ("read", "look at the order"),
)
"""Requests of buyers, in the order of a journey."""
LOSERS_MS = 1000.0
"""How long somebody may wait to be told that he is too late."""


class Audit(Struct, frozen=True):
    """The answer of `holdfast audit --json`."""

    ok: bool
    checked: dict[str, Any] = {}
    problems: list[Problem] = []


class Result(Struct):
    """A rush from its start to its audit. `audit` is None where the stores are not known."""

    when: str
    base_url: str
    seconds: float
    shop: Shop
    record: Record
    samples: list[Sample]
    problems: list[Problem]
    audit: Audit | None
    lean: bool = False

    @property
    def ok(self) -> bool:
        """Return whether no rule was broken and nothing unexpected was answered."""
        return not self.problems and not self.outcomes("failed")

    @property
    def sold(self) -> int:
        """Return how many units buyers were told that they have ordered."""
        return sum(self.record.answers.ordered.values())

    @property
    def lasted(self) -> float:
        """Return when the last answer came, in seconds from the start."""
        requests = self.record.requests.values()
        return max((at + ms / 1000 for one in requests for at, ms in zip(one.at, one.ms, strict=True)), default=0.0)

    def waits(self, kind: str, outcome: Outcome) -> list[float]:
        """Return the milliseconds of requests of a kind that ended so, in ascending order."""
        one = self.record.requests.get(kind, Requests())
        return sorted(ms for ms, found in zip(one.ms, one.outcome, strict=True) if found == outcome)

    def outcomes(self, outcome: Outcome) -> int:
        """Return how many answers meant this."""
        return sum(one.outcome.count(outcome) for one in self.record.requests.values())

    def total(self) -> int:
        """Return how many requests were answered."""
        return sum(len(one.at) for one in self.record.requests.values())

    def whole_seconds(self) -> int:
        """Return the length of the rush in begun seconds."""
        return int(self.seconds) + 1

    def table_head(self) -> tuple[str, ...]:
        """Return the columns of table_rows."""
        return ("", "requests", "per s", "p50 ms", "p95 ms", "p99 ms", "sold out", "busy", "unexpected")

    def table_rows(self) -> list[tuple[str, ...]]:
        """Return one row a kind of request."""
        rows = []
        for kind, words in KINDS:
            if not (one := self.record.requests.get(kind)):
                continue
            ordered = sorted(one.ms)
            shares = [number(percentile(ordered, share)) for share in (0.5, 0.95, 0.99)]
            counts = [number(one.outcome.count(outcome)) for outcome in ("sold_out", "busy", "failed")]
            rate = number(len(ordered) / max(self.seconds, 0.001))
            rows.append((words, number(len(ordered)), rate, *shares, *counts))
        return rows

    def _paid_stays_paid(self, broken: Set[str]) -> tuple[bool | None, str]:
        if self.record.answers.upset:
            return (None, f"{self.record.answers.upset} orders were canceled, expired, refunded or wanted back")
        return ("paid stays paid" not in broken, "What was paid stays paid")

    def checks(self) -> list[tuple[bool | None, str]]:
        """Return each thing that was proven, disproven, or (None) could not be looked at, in words."""
        broken = {one.rule for one in self.problems}
        checks: list[tuple[bool | None, str]] = [
            ("never oversold" not in broken, f"Never oversold: in all {len(self.samples)} samples, and by the answers"),
            ("every unit is somewhere" not in broken, "Size = free + held + pending + paid + blocked, in every sample"),
            self._paid_stays_paid(broken),
            (
                not {"what was answered is kept", "nothing is counted that nobody was answered"} & broken,
                "The books at the end are what buyers were answered, unit by unit",
            ),
            (not self.outcomes("failed"), "No unexpected answer"),
        ]
        if self.lean:
            losers = self.waits("hold", "sold_out")
            told = f"Sold to the last unit: {number(self.sold)} in {number(self.lasted)} s"
            checks.append(("sold to the last unit" not in broken, told))
            if losers:
                told = f"Told that all is sold: {number(len(losers))} buyers, the slowest after {number(losers[-1])} ms"
                checks.append((losers[-1] < LOSERS_MS, told))
        if self.audit is None:
            return [*checks, (None, "holdfast audit did not run: the stores behind this server are not known")]
        told = ", ".join(f"{words.replace('_', ' ')}: {count}" for words, count in self.audit.checked.items())
        return [*checks, (self.audit.ok, f"holdfast audit, from the stores alone ({told or 'nothing checked'})")]
