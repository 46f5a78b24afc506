"""Holds answers against the document of the API, more strictly than clients should: no field that is not told."""

from __future__ import annotations

import copy
import json
from typing import Any

import httpx
import jsonschema_rs

from engine.api import ROUTES
from engine.domain.errors import NotFound
from engine.http.document import document
from engine.http.routing import Router

DOCUMENT: dict[str, Any] = json.loads(document(ROUTES))
_ROUTER = Router(ROUTES)
_MISLED = frozenset({301, 400, 405, 406, 408, 413, 415, 431})
"""What requests get that are none of the document's, wherever they are sent."""


def _strict(components: dict[str, Any]) -> dict[str, Any]:
    """Return schemas that allow no field which they do not name, but for what clients may add to themselves."""
    components = copy.deepcopy(components)
    for form in components["schemas"].values():
        if form.get("type") == "object":
            form.setdefault("additionalProperties", False)
    return components


_STRICT = _strict(DOCUMENT["components"])
_validators: dict[tuple[str, str, int, bool], jsonschema_rs.Validator | None] = {}
met: set[tuple[str, str, int]] = set()
"""Methods, paths and statuses of the document that were met."""


def check(response: httpx.Response) -> None:
    """Hold an answer against the document; for httpx's event hooks."""
    request, status = response.request, response.status_code
    response.read()
    try:
        way, _ = _ROUTER.find(request.method, request.url.path)
    except NotFound:
        return
    route = way.route
    if route is None or status == 301:
        return
    where = f"{request.method} {request.url}: {status} {response.text[:2000]}"
    told = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    if str(status) not in told:
        assert status in _MISLED, f"the document does not know this status: {where}"
        return
    met.add((route.method, route.path, status))
    if request.method == "HEAD":
        return
    chosen = "include" in request.url.params or "exclude" in request.url.params
    validator = _validator(route.method, route.path, status, chosen)
    if validator is None:
        assert "json" not in response.headers.get("Content-Type", ""), f"the document knows no body: {where}"
        return
    assert response.headers["Content-Type"] == "application/json", where
    wrong = next(iter(validator.iter_errors(json.loads(response.content))), None)
    assert wrong is None, f"{wrong.message} at {wrong.instance_path}: {where}"


def _validator(method: str, path: str, status: int, chosen: bool) -> jsonschema_rs.Validator | None:
    key = method, path, status, chosen
    if key not in _validators:
        answer = DOCUMENT["paths"][path][method.lower()]["responses"][str(status)]
        if "$ref" in answer:
            answer = DOCUMENT["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        form = copy.deepcopy(answer.get("content", {}).get("application/json", {}).get("schema"))
        if form and not chosen:
            _whole(form)
        # a 202 is another answer with a field more
        components = DOCUMENT["components"] if status == 202 else _STRICT
        _validators[key] = form and jsonschema_rs.Draft202012Validator(
            {**form, "components": components}, validate_formats=True
        )
    return _validators[key]


def _whole(form: dict[str, Any]) -> None:
    """Take the alternative of parts away."""
    rows = form.get("properties", {}).get("results", {}).get("items", form)
    if "anyOf" in rows and "exclude" in rows["anyOf"][-1].get("description", ""):
        rows["anyOf"].pop()
