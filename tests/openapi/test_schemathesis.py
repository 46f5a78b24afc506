"""schemathesis sends to every operation what the document allows: the answers are as told, in time, and none is 5xx.

What the document does not allow is sent by tests/security/test_fuzz.py. HOLDFAST_FUZZ_EXAMPLES says how many requests
an operation gets, 10 unless set; they are the same every time unless HOLDFAST_FUZZ_SEED is set.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any

import pytest
import told
from estate import Estate, organizer_with_all
from hypothesis import HealthCheck, Phase, given, seed, settings

EXAMPLES = int(os.environ.get("HOLDFAST_FUZZ_EXAMPLES", "10"))
SEED = os.environ.get("HOLDFAST_FUZZ_SEED")
TIMEOUT_S = 10
"""Nothing takes so long, not even while other tests keep the machine busy."""

NAMED = {
    "item": "items", "items": "items", "bundled_item": "items", "limit_products": "items", "category": "categories",
    "addon_category": "categories", "tax_rule": "taxrules", "quota": "quotas", "question": "questions",
    "options": "options", "position": "orderpositions", "seating_plan": "seatingplans", "voucher": "vouchers",
    "code": "vouchers", "order": "orders",
}  # fmt: skip
"""Fields of bodies that name something, and what the estate has of it."""

OPERATIONS = [(method.upper(), path) for path, methods in told.DOCUMENT["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory, run_up: Any) -> Iterator[Estate]:
    """In a Holdfast of its own: nobody else's tests shall meet what comes of this."""
    folder = tmp_path_factory.mktemp("schemathesis")
    with run_up(folder, "--processes", "1") as running, organizer_with_all(running, "known") as made:
        yield made


@pytest.fixture(scope="module")
def schema(estate: Estate) -> Any:
    """The document, with the ids of the estate as likely values where bodies name something."""
    import schemathesis  # noqa: PLC0415 - half a second that only this module shall take

    document = copy.deepcopy(told.DOCUMENT)
    for methods in document["paths"].values():
        for operation in methods.values():
            # it has tests of its own, and here it would only tell that it was used before
            operation["parameters"] = [one for one in operation["parameters"] if "$ref" not in one]
            for media in operation.get("requestBody", {}).get("content", {}).values():
                know(media["schema"], estate)
    return schemathesis.openapi.from_dict(document)


def know(form: Any, estate: Estate) -> None:
    """Put ids that exist into the schema of a body, wherever one is asked for."""
    if isinstance(form, list):
        for one in form:
            know(one, estate)
    if not isinstance(form, dict):
        return
    for name, field in form.get("properties", {}).items():
        found = estate.ids.get(NAMED.get(name, ""))
        inner = field.get("items") or field
        if found and inner.get("type") in ("integer", ["integer", "null"]):
            kind = inner["type"]
            inner.clear()
            inner["enum"] = [int(found)] if kind == "integer" else [int(found), None]
    if "properties" in form:
        form["additionalProperties"] = False  # what nobody knows is for others to send
    for inner in list(form.values()):
        know(inner, estate)


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{method} {path[32:]}" for method, path in OPERATIONS])
def test_every_operation_answers_as_told(estate: Estate, schema: Any, method: str, path: str) -> None:
    from schemathesis import checks  # noqa: PLC0415
    from schemathesis.specs.openapi import checks as told_by  # noqa: PLC0415

    wanted = [
        checks.not_a_server_error,
        told_by.status_code_conformance,
        told_by.content_type_conformance,
        told_by.response_headers_conformance,
        told_by.response_schema_conformance,
    ]
    steps, known = path.strip("/").split("/"), estate.path(path).strip("/").split("/")
    named = {step[1:-1]: value for step, value in zip(steps, known, strict=True) if step.startswith("{")}
    if method == "DELETE":
        named[steps[-1][1:-1]] = "424242424242"  # what there is has to stay
    operation = schema[path][method]
    answered: list[int] = []

    @settings(
        max_examples=EXAMPLES, phases=[Phase.generate], deadline=None, database=None, derandomize=SEED is None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operation.as_strategy(path_parameters=named, headers=dict(estate.api.headers)))
    def ask(case: Any) -> None:
        case.path_parameters |= named
        answer = case.call(
            base_url=str(estate.api.base_url), headers={"Authorization": f"Token {estate.token}"}, timeout=TIMEOUT_S
        )
        answered.append(answer.status_code)
        case.validate_response(answer, checks=wanted)

    (seed(int(SEED)) if SEED else lambda test: test)(ask)()
    print(f"{method} {path}: {answered}, seed {SEED or 'of the code'}")
    assert 401 not in answered
