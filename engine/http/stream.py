"""GET /live/stream: server-sent events for the page of a sale in engine/http/live/, which anybody may read.

The page sends its API token in a header, as every client does, so that no token is ever in a URL: hence fetch there,
and not EventSource, which cannot.
"""

from __future__ import annotations

import logging
from contextlib import aclosing

from aiohttp import web

from engine.domain.catalogue import Event
from engine.domain.errors import Forbidden, HoldfastError
from engine.http.errors import answer
from engine.http.strangers import Strangers
from engine.sales.house import House
from engine.sales.live import Live

log = logging.getLogger("holdfast.live")

_PERMISSION = "can_view_orders"
_CHECK_FRAMES = 5
"""Frames after which it is asked again whether the viewer may see them."""


class Stream:
    """Answers viewers of one process: ?organizer=…&event=…; a hello, and then a frame a second."""

    def __init__(self, house: House, live: Live, strangers: Strangers) -> None:
        self._house = house
        self._strangers = strangers
        self._live = live

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._send(request, await self._allowed(request))
        except HoldfastError as error:
            refused = answer(error)
            headers = {"Content-Type": "application/json", **refused.headers}
            return web.Response(status=refused.status, body=refused.body, headers=headers)

    async def _allowed(self, request: web.BaseRequest) -> Event:
        """Return the event that is asked for. Raises Unauthenticated, Forbidden."""
        principal = await self._strangers.principal(request.headers.get("Authorization", ""), request)
        slug = request.query.get("event", "")
        if request.query.get("organizer") != principal.organizer or not principal.may(_PERMISSION, slug):
            raise Forbidden
        return await self._house.catalogue.event(principal.organizer_id, slug)

    async def _send(self, request: web.BaseRequest, event: Event) -> web.StreamResponse:
        """Send frames for as long as the viewer listens and may. Raises Fenced where too many do."""
        async with aclosing(self._live.follow(event)) as frames:
            first = await anext(frames, b"")
            # proxies would collect the frames otherwise
            headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            try:
                await response.write(first)
                count = 0
                async for frame in frames:
                    count += 1
                    if count % _CHECK_FRAMES == 0:
                        await self._allowed(request)
                    await response.write(frame)
            except (HoldfastError, ConnectionResetError) as error:
                log.debug("a viewer has gone: %s", error)
            return response
