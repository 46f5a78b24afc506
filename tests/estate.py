"""An organizer that has one of everything, and the paths of all of it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fresh import fresh
from plans import layout

from persistence import access
from persistence.database import Database

_EVENT = {"name": {"en": "One of all"}, "currency": "EUR", "date_from": "2031-12-27T10:00:00Z", "timezone": "UTC"}
_PLUGINS = ["pretix.plugins.banktransfer", "pretix.plugins.manualpayment"]


class Estate:
    """What was made. `ids` are by the step of the path that they stand behind, `bodies` what POST there takes."""

    def __init__(self, server: Any, slug: str, token: str) -> None:
        self.slug, self.token = slug, token
        self.ids: dict[str, str] = {"organizers": slug}
        self.bodies: dict[str, dict[str, Any]] = {}
        self.series = self.shirt = ""
        self.api = httpx.Client(
            base_url=server.base_url, headers={"Authorization": f"Token {token}"}, timeout=30, follow_redirects=False
        )

    def __enter__(self) -> Estate:
        self._stock()
        return self

    def __exit__(self, *error: object) -> None:
        self.api.close()

    def path(self, template: str) -> str:
        """Return a path of the route table with ids of what there is; 1 for what is not known here."""
        done: list[str] = []
        for step in template.split("/"):
            if not step.startswith("{"):
                done.append(step)
            elif done[-1] == "events" and "/subevents/" in template:
                done.append(self.series)
            elif done[-1] == "items" and "/variations/" in template:
                done.append(self.shirt)
            else:
                done.append(self.ids.get(done[-1], "1"))
        return "/".join(done)

    def made(self, path: str, body: dict[str, Any], name: str = "", key: str = "id", **ids: str) -> Any:
        """Make something below the organizer, and note its id behind the last step of its path."""
        answer = self.api.post(f"/api/v1/organizers/{self.slug}/{path}", json=body)
        assert answer.status_code == 201, f"{path}: {answer.text}"
        made = answer.json()
        step = name or path.rstrip("/").rpartition("/")[2]
        self.ids.setdefault(step, str(made[key]))
        self.bodies.setdefault(step, body)
        return made

    def _stock(self) -> None:
        team = self.made("teams/", {"name": "Crew", "all_events": True, "can_view_orders": True})["id"]
        self.made(f"teams/{team}/tokens/", {"name": "spare"})
        plan = self.made("seatingplans/", {"name": "Hall", "layout": layout([f"S-{n}" for n in range(1, 9)])})["id"]
        event = self.made("events/", {**_EVENT, "slug": "all", "plugins": _PLUGINS}, key="slug")["slug"]
        e = f"events/{event}/"
        tax = self.made(e + "taxrules/", {"name": {"en": "VAT"}, "rate": "19.00"})["id"]
        category = self.made(e + "categories/", {"name": {"en": "Extras"}, "is_addon": True})["id"]
        item = self.made(
            e + "items/", {"name": {"en": "Ticket"}, "default_price": "23.00", "tax_rule": tax, "admission": True}
        )["id"]
        extra = self.made(e + "items/", {"name": {"en": "Food"}, "default_price": "5.00", "category": category})["id"]
        colours = [{"value": {"en": colour}, "default_price": "9.00"} for colour in ("Red", "Blue")]
        shirts = {"name": {"en": "Shirt"}, "default_price": "9.00", "variations": colours}
        made = self.made(e + "items/", shirts)
        shirt, red = made["id"], made["variations"][0]["id"]
        self.shirt = str(shirt)
        self.made(e + f"items/{shirt}/variations/", {"value": {"en": "Green"}, "default_price": "9.00"})
        self.made(e + f"items/{item}/addons/", {"addon_category": category, "min_count": 0, "max_count": 5})
        self.made(e + f"items/{item}/bundles/", {"bundled_item": extra, "bundled_variation": None, "count": 1})
        question = {"question": {"en": "Size?"}, "type": "C", "required": False, "items": [item], "identifier": "SIZE"}
        asked = self.made(e + "questions/", question)["id"]
        option = self.made(e + f"questions/{asked}/options/", {"answer": {"en": "L"}, "identifier": "LARGE"})["id"]
        self.made(e + "quotas/", {"name": "Tickets", "size": 500, "items": [item, extra], "variations": []})
        self.ids["quota"] = self.ids["quotas"]
        self.made(e + "quotas/", {"name": "Shirts", "size": 500, "items": [shirt], "variations": [red]})
        voucher = {"code": fresh("SUMMER"), "max_usages": 50, "item": item, "price_mode": "none"}
        self.made(e + "vouchers/", voucher)
        self.made(e + "waitinglistentries/", {"email": "w@example.org", "item": item, "name": "Will"})
        self.made(e + "checkinlists/", {"name": "Door", "all_products": True})
        self.made(e + "cartpositions/", {"item": item, "price": "23.00", "attendee_name_parts": {"full_name": "Ann"}})
        answers = [{"question": asked, "answer": "L", "options": [option]}]
        order = {
            "email": "buyer@example.org",
            "locale": "en",
            "payment_provider": "manual",
            "status": "p",
            "invoice_address": {"name_parts": {"full_name": "Ann"}, "street": "Road 1", "country": "DE"},
            "fees": [{"fee_type": "service", "value": "1.00"}],
            "positions": [{"item": item, "attendee_email": "a@example.org", "answers": answers}, {"item": item}],
        }
        made = self.made(e + "orders/", order, key="code")
        self.ids["orderpositions"] = self.ids["positions"] = str(made["positions"][1]["id"])
        self.bodies["orderpositions"] = {"order": made["code"], "item": item}
        o = e + f"orders/{made['code']}/"
        self.ids["payments"] = "1"
        self.bodies["payments"] = {"state": "created", "amount": "1.00", "provider": "manual"}
        self.made(
            o + "refunds/",
            {"state": "created", "amount": "1.00", "provider": "manual", "payment": 1, "source": "admin"},
            key="local_id",
        )
        series = self.made("events/", {**_EVENT, "slug": "series", "has_subevents": True}, "series", key="slug")
        self.series = series["slug"]
        s = f"events/{self.series}/"
        self.made(s + "subevents/", {"name": {"en": "Day"}, "active": True, "date_from": "2031-12-27T10:00:00Z"})
        answer = self.api.patch(
            f"/api/v1/organizers/{self.slug}/{e}",
            json={"seating_plan": plan, "seat_category_mapping": {"Stalls": shirt}},
        )
        assert answer.status_code == 200, answer.text
        seats = self.api.get(f"/api/v1/organizers/{self.slug}/{e}seats/").json()["results"]
        self.ids["seats"] = str(seats[0]["id"])


def organizer_with_all(server: Any, slug: str = "") -> Estate:
    """Make an organizer of that name, or of any; entering it stocks it."""
    slug = slug or fresh("o")

    async def make() -> str:
        database = Database(server.database_url)
        await database.open()
        try:
            await access.create_organizer(database, slug, slug)
            return await access.create_token(database, slug, "estate")
        finally:
            await database.close()

    return Estate(server, slug, asyncio.run(make()))
