"""What a process knows of voucher codes: read ahead, by version of the catalogue, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from shop import Shop, must

from engine.domain.catalogue import Event
from engine.domain.errors import Fenced, StaleCatalogue
from engine.sales import voucher_codes
from engine.sales.voucher_codes import VoucherCodes
from persistence import access, catalogue
from persistence.database import Database

PAGE = 20
COUNT = 2 * PAGE + 7
CODES = [f"Code{number:05d}" for number in range(COUNT)]
ALL_READ_S = 60


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voucher_codes, "_PAGE", PAGE)


async def load(database: Database, server: Any, made: Shop) -> Event:
    organizer = await access.organizer_by_slug(database, server.organizer)
    assert organizer is not None
    event = await catalogue.load_event(database, organizer["id"], made.slug)
    assert event is not None
    return event


async def ask(codes: VoucherCodes, event: Event, *names: str) -> dict[str, str | None]:
    found = await codes.find(event, names)
    return {key: voucher and voucher.code for key, voucher in found.items()}


async def read_all(codes: VoucherCodes, event: Event) -> None:
    """Ask for codes that the event has not, as often as it takes until all that it has were read."""
    async with asyncio.timeout(ALL_READ_S):
        asked = 0
        while not (event.id in codes._events and codes._events[event.id].whole):
            asked += 1
            assert await ask(codes, event, f"nosuch{asked}") == {f"nosuch{asked}": None}
            await asyncio.sleep(0.01)


async def test_who_asks_often_needs_not_ask(database: Database, server: Any, shop: Callable[..., Shop]) -> None:
    made = shop()
    terms = {"price_mode": "set", "value": "7.50", "valid_until": "2035-01-02T03:04:05+02:00", "budget": "100.00"}
    must(made.post("vouchers/batch_create/", [{"code": code, **terms} for code in CODES]), 201)
    event = await load(database, server, made)
    asked = VoucherCodes(database)
    apart = await asked.find(event, CODES)
    assert [voucher and voucher.code for voucher in apart.values()] == CODES

    own = Database(server.database_url)
    await own.open()
    ahead = VoucherCodes(own)
    await read_all(ahead, event)
    await own.close()  # whoever asks Postgres from here on is refused
    assert await ahead.find(event, [code.upper() for code in CODES]) == apart
    assert await ask(ahead, event, "another") == {"another": None}
    with pytest.raises(Fenced):
        await VoucherCodes(own).find(event, ["another"])


async def test_who_is_the_first_to_name_one_of_a_page_has_the_next_one_read(
    database: Database, server: Any, shop: Callable[..., Shop]
) -> None:
    made = shop()
    must(made.post("vouchers/batch_create/", [{"code": code} for code in CODES]), 201)
    event = await load(database, server, made)
    codes = VoucherCodes(database)

    async def known_after(name: str) -> int:
        """Name a code, and return how many vouchers of the event are known once nothing more is read."""
        await ask(codes, event, name)
        if (reading := codes._events[event.id].reading) is not None:
            await reading
        return len([one for one in codes._events[event.id].remembered.values() if one is not None])

    assert await known_after("nosuch1") == 0
    assert await known_after("nosuch2") == PAGE
    assert await known_after(CODES[3]) == 2 * PAGE
    assert await known_after(CODES[4]) == 2 * PAGE, "of the page before"
    assert await known_after(CODES[PAGE]) == COUNT
    assert codes._events[event.id].asked == 2
    assert await known_after(CODES[-1]) == COUNT


async def test_what_was_read_ahead_is_of_one_version(
    database: Database, server: Any, shop: Callable[..., Shop]
) -> None:
    made = shop()
    vouchers = must(made.post("vouchers/batch_create/", [{"code": code} for code in CODES]), 201)
    old = await load(database, server, made)
    codes = VoucherCodes(database)
    await read_all(codes, old)
    must(made.patch(f"vouchers/{vouchers[0]['id']}/", {"max_usages": 3}), 200)
    must(made.patch(f"vouchers/{vouchers[1]['id']}/", {"code": "Renamed"}), 200)
    must(made.delete(f"vouchers/{vouchers[2]['id']}/"), 204)
    must(made.post("vouchers/", {"code": "Added"}), 201)
    # by the old catalogue, which no script takes
    assert await ask(codes, old, CODES[2], "added") == {CODES[2].lower(): CODES[2], "added": None}

    new = await load(database, server, made)
    for _ in range(2):
        found = await codes.find(new, [*CODES[:4], "renamed", "ADDED"])
        assert [one and one.code for one in found.values()] == [CODES[0], None, None, CODES[3], "Renamed", "Added"]
        assert found[CODES[0].lower()].max_usages == 3  # type: ignore[union-attr]
        with pytest.raises(StaleCatalogue):
            await codes.find(old, [CODES[0]])
        await read_all(codes, new)


async def test_reading_ahead_stops_where_the_catalogue_has_changed(
    database: Database, server: Any, shop: Callable[..., Shop]
) -> None:
    made = shop()
    must(made.post("vouchers/batch_create/", [{"code": code} for code in CODES]), 201)
    old = await load(database, server, made)
    codes = VoucherCodes(database)
    first, second = CODES[:2]
    assert await ask(codes, old, first) == {first.lower(): first}
    must(made.post("vouchers/", {"code": "Added"}), 201)
    known = codes._events[old.id]
    await codes._read_on(old, known)
    assert not known.whole
    assert known.read_to == 0
    with pytest.raises(StaleCatalogue):
        await codes.find(old, [second])
    new = await load(database, server, made)
    await read_all(codes, new)
    assert await ask(codes, new, second, "added") == {second.lower(): second, "added": "Added"}


async def test_only_so_many_codes_are_remembered(
    database: Database, server: Any, shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    most = PAGE + 10
    monkeypatch.setattr(voucher_codes, "_REMEMBERED_MAX", most)
    codes, events = VoucherCodes(database), []
    for _ in range(2):
        made = shop()
        must(made.post("vouchers/batch_create/", [{"code": code} for code in CODES]), 201)
        events.append(await load(database, server, made))
    for first in range(0, COUNT, 4):
        for event in events:
            names = CODES[first : first + 4]
            assert await ask(codes, event, *names) == {name.lower(): name for name in names}
            if (reading := codes._events[event.id].reading) is not None:
                await reading
            kept = sum(len(known.remembered) for known in codes._events.values())
            assert kept == codes._count <= most
            assert not codes._events[event.id].whole
    assert await ask(codes, events[0], CODES[5], "nosuch") == {CODES[5].lower(): CODES[5], "nosuch": None}
