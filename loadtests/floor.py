"""The floor: a bare aiohttp handler that decodes a body and answers stored bytes, with all that aiohttp does for it.

`python -m loadtests.floor` reads one line of JSON from stdin, {path: [status, answer]}, listens on a free port, prints
the port, and serves until stdin ends.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec
import uvloop
from aiohttp import web
from msgspec import Struct


class Position(Struct):
    """A position of an order, as the bench sends it."""

    item: int
    price: str | None = None
    answers: list[Any] = []


class Body(Struct):
    """All fields that the bench sends in any request."""

    item: int | None = None
    price: str | None = None
    cart_id: str | None = None
    email: str | None = None
    locale: str | None = None
    sales_channel: str | None = None
    payment_provider: str | None = None
    consume_carts: list[str] = []
    positions: list[Position] = []
    answers: list[Any] = []
    send_email: bool = False
    force: bool = False


async def serve(answers: dict[str, tuple[int, str]]) -> None:
    """Answer each path with its bytes until stdin ends."""
    decoder = msgspec.json.Decoder(Body | list[Body])
    stored = {path: (status, text.encode()) for path, (status, text) in answers.items()}

    async def handle(request: web.BaseRequest) -> web.Response:
        if content := await request.read():
            decoder.decode(content)
        status, body = stored[request.path]
        return web.Response(body=body, status=status, content_type="application/json")

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__" and (line := sys.stdin.readline()):
    uvloop.run(serve(msgspec.json.decode(line, type=dict[str, tuple[int, str]])))
