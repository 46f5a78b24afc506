"""What the pages of each list cost at a million orders in one event. `python tests/sql/bench_lists.py --help`

Each filter is asked for alone, and then in every ordering there is, for its first page and for its thousandth: of
these, only the dearest is shown.
The cost is the CPU time of Postgres, the least of some tries, in milliseconds and as a multiple of the first page
without any filter. (A list uses no second process; what else the machine does would make the time on the clock swing.)
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import many_orders
from many_orders import EVENT, FIRST, ORGANIZER

from engine.embedded.postgres import postgres_server
from persistence import order_lists, position_lists
from persistence.database import Database
from persistence.migrate import migrate

NOW = datetime.now(UTC)
RECENT = NOW - timedelta(minutes=10)
TARGET = 5.0

ORDERS: dict[str, dict[str, Any]] = {
    "no filter": {},
    "page 1000": {"offset": 50_000},
    "ordering=-datetime": {"ordering": "-datetime"},
    "ordering=code": {"ordering": "code"},
    "ordering=-last_modified": {"ordering": "-last_modified"},
    "ordering=status": {"ordering": "status"},
    "status=p (70 %)": {"status": "p"},
    "status=p, testmode=false": {"status": "p", "testmode": False},
    "testmode=true (0.1 %)": {"testmode": True},
    "testmode=false": {"testmode": False},
    "require_approval=true (0.1 %)": {"require_approval": True},
    "code": {"code": "c4711"},
    "email": {"email": "buyer4711@example.org"},
    "created_since 10 min ago": {"created_since": RECENT},
    "created_before 10 min ago": {"created_before": RECENT},
    "modified_since 10 min ago": {"modified_since": RECENT},
    "modified_since, testmode=false": {"modified_since": RECENT, "testmode": False},
    "modified_since ever": {"modified_since": NOW - timedelta(days=999), "testmode": False},
    "locale=de (25 %)": {"locale": "de"},
    "sales_channel=web (all)": {"sales_channel": "web"},
    "customer (0.1 %)": {"customer": "RARE"},
    "payment_provider=manual (99.9 %)": {"payment_provider": "manual"},
    "payment_provider=rare (0.1 %)": {"payment_provider": "rare"},
    "item (10 %)": {"item": 3},
    "item (0.1 %)": {"item": 999},
    "item of nobody": {"item": 77},
    "subevent (1 %)": {"subevent": EVENT + 7},
    "subevent_after (half)": {"subevent_after": datetime(2031, 2, 20, tzinfo=UTC)},
    "subevent_before (few)": {"subevent_before": datetime(2031, 1, 3, tzinfo=UTC)},
    "search: a code": {"search": "C471147", "search_code": "C471147"},
    "search: one person": {"search": "buyer123456@", "search_code": None},
    "search: a family name (0.02 %)": {"search": "NAME", "search_code": None},
    "search: nobody": {"search": "zzyyxx", "search_code": "ZZYYXX"},
    "search: everybody": {"search": "example.org", "search_code": None},
    "search: two letters": {"search": "qx", "search_code": "QX"},
    "search: one letter": {"search": "q", "search_code": "Q"},
    "search: a digit, as 6 % of the secrets begin": {"search": "7", "search_code": "7"},
    "search: as 0.4 % of the secrets begin": {"search": "7f", "search_code": "7F"},
    "search and status": {"search": "example", "search_code": "EXAMPLE", "status": "c"},
    "subevent_after, subevent_before": {
        "subevent_after": datetime(2031, 1, 20, tzinfo=UTC),
        "subevent_before": datetime(2031, 3, 20, tzinfo=UTC),
    },
    "item (0.1 %), ordering=code": {"item": 999, "ordering": "code"},
    "nobody, ordering=-status": {"search": "zzyyxx", "search_code": "ZZYYXX", "ordering": "-status"},
    "page 10000": {"offset": 500_000},
    "page 10000, ordering=-last_modified": {"offset": 500_000, "ordering": "-last_modified"},
    "page 10000, ordering=code": {"offset": 500_000, "ordering": "code"},
    "page 10000, ordering=status": {"offset": 500_000, "ordering": "status"},
    "testmode=false, page 10000": {"testmode": False, "offset": 500_000},
    "testmode=false, page 10000, ordering=-code": {"testmode": False, "offset": 500_000, "ordering": "-code"},
    "status=p, page 10000, ordering=code": {"status": "p", "offset": 500_000, "ordering": "code"},
    "search: everybody, page 10000": {"search": "example.org", "search_code": None, "offset": 500_000},
    "search: everybody, page 10000, ordering=code": {
        "search": "example.org",
        "search_code": None,
        "offset": 500_000,
        "ordering": "code",
    },
    "search: everybody, page 10000, ordering=-status": {
        "search": "example.org",
        "search_code": None,
        "offset": 500_000,
        "ordering": "-status",
    },
}
POSITIONS: dict[str, dict[str, Any]] = {
    "no filter": {},
    "page 1000": {"offset": 50_000},
    "ordering=-order__datetime": {"ordering": "-order__datetime"},
    "ordering=order__code": {"ordering": "order__code"},
    "ordering=attendee_name": {"ordering": "attendee_name"},
    "order": {"order": "C4711"},
    "customer (0.1 %)": {"customer": "RARE"},
    "item (10 %)": {"items": [3]},
    "item (0.1 %)": {"items": [999]},
    "subevent (1 %)": {"subevents": [EVENT + 7]},
    "variation of nobody": {"variations": [1]},
    "addon_to": {"addon_to": [FIRST + 1]},
    "voucher": {"vouchers": [1]},
    "attendee_name": {"attendee_name": "nobody"},
    "secret": {"secret": "c4ca4238a0b923820dcc509a6f75849b"},
    "pseudonymization_id": {"pseudonymization_id": "PC4711"},
    "order__status=n (20 %)": {"statuses": ["n"]},
    "order__status in n, p (90 %)": {"statuses": ["n", "p"]},
    "search: one person": {"search": "buyer123456@"},
    "search: the beginning of a secret": {"search": "c4ca4238"},
    "search: nobody": {"search": "zzyyxx"},
    "search: two letters": {"search": "qx"},
    "search: everybody": {"search": "example.org"},
    "search: the beginning of all codes": {"search": "C"},
    "search and item": {"search": "example", "items": [999]},
    "has_checkin=true (none)": {"has_checkin": True},
    "has_checkin=false": {"has_checkin": False},
    "voucher__code": {"voucher_code": "NONE"},
    "item (0.1 %), ordering=order__code": {"items": [999], "ordering": "order__code"},
    "ordering=-positionid": {"ordering": "-positionid"},
    "ordering=order__status": {"ordering": "order__status"},
    "item (0.1 %), ordering=attendee_name": {"items": [999], "ordering": "attendee_name"},
    "page 10000": {"offset": 500_000},
    "page 10000, ordering=order__code": {"offset": 500_000, "ordering": "order__code"},
    "page 10000, ordering=attendee_name": {"offset": 500_000, "ordering": "attendee_name"},
    "page 10000, ordering=positionid": {"offset": 500_000, "ordering": "positionid"},
    "search: everybody, page 10000": {"search": "example.org", "offset": 500_000},
    "search: everybody, page 10000, ordering=-order__status": {
        "search": "example.org",
        "offset": 500_000,
        "ordering": "-order__status",
    },
}

ORDER_ORDERINGS = ("datetime", "-datetime", "code", "-code", "last_modified", "-last_modified", "status", "-status")
POSITION_ORDERINGS = (
    "order__datetime", "-order__datetime", "order__code", "-order__code", "positionid", "-positionid",
    "attendee_name", "-attendee_name", "order__status", "-order__status",
)  # fmt: skip

Ask = Callable[[dict[str, Any], int], Awaitable[int]]


async def main() -> int:
    """Print the tables; return 1 if something costs more than the target."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--tries", type=int, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument("--database", metavar="URL", help="one filled by an earlier run; default: a new one")
    options = parser.parse_args()
    if options.database:
        return await measure(options.database, options.tries)
    with tempfile.TemporaryDirectory(prefix="holdfast-lists-") as folder, postgres_server(Path(folder)) as url:
        migrate(url)
        many_orders.make(url, options.orders)
        return await measure(url, options.tries)


async def measure(url: str, tries: int) -> int:
    """Print what each list costs."""
    database = Database(url, connections_max=1)
    await database.open()
    [row] = await database.rows("SELECT pg_backend_pid() AS pid")
    spent = Path(f"/proc/{row['pid']}/schedstat")

    async def orders(conditions: dict[str, Any], offset: int) -> int:
        wanted = order_lists.Wanted(**{"organizer_id": ORGANIZER, "event_id": EVENT, **conditions})
        return (await order_lists.page(database, wanted, offset, 50))[1]

    async def organizer(conditions: dict[str, Any], offset: int) -> int:
        return await orders({**conditions, "event_id": None}, offset)

    async def positions(conditions: dict[str, Any], offset: int) -> int:
        wanted = position_lists.Wanted(organizer_id=ORGANIZER, event_id=EVENT, **conditions)
        return (await position_lists.page(database, wanted, offset, 50))[0]

    try:
        too_dear = 0
        for name, lists, ask in (
            ("orders of an event", ORDERS, orders),
            ("orders of an organizer", ORDERS, organizer),
            ("order positions", POSITIONS, positions),
        ):
            first, dear = await table(name, lists, ask, tries, spent)
            orderings = POSITION_ORDERINGS if lists is POSITIONS else ORDER_ORDERINGS
            too_dear += dear
            for offset in (0, 50_000):
                too_dear += await pairs(lists, orderings, ask, (tries, spent, first), offset)
    finally:
        await database.close()
    return 1 if too_dear else 0


async def table(name: str, lists: dict[str, dict[str, Any]], ask: Ask, tries: int, spent: Path) -> tuple[float, int]:
    """Print one table; return the cost of the first row, and how many rows cost more than the target."""
    print(f"\n{name:58} {'count':>9} {'ms':>8} {'times':>6}")
    first = 0.0
    too_dear = 0
    for label, asked in lists.items():
        count, best = await _cost(asked, ask, tries, spent, 0.0)
        first = first or best
        too_dear += _show(label, count, best, first)
    return first, too_dear


async def pairs(
    lists: dict[str, dict[str, Any]], orderings: Sequence[str], ask: Ask, means: tuple[int, Path, float], offset: int
) -> int:
    """Ask for each filter in each ordering; print the dearest ordering of each, and return how many were too dear.

    `means` are the tries, the file that tells the CPU time, and what the list without a filter costs.
    """
    tries, spent, first = means
    print(f"its dearest ordering, page {offset // 50 + 1}")
    too_dear = 0
    for label, asked in lists.items():
        if "ordering" in asked or "offset" in asked:
            continue
        worst, found, worst_count = 0.0, "", 0
        for ordering in orderings:
            count, best = await _cost(
                {**asked, "ordering": ordering, "offset": offset}, ask, tries, spent, 0.8 * TARGET * first
            )
            if count <= offset > 0:
                break
            too_dear += best > TARGET * first
            if best > worst:
                worst, found, worst_count = best, ordering, count
        if found:
            _show(f"{label}, {found}", worst_count, worst, first)
    return too_dear


async def _cost(asked: dict[str, Any], ask: Ask, tries: int, spent: Path, enough: float) -> tuple[int, float]:
    """Return (count, least milliseconds of some tries); one that takes less than `enough` need not be tried again."""
    conditions = dict(asked)
    offset = conditions.pop("offset", 0)
    best, count = float("inf"), 0
    for _ in range(tries):
        started = _cpu_ms(spent)
        count = await ask(conditions, offset)
        best = min(best, _cpu_ms(spent) - started)
        if best < enough:
            break
    return count, best


def _show(label: str, count: int, spent: float, first: float) -> bool:
    """Print one row; tell whether it is too dear."""
    dear = spent > TARGET * first
    print(f"{label:58} {count:9} {spent:8.1f} {spent / first:6.2f}{' !' if dear else ''}", flush=True)
    return dear


def _cpu_ms(spent: Path) -> float:
    return int(spent.read_text().split()[0]) / 1e6


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
