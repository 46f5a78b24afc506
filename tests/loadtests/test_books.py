"""Every rule of the rush's books can be broken, and then is told."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from loadtests.books import (
    Answers,
    Counts,
    Problem,
    Sample,
    answer_problems,
    first_of_each,
    order_problems,
    sample_problems,
)
from loadtests.shop import Quota, Shop

SHOP = Shop("e", [1, 2], [Quota(7, "Hall", 10, [1, 2])])


def sample(at: float = 1.0, **counts: int) -> Sample:
    """Return a sample of a quota of ten; what is not named is zero."""
    base = {"size": 10, "free": 0, "held": 0, "pending": 0, "paid": 0, "other": 0}
    return Sample(at, {"Hall": Counts(**{**base, **counts})})


@dataclass(frozen=True)
class Case:
    """What one sample says, and the rules that it breaks."""

    counts: dict[str, int]
    rules: list[str]


@pytest.mark.parametrize(
    "case",
    [
        Case({"free": 10}, []),
        Case({"free": 1, "held": 2, "pending": 3, "paid": 4}, []),
        Case({"paid": 10}, []),
        Case({"free": 6, "other": 4}, []),
        Case({"paid": 11}, ["never oversold"]),
        Case({"held": 4, "pending": 4, "paid": 3}, ["never oversold"]),
        Case({"free": 2, "held": 2, "paid": 7}, ["every unit is somewhere"]),
        Case({"free": 1, "paid": 8}, ["every unit is somewhere"]),
    ],
)
def test_a_sample_is_judged_by_its_counts(case: Case) -> None:
    assert [problem.rule for problem in sample_problems(sample(**case.counts))] == case.rules


def test_paid_units_never_become_fewer() -> None:
    samples = [sample(1.0, paid=3, free=7), sample(2.0, paid=2, free=8), sample(3.0, paid=2, free=8)]
    assert order_problems(samples) == [Problem("paid stays paid", 'quota "Hall"', "at least 3 paid", "2 at 2.0 s")]


@pytest.mark.parametrize(
    ("answers", "rules"),
    [
        (Answers({"1": 3, "2": 2}, {"1": 2}), []),
        (Answers({"1": 3, "2": 3}, {"1": 2}), ["what was answered is kept"]),
        (Answers({"1": 3, "2": 2}, {"1": 3}), ["what was answered is kept"]),
        (Answers({"1": 4}, {"1": 2}), ["nothing is counted that nobody was answered"]),
        (Answers({"1": 4}, {"1": 2}, unanswered=1), []),
        (Answers({"1": 11}, {"1": 2}), ["never oversold", "what was answered is kept"]),
    ],
)
def test_the_books_are_what_buyers_were_answered(answers: Answers, rules: list[str]) -> None:
    last = sample(free=5, pending=3, paid=2)
    assert [problem.rule for problem in answer_problems(SHOP, answers, last)] == rules


def test_a_problem_that_lasts_is_told_once() -> None:
    problems = sample_problems(sample(1.0, paid=11)) + sample_problems(sample(2.0, paid=12))
    assert [problem.found for problem in first_of_each(problems)] == ["11 at 1.0 s (11 paid, 0 pending, 0 held)"]
