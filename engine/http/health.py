"""For load balancers and process managers: does this process answer, and can it sell?"""

from __future__ import annotations

import msgspec
from aiohttp import web

from engine.sales.watch import Watch

_NO_STORE = {"Cache-Control": "no-store"}


async def live(request: web.BaseRequest) -> web.StreamResponse:
    """GET /health/live: 200 as long as the process answers anything."""
    return _answer(200, {"status": "ok"})


class Ready:
    """GET /health/ready: 200 if both stores can be used and no shard is fenced, else 503 with which."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        health = await self._watch.health()
        body = {
            "status": "ok" if health.ready else "unavailable",
            "postgres": "ok" if health.postgres else "away",
            "redis": health.servers,
            "shards_fenced": health.shards_fenced,
        }
        return _answer(200 if health.ready else 503, body)


def _answer(status: int, body: object) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(body), content_type="application/json", headers=_NO_STORE
    )
