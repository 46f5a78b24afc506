"""An event with everything in it, sold in every way: what an import has to take along."""

from __future__ import annotations

import secrets
from typing import Any

from plans import layout
from shop import Shop, must

SEATS = [f"A-{number}" for number in range(1, 9)]


def fill(shop: Shop, *, plain: int = 0) -> None:
    """Fill a fresh event; `plain` more orders of one ticket each come last."""
    tax = shop.add("taxrules/", name={"en": "VAT"}, rate="19.00")["id"]
    hall = shop.add("categories/", name={"en": "Hall"})["id"]
    extras = shop.add("categories/", name={"en": "Extras"}, is_addon=True)["id"]
    meal = shop.item("Meal", "12.00", category=extras)
    drink = shop.item("Drink", "3.00")
    ticket = shop.item("Ticket", "23.00", category=hall, tax_rule=tax, admission=True, x_plugin={"colour": "red"})
    shirt, [small, large] = shop.item_with("S", "L", name="Shirt", price="15.00")
    shop.add(f"items/{ticket}/addons/", addon_category=extras, max_count=2)
    shop.add(f"items/{ticket}/bundles/", bundled_item=drink, count=1, designated_price="2.00")
    seat = shop.item("Seat", "40.00")
    plan = must(shop.api.post("seatingplans/", json={"name": "Plan", "layout": layout(SEATS)}), 201)["id"]
    body = {"seating_plan": plan, "seat_category_mapping": {"Stalls": seat}}
    must(shop.api.patch(f"events/{shop.slug}/", json=body), 200)
    name = shop.add(
        "questions/",
        question={"en": "Diet?"},
        type="C",
        items=[ticket],
        identifier="DIET",
        options=[{"answer": {"en": "Vegan"}, "identifier": "VEGAN"}, {"answer": {"en": "All"}}],
    )
    shop.add(
        "questions/",
        question={"en": "Why?"},
        type="S",
        items=[ticket],
        dependency_question=name["id"],
        dependency_values=["VEGAN"],
    )
    everything = shop.quota(4000, ticket, meal, drink, seat, name="House")
    few = shop.quota(3, ticket, name="Few", close_when_sold_out=True)
    shop.add("quotas/", name="Shirts", size=5, items=[shirt], variations=[small, large])
    shop.add("quotas/", name="Any", size=None, items=[drink])
    shop.patch(f"quotas/{few}/", {"size": 5000})
    cheap = shop.add(
        "vouchers/", code="CHEAPER", max_usages=5, price_mode="set", value="20.00", item=ticket, budget="50.00"
    )
    shop.add("vouchers/", code="KEEPS", max_usages=4, block_quota=True, quota=everything)
    shop.add("vouchers/", code="SEATED", item=seat, seat=SEATS[7])
    gate = shop.add("checkinlists/", name="Gate", all_products=True, allow_entry_after_exit=False)["id"]
    shop.add("waitinglistentries/", email="late@example.org", item=shirt, variation=small)
    _sell(shop, ticket=ticket, meal=meal, shirt=(shirt, small), seat=seat, voucher=cheap, question=name, gate=gate)
    seats = shop.get("seats/").json()["results"]
    must(shop.patch(f"seats/{seats[6]['id']}/", {"blocked": True}), 200)
    for number in range(plain):
        must(shop.order(ticket, email=f"buyer{number}@example.org", status="p" if number % 3 else "n"), 201)


def _sell(shop: Shop, *, ticket: int, meal: int, shirt: Any, seat: int, voucher: Any, question: Any, gate: int) -> None:
    """Sell in every way: paid, refunded, canceled, expired, changed, with add-ons, seats, vouchers, fees, answers."""
    vegan = question["options"][0]
    answer = {"question": question["id"], "answer": "Vegan", "options": [vegan["id"]]}
    code = "".join(secrets.choice("ABCDEFGH") for _ in range(7))
    placed = [
        shop.order(
            {
                "item": ticket,
                "positionid": 1,
                "attendee_name_parts": {"given_name": "Ada", "family_name": "L"},
                "answers": [answer],
            },
            {"item": meal, "positionid": 2, "addon_to": 1},
            fees=[{"fee_type": "service", "value": "1.50", "description": "By phone"}],
            invoice_address={"is_business": False, "name_parts": {"given_name": "Ada"}, "country": "DE"},
            phone="+49301234567",
            api_meta={"crm": "7"},
            comment="a friend",
        ),
        shop.order({"item": ticket, "voucher": voucher["code"]}, {"item": ticket}),
        shop.order({"item": seat, "seat": SEATS[0]}, {"item": seat, "seat": SEATS[1]}),
        shop.order({"item": shirt[0], "variation": shirt[1]}),
        shop.order(ticket),
        shop.order(ticket, testmode=True),
        shop.order({"item": seat, "seat": SEATS[2]}),
        shop.order(ticket, code=code, status="p"),
    ]
    codes = [must(response, 201)["code"] for response in placed]
    for number in (0, 1, 2, 6):
        must(shop.post(f"orders/{codes[number]}/payments/1/confirm/"), 200)
    refund = {"payment": 1, "state": "created", "source": "admin", "amount": "5.00", "provider": "manual"}
    must(shop.post(f"orders/{codes[1]}/refunds/", refund), 201)
    must(shop.post(f"orders/{codes[1]}/refunds/1/done/"), 200)
    must(shop.post(f"orders/{codes[3]}/mark_expired/"), 200)
    must(shop.post(f"orders/{codes[4]}/mark_canceled/"), 200)
    must(shop.post(f"orders/{codes[6]}/mark_canceled/"), 200)
    first = must(shop.get(f"orders/{codes[0]}/"), 200)["positions"]
    must(shop.post(f"checkinlists/{gate}/positions/{first[0]['id']}/redeem/"), 201)
    must(shop.post(f"checkinlists/{gate}/positions/{first[0]['id']}/redeem/", {"type": "exit"}), 201)
    second = must(shop.get(f"orders/{codes[2]}/"), 200)["positions"]
    must(shop.post(f"orders/{codes[2]}/change/", {"cancel_positions": [{"position": second[1]["id"]}]}), 200)
    must(shop.post(f"orderpositions/{second[0]['id']}/add_block/", {"name": "admin"}), 200)
