"""The audit finds a number that is missing, and an invoice that is not canceled as it says."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest
from auditing import audit, nobody_at_work, rules

GAPS = "the numbers of invoices have no gaps"
WHOLE = "a canceled invoice is taken back whole, by one other"


@pytest.fixture(scope="module")
def billed(own_server: Any) -> str:
    """An event with one invoice that was issued anew, and one of another series between its numbers."""
    slug = "billed"
    root = f"{own_server.base_url}/api/v1/organizers/{own_server.organizer}/events/"
    with httpx.Client(headers={"Authorization": f"Token {own_server.token}"}, timeout=30) as client:

        def send(path: str, body: Any, method: str = "POST") -> Any:
            answer = client.request(method, f"{root}{path}", json=body)
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None

        def bill() -> str:
            order = send(f"{slug}/orders/", {"email": "a@example.org", "positions": [{"item": item}]})
            return str(send(f"{slug}/orders/{order['code']}/create_invoice/", {})["number"])

        send("", {"name": {"en": "Billed"}, "slug": slug, "currency": "EUR", "date_from": "2031-01-01T10:00:00Z"})
        item = send(f"{slug}/items/", {"name": {"en": "Ticket"}, "default_price": "23.00"})["id"]
        send(f"{slug}/quotas/", {"name": "All", "size": None, "items": [item], "variations": []})
        settings = {
            "invoice_generate": "admin",
            "invoice_numbers_prefix": "R-0000",
            "invoice_numbers_counter_length": 1,
        }
        send(f"{slug}/settings/", settings, "PATCH")
        first = bill()
        send(f"{slug}/settings/", {"invoice_numbers_prefix": "R-", "invoice_numbers_counter_length": 5}, "PATCH")
        assert [first, bill()] == ["R-00001", "R-00002"]
        send(f"{slug}/invoices/R-00002/reissue/", {})
    return slug


def test_right_invoices_are_right(own_server: Any, billed: str) -> None:
    status, finding = audit(own_server)
    assert (status, finding["problems"]) == (0, [])


@pytest.mark.parametrize(
    ("breaking", "mending", "rule"),
    [
        (
            "UPDATE invoice_series SET last = last + 1 WHERE prefix = 'R-'",
            "UPDATE invoice_series SET last = last - 1 WHERE prefix = 'R-'",
            GAPS,
        ),
        (
            "UPDATE invoices SET number = 'X', series = 'X' WHERE number = 'R-00004'",
            "UPDATE invoices SET number = 'R-00004', series = 'R-' WHERE number = 'X'",
            GAPS,
        ),
        (
            "UPDATE invoices SET canceled = true WHERE number = 'R-00004'",
            "UPDATE invoices SET canceled = false WHERE number = 'R-00004'",
            WHOLE,
        ),
        (
            "UPDATE invoices SET body = jsonb_set(body, '{lines,0,gross_value}', '\"24.00\"') WHERE number = 'R-00002'",
            "UPDATE invoices SET body = jsonb_set(body, '{lines,0,gross_value}', '\"23.00\"') WHERE number = 'R-00002'",
            WHOLE,
        ),
    ],
)
def test_a_broken_invoice_is_found(own_server: Any, billed: str, breaking: str, mending: str, rule: str) -> None:
    with nobody_at_work(own_server), psycopg.connect(own_server.database_url, autocommit=True) as database:
        assert database.execute(breaking).rowcount == 1
        status, finding = audit(own_server)
        assert database.execute(mending).rowcount == 1
    assert status == 1
    assert rules(finding) == {rule}
