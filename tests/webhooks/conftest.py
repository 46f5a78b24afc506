"""A Holdfast that may call this machine, and somebody to be called."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import psycopg
import pytest

from tests.conftest import Server, holdfast_up


class Receiver:
    """Answers webhooks and remembers what it was told; `says` gives the status for a notification, or waits."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.told: list[Any] = []
        self.headers: list[Any] = []
        self.says: Callable[[Any], int] = lambda body: 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.asked.append((self.path, body))
                receiver.headers.append(self.headers)
                status = receiver.says(body)
                if 200 <= status < 300:
                    receiver.told.append(body)
                self.send_response(status)
                if status in (301, 302, 307, 308):
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def of(self, code: str) -> list[str]:
        """Return the actions of an order that were received, without what they have in common."""
        return [body["action"].removeprefix("pretix.event.order.") for body in self.told if body["code"] == code]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"HOLDFAST_WEBHOOK_NETWORKS": "127.0.0.1/32"}
    with holdfast_up(tmp_path_factory.mktemp("hooks"), "--processes", "1", environment=environment) as running:
        yield running


@pytest.fixture(scope="session")
def client(up: Server) -> Iterator[httpx.Client]:
    root = f"{up.base_url}/api/v1/organizers/{up.organizer}/"
    with httpx.Client(base_url=root, headers={"Authorization": f"Token {up.token}"}, timeout=30) as opened:
        yield opened


@pytest.fixture
def database(up: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(up.database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def hook(client: httpx.Client) -> Iterator[Callable[..., int]]:
    """Make webhooks for all orders; they are disabled at the end."""
    made: list[int] = []

    def make(url: str, *actions: str, **fields: Any) -> int:
        types = [f"pretix.event.order.{action}" for action in actions]
        body = {"target_url": url, "all_events": True, "limit_events": [], "action_types": types, **fields}
        answer = client.post("webhooks/", json=body)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
        return made[-1]

    yield make
    for number in made:
        assert client.delete(f"webhooks/{number}/").status_code == 204


def until(what: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it has not come true"
        time.sleep(0.05)
