"""The front door: one function between aiohttp and the handlers.

In this order: path (or a page for anybody, or what operators ask), token, its rate, organizer and event, right, method,
idempotency key, then the handler, which reads the body.
Front doors keep each event's catalogue in memory. A refusal may therefore be an error of an old copy, and a script may
refuse to sell on one; both times the copy is checked and, if it was old, read again and the handler run once more.
"""

from __future__ import annotations

import logging
from functools import partial
from time import perf_counter
from urllib.parse import quote

from aiohttp import web

from engine import request_ids
from engine.domain.catalogue import Event
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
from engine.http.auth import Principal, known
from engine.http.call import Call, Reply
from engine.http.census import Census
from engine.http.errors import answer
from engine.http.incoming import Incoming, Line
from engine.http.pages import Pages
from engine.http.routing import Router
from engine.http.strangers import Strangers
from engine.http.throttle import Throttle
from engine.http.wire import Written, response
from engine.meters import METERS
from engine.sales.house import House

log = logging.getLogger("holdfast.door")

_STALE_RETRIES = 5
"""A catalogue that changes this often within one request is being edited by a script; the client may try again."""


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
        request_id = request_ids.begin(request.request_id)
        try:
            call: Call | Reply = self._met(request) or await self._introduced(request)
            if isinstance(call, Reply):
                done = call
            elif idempotency.asked(call):
                done = await idempotency.once(call, partial(self._replied, call))
            else:
                try:  # as _run does, without a coroutine of its own: each costs whenever a request goes on
                    done = await call.handler(call)
                except (StaleCatalogue, Refused) as error:
                    done = await self._again(call, error)
        except Exception as error:
            done = self._failed(request, error)
        self._census.count(request.line.way, done.status, perf_counter() - began)
        return response(request, done, request_id)

    def _failed(self, request: Incoming, error: Exception) -> Reply:
        if isinstance(error, HoldfastError):
            return answer(error)
        log.error("unexpected error at %s %s", request.method, request.path, exc_info=error)
        return Reply(500, b'{"detail":"Internal error. It was logged."}')

    def _met(self, request: Incoming) -> Call | None:
        """Return the call of a request unless somebody has to be asked about it, or its path is new."""
        line = request.line
        fields = request.fields
        if line.way is None or line.url is not None or not fields.takes_json:
            return None
        principal = known(self.house, fields.authorization)
        if principal is None:
            return None
        event = None
        slug = line.params.get("event")
        if slug is not None:
            event = self.house.catalogue.known(principal.organizer_id, slug)
            if event is None:
                return None
        self._let_in(principal, line)
        return self._called(request, principal, event)

    async def _introduced(self, request: Incoming) -> Call | Reply:
        """Return the call of a request, or what it is told instead."""
        line = request.line
        try:
            line.lead(*self.router.find(line.method, line.path))
        except NotFound:
            return self.pages.reply(request)
        if not line.path.endswith("/"):
            if line.method in ("GET", "HEAD"):
                query = f"?{request.query_string}" if request.query_string else ""
                return Reply(301, None, {"Location": f"{quote(line.path)}/{query}"})
            raise NotFound
        fields = request.fields
        if not fields.takes_json and not ("pdf" in fields.accept and "/download/" in line.path):
            raise NotAcceptable
        principal = known(self.house, fields.authorization)
        if principal is None:
            principal = await self._strangers.principal(fields.authorization, request)
        self._let_in(principal, line)
        slug = line.params.get("event")
        event = None if slug is None else await self.house.catalogue.event(principal.organizer_id, slug)
        return self._called(request, principal, event)

    def _let_in(self, principal: Principal, line: Line) -> None:
        if self.throttle is not None:
            self.throttle.take(principal.token_hash)
        if line.params.get("organizer") not in (None, principal.organizer):
            raise Forbidden

    def _called(self, request: Incoming, principal: Principal, event: Event | None) -> Call:
        line = request.line
        way = line.way
        assert way is not None
        if event is not None:
            METERS.pulse(event.id).requests += 1
        if not principal.may(way.permission, line.params.get("event")):
            raise Forbidden
        if way.route is None:
            raise MethodNotAllowed(line.method, way.methods)
        return Call(self.house, request, principal, event, way.route.handler)

    async def _replied(self, call: Call) -> Reply:
        """Return the reply also where it tells of an error."""
        try:
            return await self._run(call)
        except Exception as error:
            return self._failed(call.request, error)

    async def _run(self, call: Call) -> Reply:
        try:
            return await call.handler(call)
        except (StaleCatalogue, Refused) as error:
            return await self._again(call, error)

    async def _again(self, call: Call, error: StaleCatalogue | Refused) -> Reply:
        """Run the handler again, as long as it was an old copy of the catalogue that was to blame for the error."""
        for _ in range(_STALE_RETRIES):
            await self._renew(call, error)
            try:
                return await call.handler(call)
            except (StaleCatalogue, Refused) as another:
                error = another
        raise Busy(reason="the catalogue keeps changing")

    async def _renew(self, call: Call, error: StaleCatalogue | Refused) -> None:
        """Read the catalogue of a call again. Raises the error if it has not changed."""
        event = call.event
        if event is None:
            raise error
        if isinstance(error, StaleCatalogue):
            call.event = await self.house.catalogue.refresh(event)
            return
        call.event = await self.house.catalogue.current(event)
        if call.event.version == event.version:
            raise error
