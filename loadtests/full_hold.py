"""What a hold costs that takes all a hold can: a unit of two quotas, a seat, and a voucher that nobody named before."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from loadtests.api import Api
from loadtests.generator import VALUE, Job, Outcome
from loadtests.processes import cpu_us
from loadtests.shop import PRICE, create_event, create_item, create_quota
from loadtests.target import TargetError

RATIO_MOST = 2.0
"""What a full hold may cost at most, in plain ones."""
ROUNDS = 12
"""Plain and full take turns so often: both have the same share of whatever else the machine does, and of the half
second in five that workers compare the stores in."""
HOLDS = 500
"""A round of each. Each full one needs a seat and a voucher of its own; setting these up takes the most time."""
SETTLE_SECONDS = 0.15
SEATS_A_ROW = 500


class Comparison(Struct):
    """CPU of all processes together at one concurrency, in microseconds a hold."""

    concurrency: int
    plain_us: dict[str, float]
    full_us: dict[str, float]

    @property
    def ratio(self) -> float:
        """Return what a full hold costs in plain ones."""
        return sum(self.full_us.values()) / sum(self.plain_us.values())

    @property
    def met(self) -> bool:
        """Return whether that is cheap enough."""
        return self.ratio <= RATIO_MOST


class FullHolds:
    """An event whose every seat has its voucher, and the job that holds one."""

    def __init__(self, api: Api, plain: Job, rounds: int, holds: int = HOLDS) -> None:
        self.plain, self.holds, self._next = plain, holds, 0
        count = rounds * holds
        event = create_event(api)
        item = create_item(api, event, "Seat")
        for name in ("Hall", "Stalls"):
            create_quota(api, event, name, count, [item])
        rows = [
            {
                "row_number": str(first // SEATS_A_ROW + 1),
                "seats": [
                    {"seat_guid": f"seat{number:07d}", "seat_number": str(number), "category": "Stalls"}
                    for number in range(first, min(first + SEATS_A_ROW, count))
                ],
            }
            for first in range(0, count, SEATS_A_ROW)
        ]
        layout = {"zones": [{"name": "Main", "rows": rows}]}
        plan = api.must("POST", "seatingplans/", {"name": "Bench", "layout": layout}, 201)["id"]
        api.must("PATCH", f"events/{event}/", {"seating_plan": plan, "seat_category_mapping": {"Stalls": item}}, 200)
        for first in range(0, count, 1000):
            vouchers = [{"code": f"VOUCHER{n:07d}"} for n in range(first, min(first + 1000, count))]
            api.must("POST", f"events/{event}/vouchers/batch_create/", vouchers, 201)
        body = {"item": item, "price": PRICE, "answers": [], "sales_channel": "web"}
        body |= {"seat": f"seat{VALUE}", "voucher": f"VOUCHER{VALUE}"}
        path = f"{api.root}events/{event}/cartpositions/"
        self.full = replace(plain, path=path, body=msgspec.json.encode(body).decode())

    def compare(
        self, run: Callable[[Job], Outcome], groups: dict[str, list[int]], concurrency: int, rounds: int = ROUNDS
    ) -> Comparison:
        """Measure plain and full holds in turns. Raises TargetError if one is not held."""
        spent = {kind: dict.fromkeys(groups, 0.0) for kind in ("plain", "full")}
        for _ in range(rounds):
            for kind, job in (("plain", replace(self.plain, values=[""] * self.holds)), ("full", self._fresh())):
                before = cpu_us(groups)
                outcome = run(replace(job, concurrency=concurrency))
                time.sleep(SETTLE_SECONDS)
                after = cpu_us(groups)
                if outcome.unexpected or outcome.requests != self.holds:
                    raise TargetError(
                        f"of {self.holds} {kind} holds {outcome.requests} were answered; {outcome.example}"
                    )
                for name in groups:
                    spent[kind][name] += (after[name] - before[name]) / (self.holds * rounds)
        return Comparison(concurrency, spent["plain"], spent["full"])

    def _fresh(self) -> Job:
        """Return the job of one round, of seats and vouchers that nobody has asked for."""
        first, self._next = self._next, self._next + self.holds
        return replace(self.full, values=[f"{number:07d}" for number in range(first, self._next)])
