"""Charts as inline SVG: stacked areas, lines and stacked bars over time. Colours come from the page's CSS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from msgspec import Struct

from loadtests.figures import number

WIDTH, HEIGHT = 720, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 28
"""Room for the labels around the drawing, in the SVG's own units."""


class Series(Struct, frozen=True):
    """One named row of values; `color` is a CSS class. None: nothing was measured there."""

    name: str
    color: str
    values: Sequence[float | None]


class Frame(Struct, frozen=True):
    """Maps seconds and values to places in the drawing."""

    seconds: float
    top: float

    def x(self, at: float) -> float:
        """Return the place of an instant."""
        return LEFT + (WIDTH - LEFT - RIGHT) * at / self.seconds

    def y(self, value: float) -> float:
        """Return the place of a value; zero is at the bottom."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top


def stacked_areas(instants: Sequence[float], series: Sequence[Series], limit: float, unit: str) -> str:
    """Draw series on top of one another, with a line at the limit that they must not cross."""
    frame = Frame(_end(instants), _ceiling([limit, *_sums(series)]))
    floor = [0.0] * len(instants)
    shapes = []
    for one in series:
        roof = [low + (value or 0.0) for low, value in zip(floor, one.values, strict=True)]
        there = [f"{frame.x(at):.1f},{frame.y(high):.1f}" for at, high in zip(instants, roof, strict=True)]
        back = [f"{frame.x(at):.1f},{frame.y(low):.1f}" for at, low in zip(instants, floor, strict=True)]
        shapes.append(f'<polygon class="area {one.color}" points="{" ".join(there + back[::-1])}"/>')
        floor = roof
    y = frame.y(limit)
    shapes.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    shapes.append(f'<text class="limit-text" x="{WIDTH - RIGHT - 4}" y="{y - 4:.1f}">{number(limit)} {unit}</text>')
    return _chart(frame, instants, series, shapes, unit)


def lines(instants: Sequence[float], series: Sequence[Series], unit: str) -> str:
    """Draw each series as a line, broken where nothing was measured."""
    frame = Frame(_end(instants), _ceiling([value for one in series for value in one.values if value is not None]))
    shapes = []
    for one in series:
        path, pen = [], "M"
        for at, value in zip(instants, one.values, strict=True):
            if value is None:
                pen = "M"
            else:
                path.append(f"{pen}{frame.x(at):.1f} {frame.y(value):.1f}h0")  # h0: a lone value is a dot
                pen = "L"
        shapes.append(f'<path class="line {one.color}" d="{" ".join(path)}"/>')
    return _chart(frame, instants, series, shapes, unit)


def stacked_bars(instants: Sequence[float], series: Sequence[Series], unit: str) -> str:
    """Draw one bar a second; `instants` are the middles of evenly spaced bars."""
    frame = Frame(_end(instants) + _step(instants) / 2, _ceiling(_sums(series)))
    width = max(1.0, frame.x(_step(instants)) - frame.x(0) - 2)
    shapes = []
    floor = [0.0] * len(instants)
    for one in series:
        for place, (at, value) in enumerate(zip(instants, one.values, strict=True)):
            if value:
                high, low = frame.y(floor[place] + value), frame.y(floor[place])
                x = frame.x(at) - width / 2
                box = f'x="{x:.1f}" y="{high:.1f}" width="{width:.1f}" height="{low - high:.1f}"'
                shapes.append(f'<rect class="bar {one.color}" {box}/>')
                floor[place] += value
    return _chart(frame, instants, series, shapes, unit)


def _chart(frame: Frame, instants: Sequence[float], series: Sequence[Series], shapes: Sequence[str], unit: str) -> str:
    legend = "".join(f'<span><i class="{one.color}"></i>{escape(one.name)}</span>' for one in series)
    body = "".join([*_grid(frame), *shapes, *_columns(frame, instants, series, unit)])
    drawing = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{body}</svg>'
    return f'<figure class="chart"><figcaption>{legend}</figcaption>{drawing}</figure>'


def _rows(frame: Frame) -> list[str]:
    parts = []
    for value in _ticks(frame.top, 4):
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick left" x="{LEFT - 8}" y="{y + 4:.1f}">{number(value)}</text>')
    return parts


def _grid(frame: Frame) -> list[str]:
    parts = _rows(frame)
    for at in _ticks(frame.seconds, 8):
        parts.append(f'<text class="tick" x="{frame.x(at):.1f}" y="{HEIGHT - 8}">{number(at)} s</text>')
    return parts


def _columns(frame: Frame, instants: Sequence[float], series: Sequence[Series], unit: str) -> list[str]:
    """Return one invisible strip an instant, whose tooltip tells all values there."""
    width = (WIDTH - LEFT - RIGHT) / max(1, len(instants))
    parts = []
    for place, at in enumerate(instants):
        known = [(one.name, one.values[place]) for one in series]
        told = "\n".join(f"{name}: {number(value)} {unit}" for name, value in known if value is not None)
        box = f'x="{frame.x(at) - width / 2:.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP - BOTTOM}"'
        parts.append(f'<rect class="column" {box}><title>{at:.1f} s\n{escape(told)}</title></rect>')
    return parts


def _sums(series: Sequence[Series]) -> list[float]:
    return [sum(value or 0.0 for value in column) for column in zip(*(one.values for one in series), strict=True)]


def _end(instants: Sequence[float]) -> float:
    return max(instants, default=0.0) or 1.0


def _step(instants: Sequence[float]) -> float:
    return instants[1] - instants[0] if len(instants) > 1 else 1.0


def _ticks(top: float, most: int) -> list[float]:
    """Return round values from 0 up to `top`, about `most` of them."""
    rough = top / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [step * place for place in range(int(top / step + 1e-9) + 1)]


def _ceiling(values: Sequence[float]) -> float:
    """Return a little more than the largest value, never zero."""
    return max([*values, 0.0]) * 1.08 or 1.0


def stacked_columns(labels: Sequence[str], series: Sequence[Series], notes: Sequence[str], unit: str) -> str:
    """Return the drawing of one column a label, with a note on top of each. It has no legend."""
    sums = _sums(series)
    frame = Frame(max(1.0, float(len(labels))), _ceiling(sums) * 1.1)
    shapes = _rows(frame)
    width = min(90.0, (frame.x(1) - frame.x(0)) * 0.6)
    for place, (label, note, total) in enumerate(zip(labels, notes, sums, strict=True)):
        middle, low = frame.x(place + 0.5), 0.0
        for one in series:
            value = one.values[place] or 0.0
            y = frame.y(low + value)
            box = f'x="{middle - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="{frame.y(low) - y:.1f}"'
            told = f"{label}, {one.name}: {number(value)} {unit}"
            shapes.append(f'<rect class="bar {one.color}" {box}><title>{escape(told)}</title></rect>')
            low += value
        shapes.append(f'<text class="note" x="{middle:.1f}" y="{frame.y(total) - 6:.1f}">{escape(note)}</text>')
        shapes.append(f'<text class="tick" x="{middle:.1f}" y="{HEIGHT - 8}">{escape(label)}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(shapes)}</svg>'


def sheet(title: str, style: str, series: Sequence[Series], panels: Sequence[tuple[str, str]]) -> str:
    """Return an SVG file of its own: drawings below one another, each with a title, and one legend for all."""
    height = 70 + len(panels) * (HEIGHT + 40)
    parts = [f'<rect class="page" width="{WIDTH}" height="{height}"/>']
    parts.append(f'<text class="title" x="{LEFT}" y="28">{escape(title)}</text>')
    for place, one in enumerate(series):
        x = LEFT + place * 130
        parts.append(f'<rect class="bar {one.color}" x="{x}" y="42" width="11" height="11" rx="2"/>')
        parts.append(f'<text class="legend" x="{x + 17}" y="52">{escape(one.name)}</text>')
    for place, (name, drawing) in enumerate(panels):
        y = 70 + place * (HEIGHT + 40)
        parts.append(f'<text class="panel" x="{LEFT}" y="{y + 22}">{escape(name)}</text>')
        parts.append(drawing.replace("<svg ", f'<svg y="{y + 30}" width="{WIDTH}" height="{HEIGHT}" ', 1))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    return f"{head}<style>{style}</style>{''.join(parts)}</svg>\n"
