"""The bench's generator sends what it is told to, and counts what it is answered, against the bench's own floor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from loadtests.child import child
from loadtests.generator import VALUE, Job, run

CODES = [f"C{number}" for number in range(50)]


@pytest.fixture(scope="module")
def job() -> Iterator[Job]:
    """A job that the floor answers 201."""
    with child("loadtests.floor") as floor:
        answers = {"/order": (201, '{"code":"ABC"}'), **{f"/{code}": (201, f'{{"code":"{code}"}}') for code in CODES}}
        port = int(floor.ask(answers))
        yield Job("127.0.0.1", port, "POST", "/order", {}, 8, 0.2, 201, body='{"item":1}')


async def test_it_loads_until_the_time_is_over(job: Job) -> None:
    outcome = await run(job)
    assert outcome.requests > 8
    assert 0.2 <= outcome.seconds < 20
    assert 0 < outcome.p50_ms <= outcome.p95_ms <= outcome.p99_ms
    assert (outcome.unexpected, outcome.sample) == (0, '{"code":"ABC"}')


async def test_it_sends_each_value_once_and_keeps_what_is_asked_for(job: Job) -> None:
    outcome = await run(replace(job, path=f"/{VALUE}", values=CODES, keep="code", seconds=30))
    assert outcome.requests == len(CODES)
    assert sorted(outcome.kept) == sorted(CODES)
    assert outcome.seconds < 30


async def test_it_tells_an_answer_with_another_status(job: Job) -> None:
    outcome = await run(replace(job, expected=200, values=["x"]))
    assert (outcome.requests, outcome.unexpected) == (1, 1)
    assert outcome.example == '201: {"code":"ABC"}'


async def test_it_tells_an_error_of_the_server(job: Job) -> None:
    outcome = await run(replace(job, body="not JSON", values=["x"]))
    assert outcome.unexpected >= 1
    assert outcome.example.startswith("500: ")
