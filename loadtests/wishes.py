"""What a buyer wants: one position of a cart, with all that belongs to it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from loadtests.shop import PRICE, product

CHILD_PRICE = "5.00"


class Wish(Struct):
    """A position of an item; `addons` and `bundled` are items that come with it."""

    item: int
    date: int | None = None
    price: str = PRICE
    seat: str = ""
    voucher: str = ""
    addons: list[int] = []
    bundled: list[int] = []

    @property
    def products(self) -> list[str]:
        """Return every product of which this takes a unit, once for each."""
        return [product(item, self.date) for item in (self.item, *self.addons, *self.bundled)]

    def cart(self) -> dict[str, Any]:
        """Return the body of a cart position, but for the cart."""
        body = self._position(self.item, self.price)
        for kind, items in (("addons", self.addons), ("bundled", self.bundled)):
            if items:
                body[kind] = [self._position(item, CHILD_PRICE) for item in items]
        return {**body, **self._taken(), "sales_channel": "web"}

    def order(self, first: int) -> list[dict[str, Any]]:
        """Return the positions of an order, numbered from `first`."""
        children = [
            {**self._position(item, CHILD_PRICE), "positionid": number, "addon_to": first}
            for number, item in enumerate((*self.addons, *self.bundled), first + 1)
        ]
        return [{**self._position(self.item, self.price), **self._taken(), "positionid": first}, *children]

    def _position(self, item: int, price: str) -> dict[str, Any]:
        body: dict[str, Any] = {"item": item, "price": price, "answers": []}
        return body if self.date is None else {**body, "subevent": self.date}

    def _taken(self) -> dict[str, str]:
        return {name: value for name, value in (("seat", self.seat), ("voucher", self.voucher)) if value}
