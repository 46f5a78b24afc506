"""The app and its one route table: the map of the product."""

from __future__ import annotations

from aiohttp import web

from engine.http import cartpositions, order_create
from engine.http.door import Door
from engine.http.routing import Route, Router
from engine.sales.house import House

O = "/api/v1/organizers/{organizer}/"
E = O + "events/{event}/"

ROUTES: tuple[Route, ...] = (
    Route("GET", E + "cartpositions/", cartpositions.index, "can_view_orders"),
    Route("POST", E + "cartpositions/", cartpositions.create, "can_change_orders"),
    Route("POST", E + "cartpositions/bulk_create/", cartpositions.bulk_create, "can_change_orders"),
    Route("GET", E + "cartpositions/{id}/", cartpositions.detail, "can_view_orders"),
    Route("DELETE", E + "cartpositions/{id}/", cartpositions.delete, "can_change_orders"),
    Route("POST", E + "orders/", order_create.create, "can_change_orders"),
)


def server(house: House) -> web.Server:
    """Return the aiohttp server that answers every request with the route table."""
    door = Door(house, Router(ROUTES))
    limit = house.settings.body_bytes_max

    def make_request(message, payload, protocol, writer, task):  # type: ignore[no-untyped-def]
        return web.BaseRequest(message, payload, protocol, writer, task, protocol._loop, client_max_size=limit)

    return web.Server(door, request_factory=make_request, access_log=None)  # type: ignore[arg-type]
