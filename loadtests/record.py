"""What the buyers saw, as the locust process hands it to the rush."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from loadtests.books import Answers

Outcome = Literal["done", "sold_out", "busy", "failed"]
"""busy: 409 or 503, tried again after Retry-After. failed: anything that a sound server does not answer."""


class Requests(Struct):
    """All requests of one kind, column by column: start (seconds from the start), duration, outcome."""

    at: list[float] = []
    ms: list[float] = []
    outcome: list[Outcome] = []


class Failure(Struct):
    """One answer that no sound server gives."""

    kind: str
    status: int
    text: str


class Record(Struct):
    """One run of buyers."""

    started: float = 0.0
    """Seconds since 1970, to line up with the samples."""
    buyers: int = 0
    left: int = 0
    """Buyers who went home before the doors closed, with tickets or without patience."""
    requests: dict[str, Requests] = {}
    answers: Answers = field(default_factory=Answers)
    failures: list[Failure] = []
    """The first fifty; the outcomes count them all."""
