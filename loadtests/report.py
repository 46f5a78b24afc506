"""The rush's report: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from loadtests.charts import Series, lines, stacked_areas, stacked_bars
from loadtests.figures import by_second, number, percentile
from loadtests.record import Outcome, Requests
from loadtests.result import KINDS, Result

OUTCOMES: tuple[tuple[Outcome, str, str], ...] = (
    ("done", "done", "paid"),
    ("sold_out", "sold out", "soldout"),
    ("busy", "busy, asked to wait", "held"),
    ("failed", "unexpected", "failed"),
)
"""Outcome, its words, its colour."""
MARKS = {True: "good", False: "bad", None: "open"}


def render(result: Result) -> str:
    """Return the report as a page."""
    style = files("loadtests").joinpath("report.css").read_text()
    sections = [_verdict(result), _tiles(result), _quotas(result), _traffic(result), _latency(result), _rules(result)]
    title = f"The rush of {escape(result.when)}"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    page = f"<head>{head}<style>{style}</style></head><body>{''.join(sections)}</body>"
    return f'<!doctype html><html lang="en">{page}</html>\n'


def _verdict(result: Result) -> str:
    if result.problems:
        word, kind = "A rule was broken.", "bad"
    elif result.ok:
        word, kind = "Nothing was oversold.", "good"
    else:
        word, kind = "Nothing was oversold, but there were unexpected answers.", "bad"
    sold = sum(result.record.answers.ordered.values())
    told = (
        f"{number(result.record.buyers)} buyers, {number(sold)} tickets, {number(result.seconds)} seconds, "
        f"against {escape(result.base_url)} on {escape(result.when)}."
    )
    return f'<header class="{kind}"><h1>{word}</h1><p>{told}</p></header>'


def _tiles(result: Result) -> str:
    answers = result.record.answers
    tiles = (
        (number(sum(answers.paid.values())), "tickets paid"),
        (number(sum(answers.ordered.values()) - sum(answers.paid.values())), "ordered, not paid"),
        (number(result.outcomes("sold_out")), "answers “sold out”"),
        (number(result.total() / max(result.seconds, 0.001)), "requests a second"),
        (number(result.outcomes("busy")), "asked to wait"),
        (number(result.outcomes("failed")), "unexpected answers"),
    )
    cells = "".join(f"<div><b>{value}</b><span>{escape(words)}</span></div>" for value, words in tiles)
    return f'<section class="tiles">{cells}</section>'


def _quotas(result: Result) -> str:
    parts = []
    instants = [sample.at for sample in result.samples]
    for quota in result.shop.quotas:
        counts = [sample.quotas[quota.name] for sample in result.samples]
        series = (
            Series("paid", "paid", [one.paid for one in counts]),
            Series("pending", "pending", [one.pending for one in counts]),
            Series("held in carts", "held", [one.held for one in counts]),
            Series("blocked", "soldout", [max(0, one.other) for one in counts]),
            Series("free", "free", [one.free for one in counts]),
        )
        shown = [one for one in series if one.color != "soldout" or any(one.values)]
        chart = stacked_areas(instants, shown, quota.size, "units")
        parts.append(f"<div><h3>{escape(quota.name)}</h3>{chart}</div>")
    lead = "Some quotas share products. Paid, pending and held together may never cross the line."
    return f'<section><h2>Holds and sales</h2><p>{lead}</p><div class="pair">{"".join(parts)}</div></section>'


def _traffic(result: Result) -> str:
    seconds = result.whole_seconds()
    middles = [second + 0.5 for second in range(seconds)]
    requests = list(result.record.requests.values())
    series = [
        Series(words, color, _per_second(requests, outcome, seconds))
        for outcome, words, color in OUTCOMES
        if result.outcomes(outcome) or outcome in ("done", "sold_out")
    ]
    throughput = stacked_bars(middles, series, "requests/s")
    colors = ("paid", "held", "pending", "soldout", "other")
    # what is rarer than these is in the table alone
    by_kind = [
        Series(words, color, [float(len(second)) for second in by_second(one.at, one.ms, seconds)])
        for (kind, words), color in zip(KINDS, colors, strict=False)
        if (one := result.record.requests.get(kind))
    ]
    return (
        '<section><h2>Throughput</h2><div class="pair">'
        f"<div><h3>by answer</h3>{throughput}</div>"
        f"<div><h3>by request</h3>{lines(middles, by_kind, 'requests/s')}</div></div></section>"
    )


def _per_second(requests: Sequence[Requests], outcome: Outcome, seconds: int) -> list[float]:
    counts = [0.0] * seconds
    for one in requests:
        marks = [float(found == outcome) for found in one.outcome]
        for second, values in enumerate(by_second(one.at, marks, seconds)):
            counts[second] += sum(values)
    return counts


def _latency(result: Result) -> str:
    seconds = result.whole_seconds()
    middles = [second + 0.5 for second in range(seconds)]
    parts = []
    for kind, words in KINDS:
        if kind not in ("hold", "order", "pay", "look") or not (one := result.record.requests.get(kind)):
            continue
        ordered = [sorted(values) for values in by_second(one.at, one.ms, seconds)]
        series = [
            Series(name, color, [percentile(values, share) if values else None for values in ordered])
            for name, color, share in (("p50", "paid", 0.5), ("p95", "pending", 0.95), ("p99", "soldout", 0.99))
        ]
        parts.append(f"<div><h3>{escape(words)}</h3>{lines(middles, series, 'ms')}</div>")
    lead = "Milliseconds, as a buyer waits for them. The buyers share the machine with the server."
    head = "".join(f"<th>{escape(cell)}</th>" for cell in result.table_head())
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in result.table_rows()
    )
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f'<section><h2>Latency</h2><p>{lead}</p>{table}<div class="pair">{"".join(parts)}</div></section>'


def _rules(result: Result) -> str:
    checked = "".join(f'<li class="{MARKS[good]}">{escape(text)}</li>' for good, text in result.checks())
    found = ""
    if result.problems:
        rows = "".join(
            f"<tr><td>{escape(one.rule)}</td><td>{escape(str(one.where))}</td><td>{escape(str(one.expected))}</td>"
            f"<td>{escape(str(one.found))}</td></tr>"
            for one in result.problems[:100]
        )
        head = "<tr><th>rule</th><th>where</th><th>expected</th><th>found</th></tr>"
        found = f'<div class="scroll"><table class="words"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    failures = "".join(
        f"<li><b>{escape(one.kind)}</b> {one.status or 'no answer'}: <code>{escape(one.text)}</code></li>"
        for one in result.record.failures
    )
    unexpected = f"<h3>Unexpected answers</h3><ul>{failures}</ul>" if failures else ""
    return f'<section><h2>What was checked</h2><ul class="checks">{checked}</ul>{found}{unexpected}</section>'
