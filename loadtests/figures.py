"""Numbers out of many numbers, and plain text tables of them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` (0 to 1) of the ascending values do not exceed."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def by_second(instants: Sequence[float], values: Sequence[float], seconds: int) -> list[list[float]]:
    """Return for each second from 0 the values of the instants in it; instants past the end count for the last."""
    buckets: list[list[float]] = [[] for _ in range(seconds)]
    for instant, value in zip(instants, values, strict=True):
        buckets[min(seconds - 1, max(0, int(instant)))].append(value)
    return buckets


def number(value: float) -> str:
    """Write a number as people read it: few digits, thousands apart."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned text: the first column to the left, all others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = []
    for row in (head, ["-" * width for width in widths], *rows):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
