"""The rules that a rush must never see broken, and the samples that they are checked on."""

from __future__ import annotations

import itertools
from typing import Any

from msgspec import Struct

from loadtests.api import Api
from loadtests.shop import Quota, Shop


class Problem(Struct, frozen=True):
    """A broken rule, in the form in which `holdfast audit --json` tells one: there the last three may be any JSON."""

    rule: str
    where: Any = ""
    expected: Any = ""
    found: Any = ""


class Counts(Struct, frozen=True):
    """One quota at one instant. `other` are units that neither hold nor order explains."""

    size: int
    free: int
    held: int
    pending: int
    paid: int
    other: int


class Sample(Struct, frozen=True):
    """All quotas, read one after the other; `at` counts seconds from the start of the rush."""

    at: float
    quotas: dict[str, Counts]


class Answers(Struct):
    """What buyers were answered: units ordered and paid by product, and requests whose answer never came.

    `upset` counts orders that their buyers have turned over afterwards: units of these were ordered or paid no more.
    """

    ordered: dict[str, int] = {}
    paid: dict[str, int] = {}
    unanswered: int = 0
    upset: int = 0


def take_sample(api: Api, shop: Shop, at: float) -> Sample:
    """Ask for the availability of each quota."""
    counts = {}
    for quota in shop.quotas:
        answer = api.must("GET", f"{shop.path}quotas/{quota.id}/availability/", None, 200)
        counts[quota.name] = read_counts(answer)
    return Sample(at, counts)


def read_counts(answer: dict[str, Any]) -> Counts:
    """Return an availability answer as counts."""
    other = answer["blocking_vouchers"] + answer["waiting_list"] - answer["exited_orders"]
    return Counts(
        size=answer["total_size"],
        free=answer["available_number"],
        held=answer["cart_positions"],
        pending=answer["pending_orders"],
        paid=answer["paid_orders"],
        other=other,
    )


def sample_problems(sample: Sample) -> list[Problem]:
    """Return what is wrong with one sample: more taken than there is, or units that are nowhere."""
    problems = []
    for name, counts in sample.quotas.items():
        where = f'quota "{name}"'
        taken = counts.paid + counts.pending + counts.held
        if taken > counts.size:
            found = f"{taken} at {sample.at:.1f} s ({counts.paid} paid, {counts.pending} pending, {counts.held} held)"
            problems.append(Problem("never oversold", where, f"at most {counts.size} taken", found))
        elif counts.free + taken + counts.other != counts.size:
            found = f"{counts.free} free + {taken} taken + {counts.other} other at {sample.at:.1f} s"
            problems.append(Problem("every unit is somewhere", where, f"a sum of {counts.size}", found))
    return problems


def order_problems(samples: list[Sample]) -> list[Problem]:
    """Return where paid units became fewer: nobody pays back in a rush."""
    problems = []
    for before, after in itertools.pairwise(samples):
        for name, counts in after.quotas.items():
            if counts.paid < before.quotas[name].paid:
                expected = f"at least {before.quotas[name].paid} paid"
                found = f"{counts.paid} at {after.at:.1f} s"
                problems.append(Problem("paid stays paid", f'quota "{name}"', expected, found))
    return problems


def answer_problems(shop: Shop, answers: Answers, last: Sample) -> list[Problem]:
    """Return where the books differ from what buyers were answered.

    Requests without an answer may have taken effect, so with any of them the books may say more, but never less (unless
    they took something back).
    """
    problems = []
    for quota in shop.quotas:
        counts = last.quotas[quota.name]
        ordered, paid = _units(quota, answers.ordered), _units(quota, answers.paid)
        where = f'quota "{quota.name}", by the answers'
        if ordered > quota.size:
            problems.append(Problem("never oversold", where, f"at most {quota.size} answered", f"{ordered} ordered"))
        pairs = (("ordered", ordered, counts.paid + counts.pending), ("paid", paid, counts.paid))
        for word, answered, counted in pairs:
            if counted < answered and not (answers.upset and answers.unanswered):
                rule = "what was answered is kept"
            elif counted > answered and not answers.unanswered:
                rule = "nothing is counted that nobody was answered"
            else:
                continue
            problems.append(Problem(rule, where, f"{answered} {word}, as answered", f"{counted} {word}"))
    return problems


def last_unit_problems(shop: Shop, answers: Answers, last: Sample, listed: int) -> list[Problem]:
    """Return where a sale to more buyers than there are units did not end with the last unit.

    `listed` is how many orders the server lists, each of one unit. A request without an answer may have taken effect.
    """
    [quota] = shop.quotas
    where, sold = f'quota "{quota.name}"', last.quotas[quota.name].paid + last.quotas[quota.name].pending
    problems = []
    if sold != quota.size:
        problems.append(Problem("sold to the last unit", where, f"{quota.size} sold", f"{sold} sold"))
    if not 0 <= listed - _units(quota, answers.ordered) <= answers.unanswered:
        expected = f"{_units(quota, answers.ordered)} orders, as answered"
        problems.append(Problem("what was answered is kept", "list of orders", expected, f"{listed} orders"))
    return problems


def _units(quota: Quota, by_product: dict[str, int]) -> int:
    return sum(by_product.get(product, 0) for product in quota.products)


def first_of_each(problems: list[Problem]) -> list[Problem]:
    """Return the first problem of each rule and place: a quota that is oversold stays so in every later sample."""
    first: dict[tuple[str, str], Problem] = {}
    for one in problems:
        first.setdefault((one.rule, one.where), one)
    return list(first.values())
