"""A sale to watch, and a browser to watch it in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import Browser
from fresh import fresh

PATIENCE_S = 120


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, run_up: Any) -> Iterator[Any]:
    """A Holdfast that these tests may break."""
    with run_up(tmp_path_factory.mktemp("live"), "--processes", "1") as running:
        yield running


class Sale:
    """An event with its quotas, and words for what happens there."""

    def __init__(self, server: Any, quotas: dict[str, int | None]) -> None:
        self.server = server
        self.slug = fresh("l")
        self.client = httpx.Client(
            base_url=f"{server.base_url}/api/v1/organizers/{server.organizer}/events/",
            headers={"Authorization": f"Token {server.token}"},
            timeout=30,
        )
        self._post(
            "", slug=self.slug, name={"en": "Night of the Proms"}, currency="EUR", date_from="2031-12-27T10:00:00Z"
        )
        self.items = {}
        self.quotas = {}
        for name, size in quotas.items():
            item = self._post(f"{self.slug}/items/", name={"en": name}, default_price="23.00")["id"]
            made = self._post(f"{self.slug}/quotas/", name=name, size=size, items=[item], variations=[])
            self.items[name], self.quotas[name] = item, made["id"]

    def _post(self, path: str, **body: Any) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def hold(self, name: str) -> None:
        self._post(f"{self.slug}/cartpositions/", item=self.items[name], price="23.00")

    def order(self, name: str, *, paid: bool = False) -> None:
        positions = [{"item": self.items[name], "price": "23.00"}]
        body = {"email": "a@example.org", "locale": "en", "payment_provider": "manual", "positions": positions}
        code = self._post(f"{self.slug}/orders/", **body)["code"]
        if paid:
            self._post(f"{self.slug}/orders/{code}/payments/1/confirm/")

    def stream(self, **options: Any) -> Any:
        """Open the stream."""
        params = {"organizer": self.server.organizer, "event": self.slug} | options.pop("params", {})
        headers = {"Authorization": f"Token {self.server.token}"} | options.pop("headers", {})
        return httpx.stream("GET", f"{self.server.base_url}/live/stream", params=params, headers=headers, timeout=60)


@pytest.fixture
def sale(own: Any) -> Iterator[Callable[..., Sale]]:
    """A factory of sales: sale(Stalls=10, Balcony=None)."""
    made: list[Sale] = []

    def make(**quotas: int | None) -> Sale:
        made.append(Sale(own, quotas))
        return made[-1]

    yield make
    for one in made:
        one.client.close()


def told(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Yield what a stream tells, as (name, content), for as long as a test may take."""
    text = ""
    deadline = time.monotonic() + PATIENCE_S
    for part in response.iter_text():
        assert time.monotonic() < deadline, f"it still tells: {part}"
        text += part
        *whole, text = text.split("\n\n")
        for one in whole:
            name, data = one.split("\n")
            yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


@pytest.fixture
def listen() -> Callable[[httpx.Response], Iterator[tuple[str, Any]]]:
    return told


class Page(Browser):
    """A tab that knows the page of a sale."""

    def sign_in(self, token: str) -> None:
        """Paste a token and send the form."""
        self.wait_for("document.getElementById('login') && !document.getElementById('login').hidden")
        self.run(f"document.getElementById('token').value = {json.dumps(token)}")
        self.run("document.getElementById('login').requestSubmit()")

    def wait_until(self, state: str, patience_s: float = 60) -> None:
        """Wait until the page says that it is live, or has lost its stream."""
        self.wait_for(f"document.getElementById('state').className === '{state}'", patience_s)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A tab of a browser of its own; skipped where there is no Chromium."""
    with Page(tmp_path) as opened:
        yield opened
