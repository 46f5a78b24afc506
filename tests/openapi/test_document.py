"""The document tells of every route, is what it says it is, and anybody may read it."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from engine.api import ROUTES
from engine.http.document import document

DOCUMENT = json.loads(document(ROUTES))
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
NAMES = [f"{method} {path}" for method, path, _ in OPERATIONS]


def test_it_is_valid_openapi() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert not list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors())


def test_every_route_is_in_it_and_nothing_else() -> None:
    assert {(method, path) for method, path, _ in OPERATIONS} == {(route.method, route.path) for route in ROUTES}


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=NAMES)
def test_every_operation_says_what_it_is_for_and_what_it_answers(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    assert re.fullmatch(r"[A-Z][^\n]{3,90}[^.\s]", operation["summary"]), operation["summary"]
    assert "/" not in operation["summary"]
    assert {tag["name"] for tag in DOCUMENT["tags"]}.issuperset(operation["tags"])
    answers = operation["responses"]
    [good] = [status for status in answers if status in ("200", "201", "204")]
    assert ("content" in answers[good]) == (good != "204")
    assert {"401", "403", "429", "503"} <= answers.keys()
    named = re.findall(r"\{(\w+)\}", path)
    assert [one["name"] for one in operation["parameters"] if one.get("in") == "path"] == named
    assert ("404" in answers) == bool(named or "?" in path or method == "GET")
    keyed = {"$ref": "#/components/parameters/IdempotencyKey"} in operation["parameters"]
    assert keyed == (method != "GET")
    if "requestBody" in operation:
        assert {"400", "413", "415"} <= answers.keys()


def test_names_of_operations_are_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)


def test_every_subject_has_something_to_tell() -> None:
    assert {tag["name"] for tag in DOCUMENT["tags"]} == {tag for *_, one in OPERATIONS for tag in one["tags"]}


def test_bodies_tell_their_bounds() -> None:
    cart = DOCUMENT["paths"]["/api/v1/organizers/{organizer}/events/{event}/cartpositions/"]["post"]
    form = cart["requestBody"]["content"]["application/json"]["schema"]
    assert form["required"] == ["item", "price"]
    assert form["properties"]["price"]["pattern"] == r"^-?[0-9]{1,11}(\.[0-9]{1,2})?$"
    assert form["properties"]["cart_id"] == {
        "type": ["string", "null"],
        "maxLength": 255,
        "pattern": "^$|@api$",
        "default": None,
    }
    assert form["properties"]["addons"]["items"]["required"] == ["item", "price"]
    assert form["properties"]["addons"]["maxItems"] == 100
    patch = DOCUMENT["paths"]["/api/v1/organizers/{organizer}/events/{event}/quotas/{id}/"]["patch"]
    assert "required" not in patch["requestBody"]["content"]["application/json"]["schema"]


def test_anybody_may_read_it(server: Any) -> None:
    answer = httpx.get(f"{server.base_url}/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.json() == DOCUMENT
    plain = httpx.get(f"{server.base_url}/api/v1/openapi.json", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.json() == DOCUMENT
    assert httpx.post(f"{server.base_url}/api/v1/openapi.json").status_code == 405
    assert httpx.head(f"{server.base_url}/api/v1/openapi.json").content == b""


def test_the_page_is_served_whole_from_here(server: Any) -> None:
    page = httpx.get(f"{server.base_url}/api/v1/docs/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    found = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert set(found) == {"docs.css", "docs.js", "data:,", "../openapi.json"}
    for name, kind in (("docs.css", "text/css; charset=utf-8"), ("docs.js", "text/javascript; charset=utf-8")):
        asset = httpx.get(f"{server.base_url}/api/v1/docs/{name}")
        assert (asset.status_code, asset.headers["Content-Type"]) == (200, kind)
        assert "http" + "://" not in asset.text
    assert httpx.get(f"{server.base_url}/api/v1/docs").headers["Location"] == "/api/v1/docs/"
    for path in ("/api/v1/docs/other.js", "/api/v1/docs/../docs.py", "/api/v1/", "/openapi.json"):
        assert httpx.get(f"{server.base_url}{path}").status_code == 404
