"""Paths to routes, and methods to handlers."""

from __future__ import annotations

import pytest

from engine.domain.errors import NotFound
from engine.http.routing import Route, Router


async def handler(call):
    raise AssertionError("nobody calls it here")


def route(method, path):
    return Route(method, path, handler)


ROUTER = Router(
    [
        route("GET", "/events/"),
        route("POST", "/events/"),
        route("GET", "/events/{event}/"),
        route("GET", "/events/{event}/orders/"),
        route("GET", "/events/{event}/orders/{code}/"),
        route("POST", "/events/{event}/orders/{code}/mark_paid/"),
        route("GET", "/events/special/things/"),
    ]
)


@pytest.mark.parametrize(
    ("path", "methods", "params"),
    [
        ("/events/", {"GET", "POST"}, {}),
        ("/events", {"GET", "POST"}, {}),
        ("/events/conf/", {"GET"}, {"event": "conf"}),
        ("/events/conf/orders/", {"GET"}, {"event": "conf"}),
        ("/events/conf/orders/ABCDE/", {"GET"}, {"event": "conf", "code": "ABCDE"}),
        ("/events/conf/orders/ABCDE/mark_paid/", {"POST"}, {"event": "conf", "code": "ABCDE"}),
        ("/events/orders/orders/", {"GET"}, {"event": "orders"}),
        ("/events/special/things/", {"GET"}, {}),
    ],
)
def test_a_path_leads_to_its_routes(path, methods, params):
    way, found = ROUTER.find("GET", path)
    assert set(way.methods) == methods
    assert found == params


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/event/",
        "/events/conf/order/",
        "/events//orders/",
        "/events/conf/orders//mark_paid/",
        "/events/conf/orders/ABCDE/mark_paid/again/",
        "/EVENTS/",
    ],
)
def test_other_paths_are_not_found(path):
    with pytest.raises(NotFound):
        ROUTER.find("GET", path)


def test_the_method_chooses_and_head_is_get():
    ways = {method: ROUTER.find(method, "/events/")[0] for method in ("POST", "HEAD", "PATCH")}
    assert ways["POST"].route.method == "POST"
    assert ways["HEAD"].route.method == "GET"
    assert ways["PATCH"].route is None
    assert ways["PATCH"].methods == ("GET", "POST")


def test_a_way_is_one_whatever_the_path_names():
    assert ROUTER.find("GET", "/events/conf/orders/A/")[0] is ROUTER.find("GET", "/events/fair/orders/B/")[0]


def test_a_method_has_one_route_a_path():
    with pytest.raises(ValueError, match="two routes for GET"):
        Router([route("GET", "/events/{event}/"), route("GET", "/events/{slug}/")])
