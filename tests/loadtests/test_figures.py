"""Percentiles, tables and charts say what went into them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from xml.etree import ElementTree

import pytest

from loadtests.charts import HEIGHT, LEFT, RIGHT, WIDTH, Series, lines, stacked_areas, stacked_bars
from loadtests.figures import by_second, number, percentile, table
from loadtests.processes import cpu_us


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5.0], 0.5, 5.0),
        ([5.0], 0.99, 5.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0], 0.51, 2.0),
        (list(range(1, 101)), 0.5, 50),
        (list(range(1, 101)), 0.99, 99),
        (list(range(1, 101)), 1.0, 100),
        (list(range(1, 101)), 0.0, 1),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_values_are_dealt_out_by_second_and_late_ones_count_for_the_last() -> None:
    assert by_second([0.0, 0.9, 1.0, 2.5, 7.0, -0.1], [1, 2, 3, 4, 5, 6], 3) == [[1, 2, 6], [3], [4, 5]]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.123, "0.12"), (7, "7"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_a_table_is_aligned_by_its_widest_cells() -> None:
    told = table(("", "per s"), [("hold", "7"), ("availability", "1,234,567")])
    assert told.splitlines() == [
        "                  per s",
        "------------  ---------",
        "hold                  7",
        "availability  1,234,567",
    ]


def drawing(figure: str) -> ElementTree.Element:
    """Return the SVG of a chart; it must be well-formed."""
    svg = ElementTree.fromstring(figure).find("svg")  # noqa: S314 - we made it
    assert svg is not None
    return svg


def test_stacked_areas_lie_on_one_another_below_the_limit() -> None:
    series = (Series("paid", "paid", [0, 4]), Series("free", "free", [10, 6]))
    svg = drawing(stacked_areas([0.0, 2.0], series, 10, "units"))
    paid, free = (shape.attrib["points"].split() for shape in svg.findall("polygon"))
    assert paid[:2] == free[3:1:-1], "the second area stands on the first"
    limit = next(line for line in svg.findall("line") if line.attrib["class"] == "limit")
    assert {point.split(",")[1] for point in free[:2]} == {limit.attrib["y1"]}, "together they reach the limit"
    assert [float(point.split(",")[0]) for point in paid[:2]] == [LEFT, WIDTH - RIGHT]


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    svg = drawing(lines([0.5, 1.5, 2.5, 3.5], [Series("p50", "paid", [1.0, None, 2.0, 3.0])], "ms"))
    (path,) = svg.findall("path")
    assert [step[0] for step in path.attrib["d"].split() if step[0].isalpha()] == ["M", "M", "L"]


def test_bars_stand_on_one_another_and_tell_their_values() -> None:
    series = (Series("done & dusted", "paid", [3, 0]), Series("sold out", "soldout", [1, 2]))
    svg = drawing(stacked_bars([0.5, 1.5], series, "requests/s"))
    bars = [box.attrib for box in svg.findall("rect") if box.attrib["class"].startswith("bar")]
    assert [bar["class"] for bar in bars] == ["bar paid", "bar soldout", "bar soldout"]
    assert float(bars[1]["y"]) + float(bars[1]["height"]) == pytest.approx(float(bars[0]["y"]), abs=0.11)
    titles = [title.text for title in svg.iter("title")]
    assert titles[0] == "0.5 s\ndone & dusted: 3 requests/s\nsold out: 1 requests/s"


@pytest.mark.parametrize("values", [[], [0.0], [0.0, 0.0]])
def test_a_chart_of_nothing_is_still_a_chart(values: list[float]) -> None:
    instants = [float(place) for place in range(len(values))]
    series = [Series("nothing", "paid", values)]
    for figure in (stacked_bars(instants, series, "x"), lines(instants, series, "x")):
        assert drawing(figure).attrib["viewBox"] == f"0 0 {WIDTH} {HEIGHT}"


def test_the_cpu_time_of_children_that_ended_still_counts() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", nested], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        groups = {"parent": [parent.pid], "us": [os.getpid()]}
        before = cpu_us(groups)
        assert before["parent"] >= 300_000
        busy_until = time.process_time() + 0.1
        while time.process_time() < busy_until:
            pass
        after = cpu_us(groups)
        parent.communicate("\n")
    assert after["us"] - before["us"] >= 80_000
    assert after["parent"] - before["parent"] < 50_000, "each process counts with its nearest group only"
