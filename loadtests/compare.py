"""Two rushes side by side: of two servers, or before and after a change. `python -m loadtests.compare --help`"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import msgspec

from loadtests.charts import Series, lines
from loadtests.figures import by_second, number, percentile, table
from loadtests.result import KINDS, Result
from loadtests.target import TargetError

COLORS = ("paid", "held")


def read_result(path: Path) -> Result:
    """Return what a rush has left beside its report. Raises TargetError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except OSError as error:
        raise TargetError(f"cannot read {path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise TargetError(f"{path} is not what a rush leaves beside its report: {error}") from None


def rows(results: Sequence[Result]) -> list[list[str]]:
    """Return what the table says: words, and a figure of each rush."""
    figures: list[tuple[str, Callable[[Result], str]]] = [
        ("buyers", lambda one: number(one.record.buyers)),
        ("units for sale", lambda one: number(sum(quota.size for quota in one.shop.quotas))),
        ("tickets ordered", lambda one: number(one.sold)),
        ("tickets paid", lambda one: number(sum(one.record.answers.paid.values()))),
        ("seconds until the last answer", lambda one: number(one.lasted)),
        ("tickets a second", lambda one: number(one.sold / max(one.lasted, 0.001))),
        ("requests a second", lambda one: number(one.total() / max(one.lasted, 0.001))),
        ("answers “sold out”", lambda one: number(one.outcomes("sold_out"))),
        ("… the slowest of them, ms", lambda one: _share(one.waits("hold", "sold_out"), 1.0)),
        ("asked to wait", lambda one: number(one.outcomes("busy"))),
        ("unexpected answers", lambda one: number(one.outcomes("failed"))),
        ("rules broken", lambda one: number(len(one.problems))),
    ]
    for kind, words in KINDS:
        if not any(kind in one.record.requests for one in results):
            continue
        for share in (0.5, 0.99):
            figures.append((f"{words}, p{share * 100:.0f} ms", _waits(kind, share)))
    return [[words, *(tell(one) for one in results)] for words, tell in figures]


def _waits(kind: str, share: float) -> Callable[[Result], str]:
    return lambda one: _share(sorted(one.record.requests[kind].ms) if kind in one.record.requests else [], share)


def _share(ordered: Sequence[float], share: float) -> str:
    return number(percentile(ordered, share)) if ordered else "–"


def compare(results: Sequence[Result], names: Sequence[str]) -> str:
    """Return a page with both."""
    style = files("loadtests").joinpath("report.css").read_text()
    title = " and ".join(names)
    told = "".join(
        f"<p><b>{escape(name)}</b>: {escape(one.base_url)} on {escape(one.when)}. {_verdict(one)}</p>"
        for name, one in zip(names, results, strict=True)
    )
    header = f'<header class="{"good" if all(one.ok for one in results) else "bad"}">'
    header += f"<h1>{escape(title)}, side by side</h1>{told}</header>"
    head = "".join(f"<th>{escape(cell)}</th>" for cell in ("", *names))
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows(results))
    cells = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    sections = [header, f"<section><h2>Figures</h2>{cells}</section>", _charts(results, names)]
    meta = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    page = f"<head>{meta}<style>{style}</style></head><body>{''.join(sections)}</body>"
    return f'<!doctype html><html lang="en">{page}</html>\n'


def _verdict(result: Result) -> str:
    if result.problems:
        return "A rule was broken."
    return "Nothing was oversold." if result.ok else "Nothing was oversold, but there were unexpected answers."


def _charts(results: Sequence[Result], names: Sequence[str]) -> str:
    seconds = max(int(one.lasted) + 1 for one in results)
    middles = [second + 0.5 for second in range(seconds)]

    def drawn(title: str, unit: str, value: Callable[[Result], list[float | None]]) -> str:
        series = [
            Series(name, color, (value(one) + [None] * seconds)[:seconds])
            for name, color, one in zip(names, COLORS, results, strict=True)
        ]
        return f"<div><h3>{escape(title)}</h3>{lines(middles, series, unit)}</div>"

    parts = [drawn("Tickets ordered so far", "tickets", _sold), drawn("Answers a second", "answers/s", _answers)]
    for kind, words in KINDS:
        if kind in ("hold", "order") and any(kind in one.record.requests for one in results):
            parts.append(drawn(f"{words}: half waits longer, ms", "ms", _latency(kind, 0.5)))
            parts.append(drawn(f"{words}: one of a hundred waits longer, ms", "ms", _latency(kind, 0.99)))
    lead = "Over the seconds from the start of each rush; a line ends with its rush."
    return f'<section><h2>On their way</h2><p>{lead}</p><div class="pair">{"".join(parts)}</div></section>'


def _length(result: Result) -> int:
    return int(result.lasted) + 1


def _sold(result: Result) -> list[float | None]:
    if (orders := result.record.requests.get("order")) is None:
        return []
    answered = [at + ms / 1000 for at, ms in zip(orders.at, orders.ms, strict=True)]
    done = [float(outcome == "done") for outcome in orders.outcome]
    each = [sum(second) for second in by_second(answered, done, _length(result))]
    return [sum(each[: second + 1]) for second in range(len(each))]


def _answers(result: Result) -> list[float | None]:
    counts = [0.0] * _length(result)
    for one in result.record.requests.values():
        answered = [at + ms / 1000 for at, ms in zip(one.at, one.ms, strict=True)]
        for second, values in enumerate(by_second(answered, one.ms, len(counts))):
            counts[second] += len(values)
    return list(counts)


def _latency(kind: str, share: float) -> Callable[[Result], list[float | None]]:
    def of(result: Result) -> list[float | None]:
        if (one := result.record.requests.get(kind)) is None:
            return []
        seconds = by_second(one.at, one.ms, _length(result))
        return [percentile(sorted(values), share) if values else None for values in seconds]

    return of


def main(arguments: list[str] | None = None) -> int:
    """Write the page and print the table."""
    parser = ArgumentParser(prog="python -m loadtests.compare", description="Show two rushes side by side.")
    parser.add_argument("results", nargs=2, metavar="FILE", help="the .json that a rush leaves beside its report")
    parser.add_argument("--names", nargs=2, metavar="NAME", help="what to call them; the files' names unless given")
    parser.add_argument("--report", default="reports/compare.html", metavar="FILE", help="default: %(default)s")
    options = parser.parse_args(arguments)
    names = options.names or [Path(path).stem for path in options.results]
    try:
        results = [read_result(Path(path)) for path in options.results]
    except TargetError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    report = Path(options.report)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(compare(results, names))
    print(table(["", *names], rows(results)))
    print(f"\nThe page with charts: {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
