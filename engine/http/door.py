"""The front door: one function between aiohttp and the handlers.

In this order: path (or a page for anybody, or what operators ask), token, its rate, organizer and event, right, method,
idempotency key, then the handler, which reads the body.
Front doors keep each event's catalogue in memory. A refusal may therefore be an error of an old copy, and a script may
refuse to sell on one; both times the copy is checked and, if it was old, read again and the handler run once more.
"""

from __future__ import annotations

import logging
from functools import lru_cache, partial
from time import perf_counter
from urllib.parse import quote

from aiohttp import web

from engine import request_ids
from engine.domain.errors import (
    Busy,
    Forbidden,
    HoldfastError,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    Refused,
    StaleCatalogue,
)
from engine.http import idempotency
from engine.http.auth import known
from engine.http.call import Call, Reply
from engine.http.census import Census
from engine.http.errors import answer
from engine.http.incoming import Incoming
from engine.http.pages import Pages
from engine.http.routing import Handler, Router
from engine.http.strangers import Strangers
from engine.http.throttle import Throttle
from engine.http.wire import Written, response
from engine.meters import METERS
from engine.sales.house import House

log = logging.getLogger("holdfast.door")

_ANSWERS = ("json", "*/*", "application/*")
"""What has to be in an Accept header, if there is one, for a client to take our answers."""

_STALE_RETRIES = 5
"""A catalogue that changes this often within one request is being edited by a script; the client may try again."""


@lru_cache(maxsize=100)
def _acceptable(accept: str) -> bool:
    return any(kind in accept for kind in _ANSWERS)


class Door:
    """Answers every request of one process."""

    def __init__(self, house: House, router: Router, pages: Pages, strangers: Strangers) -> None:
        self._strangers = strangers
        self._census = Census()
        self.house = house
        self.router = router
        self.pages = pages
        rate = house.settings.rate
        self.throttle = None if rate is None else Throttle(rate)

    async def __call__(self, request: Incoming) -> web.StreamResponse | Written:
        began = perf_counter()
        request_id = request_ids.begin(request.fields.request_id)
        try:
            done = await self._serve(request)
        except Exception as error:
            done = self._failed(request, error)
        self._census.count(request.line.way, done.status, perf_counter() - began)
        return response(request, done, request_id)

    def _failed(self, request: Incoming, error: Exception) -> Reply:
        if isinstance(error, HoldfastError):
            return answer(error)
        log.error("unexpected error at %s %s", request.method, request.path, exc_info=error)
        return Reply(500, b'{"detail":"Internal error. It was logged."}')

    async def _serve(self, request: Incoming) -> Reply:
        line, fields = request.line, request.fields
        way = line.way
        if way is None:
            try:
                way, line.params = self.router.find(line.method, line.path)
            except NotFound:
                return self.pages.reply(request)
            line.way = way
        if line.url is not None and not line.path.endswith("/"):
            if line.method in ("GET", "HEAD"):
                query = f"?{request.query_string}" if request.query_string else ""
                return Reply(301, None, {"Location": f"{quote(line.path)}/{query}"})
            raise NotFound
        if not _acceptable(fields.accept) and not ("pdf" in fields.accept and "/download/" in line.path):
            raise NotAcceptable
        principal = known(self.house, fields.authorization)
        if principal is None:
            principal = await self._strangers.principal(fields.authorization, request)
        if self.throttle is not None:
            self.throttle.take(principal.token_hash)
        params = line.params
        if params.get("organizer") not in (None, principal.organizer):
            raise Forbidden
        call = Call(self.house, request, params, principal)
        slug = params.get("event")
        if slug is not None:
            catalogue = self.house.catalogue
            call.event = catalogue.known(principal.organizer_id, slug) or await catalogue.event(
                principal.organizer_id, slug
            )
            METERS.pulse(call.event.id).requests += 1
        if not principal.may(way.permission, slug):
            raise Forbidden
        if way.route is None:
            raise MethodNotAllowed(line.method, way.methods)
        if not idempotency.asked(call):
            return await self._run(way.route.handler, call)
        return await idempotency.once(call, partial(self._replied, way.route.handler, call))

    async def _replied(self, handler: Handler, call: Call) -> Reply:
        """Return the reply also where it tells of an error."""
        try:
            return await self._run(handler, call)
        except Exception as error:
            return self._failed(call.request, error)

    async def _run(self, handler: Handler, call: Call) -> Reply:
        for _ in range(_STALE_RETRIES):
            try:
                return await handler(call)
            except StaleCatalogue:
                assert call.event is not None
                call.event = await self.house.catalogue.refresh(call.event)
            except Refused:
                if call.event is None:
                    raise
                fresh = await self.house.catalogue.current(call.event)
                if fresh.version == call.event.version:
                    raise
                call.event = fresh
        raise Busy(reason="the catalogue keeps changing")
