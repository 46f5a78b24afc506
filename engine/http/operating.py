"""What operators and their programs ask: paths beside the API that take no API token, each found by its whole path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from engine.http import health
from engine.http.metrics import Metrics
from engine.http.strangers import Strangers
from engine.http.stream import Stream
from engine.sales.house import House
from engine.sales.live import Live
from engine.sales.watch import Watch

Answer: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Operating:
    """The answers of one process, by path."""

    def __init__(self, house: House, strangers: Strangers) -> None:
        watch = Watch(house.ledger, house.database)
        self._live = Live(house, watch)
        self.by_path: dict[str, Answer] = {
            "/metrics": _get(Metrics(house, watch)),
            "/health/live": _get(health.live),
            "/health/ready": _get(health.Ready(watch)),
            "/live/stream": _get(Stream(house, self._live, strangers)),
        }

    def close(self) -> None:
        """End what would otherwise go on for ever."""
        self._live.close()


def _get(handler: Answer) -> Answer:
    """Return a handler that refuses what is neither GET nor HEAD."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.json_response(
                {"detail": "Only GET is possible here."}, status=405, headers={"Allow": "GET, HEAD"}
            )
        return await handler(request)

    return answer
