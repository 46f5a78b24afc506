"""`holdfast import-pretix`: takes an event over from a pretix, by its API."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time

from engine.commands import stores
from engine.commands.failure import CommandFailed
from engine.domain.errors import Refused
from engine.moving import comparison
from engine.moving.ids import Problems
from engine.moving.orders import NotDrained, Tally
from engine.moving.run import Outcome
from engine.moving.run import run as bring
from engine.moving.source import SourceFailed, open_source
from engine.sales.house import open_house
from engine.settings import Settings, SettingsError
from persistence import access

_LINE_EVERY_S = 2.0


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Import; return 0 if everything came over and availability agrees, 1 if not."""
    token: str = arguments.token
    if token == "-":  # noqa: S105 - the sign for standard input
        token = sys.stdin.readline().strip()
    if not token:
        raise SettingsError("the token is empty")
    return asyncio.run(_run(arguments, stores.with_both(settings), token))


async def _run(arguments: argparse.Namespace, settings: Settings, token: str) -> int:
    problems = Problems()
    stop = asyncio.Event() if arguments.follow else None
    if stop is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    into: str = arguments.into or arguments.organizer
    try:
        async with (
            open_house(settings) as house,
            open_source(arguments.url, token, arguments.organizer, arguments.event) as source,
        ):
            organizer = await access.organizer_by_slug(house.database, into)
            if organizer is None:
                raise SettingsError(f"there is no organizer {into}: holdfast organizer create {into}")
            print(f"from {source.url} into {into}", flush=True)
            outcome = await bring(house, source, organizer["id"], problems, say=_say, progress=_Progress(), stop=stop)
    except SourceFailed as error:
        raise CommandFailed(f"{error}; run this again to go on") from None
    except NotDrained:
        raise CommandFailed("nobody writes orders to Postgres: start `holdfast worker`, then run this again") from None
    except Refused as error:
        raise CommandFailed(f"the event was not taken over: {error}") from None
    return _tell(outcome, problems)


def _say(line: str) -> None:
    print(line, flush=True)


class _Progress:
    """Says now and then how far orders are."""

    def __init__(self) -> None:
        self._started = self._said = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self._said >= _LINE_EVERY_S:
            self._said = now
            rate = tally.looked_at / (now - self._started)
            print(f"  {tally.looked_at:>9,}  orders of {tally.expected:,}, {rate:,.0f}/s", flush=True)


def _tell(outcome: Outcome, problems: Problems) -> int:
    tally = outcome.tally
    rate = tally.looked_at / outcome.seconds if outcome.seconds else 0
    print(
        f"  {tally.looked_at:>9,}  orders looked at in {outcome.seconds:.1f} s ({rate:,.0f}/s), {outcome.requests:,} "
        f"requests: {tally.taken:,} new, {tally.changed:,} changed\n\n{comparison.table(outcome.lines)}\n"
    )
    for line in outcome.lines:
        for name, (there, here) in line.differences.items():
            print(f"DIFFERS  quota {line.name}: {name} is {there} there, {here} here")
    for text in problems.lines:
        print(f"LOOK AT  {text}")
    if problems.count > len(problems.lines):
        print(f"LOOK AT  {problems.count - len(problems.lines):,} more")
    if outcome.agrees and not problems.count:
        print("Everything came over, and availability agrees quota by quota.")
        return 0
    print(
        f"{sum(bool(line.differences) for line in outcome.lines)} quotas differ, {problems.count:,} things to look at."
    )
    return 1
