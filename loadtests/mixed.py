"""An event that sells everything a hold can be: dates, seats in two quotas, add-ons, bundles and vouchers."""

from __future__ import annotations

import random

from loadtests.api import Api
from loadtests.shop import PRICE, Mix, Shop, create_event, create_item, create_quota
from loadtests.wishes import Wish

CHEAP_PRICE = "20.00"
"""What a voucher makes of the price."""
MEALS_MOST = 2
SEATS_A_ROW = 20


def open_mixed_shop(api: Api, units: int) -> Shop:
    """Create a series of two nights: each has a hall (`units`), seats for half of it, and things to eat and drink."""
    event = create_event(api, has_subevents=True)
    path = f"events/{event}/"
    extras = api.must("POST", f"{path}categories/", {"name": {"en": "Extras"}, "is_addon": True}, 201)["id"]
    ticket, seat, drink = (create_item(api, event, name) for name in ("Standing", "Seat", "Drink"))
    meal = create_item(api, event, "Meal", category=extras)
    api.must("POST", f"{path}items/{ticket}/addons/", {"addon_category": extras, "max_count": MEALS_MOST}, 201)
    api.must("POST", f"{path}items/{ticket}/bundles/", {"bundled_item": drink, "count": 1}, 201)
    guids = [f"A{number}" for number in range(max(1, units // 2))]
    plan = api.must("POST", "seatingplans/", {"name": event, "layout": _layout(guids)}, 201)["id"]
    dates, quotas = [], []
    for name in ("Friday", "Saturday"):
        body = {"name": {"en": name}, "active": True, "date_from": "2031-12-27T20:00:00Z"}
        date = int(api.must("POST", f"{path}subevents/", body, 201)["id"])
        mapping = {"seating_plan": plan, "seat_category_mapping": {"Stalls": seat}}
        api.must("PATCH", f"{path}subevents/{date}/", mapping, 200)
        dates.append(date)
        quotas += [
            create_quota(api, event, f"Hall, {name}", units, [ticket, seat], date=date),
            create_quota(api, event, f"Seats, {name}", len(guids), [seat], date=date),
            create_quota(api, event, f"Bar, {name}", units, [meal, drink], date=date),
        ]
    few = max(1, units // 6)
    vouchers: dict[str, dict[str, object]] = {
        "PLAIN": {"max_usages": few},
        "CHEAP": {"max_usages": few, "price_mode": "subtract", "value": "3.00", "budget": f"{few}.50"},
        "KEPT1": {"max_usages": few, "item": ticket, "subevent": dates[0], "block_quota": True},
    }
    for code, fields in vouchers.items():
        api.must("POST", f"{path}vouchers/", {"code": code, **fields}, 201)
    return Shop(event, [ticket, seat], quotas, Mix(dates, ticket, seat, meal, drink, guids))


def mixed_wish(mix: Mix) -> Wish:
    """Return what somebody wants of such an event."""
    date = random.choice(mix.dates)
    wish = Wish(mix.ticket, date) if random.random() < 0.5 else Wish(mix.seat, date, seat=random.choice(mix.seats))
    if wish.item == mix.ticket:
        wish.addons = [mix.meal] * random.randint(0, MEALS_MOST)
        wish.bundled = [mix.drink] * random.randint(0, 1)
    if random.random() < 0.35:
        kept = wish.item == mix.ticket and date == mix.dates[0]
        wish.voucher = random.choice(("PLAIN", "CHEAP", "KEPT1") if kept else ("PLAIN", "CHEAP"))
        wish.price = CHEAP_PRICE if wish.voucher == "CHEAP" else PRICE
    return wish


def _layout(guids: list[str]) -> dict[str, object]:
    rows = [
        {
            "row_number": str(first // SEATS_A_ROW + 1),
            "seats": [
                {"seat_guid": guid, "seat_number": guid, "category": "Stalls"}
                for guid in guids[first : first + SEATS_A_ROW]
            ],
        }
        for first in range(0, len(guids), SEATS_A_ROW)
    ]
    return {"zones": [{"name": "Main", "rows": rows}]}
