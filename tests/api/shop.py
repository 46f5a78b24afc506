"""An event to try things in, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from fresh import fresh

Api = httpx.Client


def must(response: httpx.Response, status: int) -> Any:
    """Return the body of an answer that must have `status`."""
    assert response.status_code == status, f"{response.request.method} {response.url}: {response.text}"
    return response.json() if response.content else None


class Shop:
    """One fresh event, with short words for what tests set up in it; paths are below the event."""

    def __init__(self, api: Api, **fields: Any) -> None:
        self.api = api
        self.slug = fresh("t")
        body = {
            "name": {"en": "Test"},
            "slug": self.slug,
            "currency": "EUR",
            "date_from": "2031-12-27T10:00:00Z",
            "plugins": ["pretix.plugins.banktransfer", "pretix.plugins.manualpayment"],
        }
        must(api.post("events/", json=body | fields), 201)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.api.get(f"events/{self.slug}/{path}", params=query)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.api.post(f"events/{self.slug}/{path}", json={} if body is None else body, **options)

    def patch(self, path: str, body: Any) -> httpx.Response:
        return self.api.patch(f"events/{self.slug}/{path}", json=body)

    def put(self, path: str, body: Any) -> httpx.Response:
        return self.api.put(f"events/{self.slug}/{path}", json=body)

    def delete(self, path: str) -> httpx.Response:
        return self.api.delete(f"events/{self.slug}/{path}")

    def add(self, path: str, **body: Any) -> Any:
        """POST something that must succeed; return the answer."""
        return must(self.post(path, body), 201)

    def item(self, name: str = "Ticket", price: str = "23.00", **fields: Any) -> int:
        return int(self.add("items/", name={"en": name}, default_price=price, **fields)["id"])

    def item_with(self, *variations: str, name: str = "Ticket", price: str = "23.00") -> tuple[int, list[int]]:
        """Make an item with variations; return its id and theirs."""
        rows = [{"value": {"en": variation}, "position": n} for n, variation in enumerate(variations)]
        made = self.add("items/", name={"en": name}, default_price=price, variations=rows)
        return made["id"], [variation["id"] for variation in made["variations"]]

    def date(self, name: str = "Day", **fields: Any) -> int:
        return int(
            self.add("subevents/", name={"en": name}, active=True, date_from="2031-12-27T10:00:00Z", **fields)["id"]
        )

    def quota(self, size: int | None, *items: int, name: str = "Tickets", **fields: Any) -> int:
        return int(self.add("quotas/", name=name, size=size, items=list(items), **fields)["id"])

    def selling(self, units: int | None, **fields: Any) -> tuple[Shop, int, int]:
        """Sell so many Tickets for 23.00, out of a quota with these fields; return the shop, the item and the quota."""
        item = self.item()
        return self, item, self.quota(units, item, **fields)

    def availability(self, quota: int) -> Any:
        return must(self.get(f"quotas/{quota}/availability/"), 200)

    def left(self, quota: int) -> int | None:
        number: int | None = self.availability(quota)["available_number"]
        return number

    def cart(self, item: int, **fields: Any) -> httpx.Response:
        """Ask for one cart position."""
        return self.post("cartpositions/", {"item": item, "price": "23.00", **fields})

    def order(self, *positions: int | dict[str, Any], **fields: Any) -> httpx.Response:
        """Ask for an order of positions, each an item or a body."""
        rows = [{"item": p} if isinstance(p, int) else p for p in positions]
        body = {"email": "buyer@example.org", "locale": "en", "payment_provider": "manual", "positions": rows}
        return self.post("orders/", body | fields)


MakeShop = Callable[..., Shop]
