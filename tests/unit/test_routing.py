"""Paths to routes, and methods to handlers."""

from __future__ import annotations

import pytest

from engine.domain.errors import MethodNotAllowed, NotFound
from engine.http.routing import Route, Router, choose


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
    routes, found = ROUTER.find(path)
    assert set(routes) == methods
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
        ROUTER.find(path)


def test_the_method_chooses_and_head_is_get():
    routes, _ = ROUTER.find("/events/")
    assert choose(routes, "POST").method == "POST"
    assert choose(routes, "HEAD").method == "GET"
    with pytest.raises(MethodNotAllowed) as refused:
        choose(routes, "PATCH")
    assert (refused.value.method, refused.value.allowed) == ("PATCH", ("GET", "POST"))


def test_a_method_has_one_route_a_path():
    with pytest.raises(ValueError, match="two routes for GET"):
        Router([route("GET", "/events/{event}/"), route("GET", "/events/{slug}/")])
