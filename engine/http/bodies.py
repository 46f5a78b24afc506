"""Bodies that are still on their way when their request is looked at: nearly all are there with their head."""

from __future__ import annotations

import asyncio

from aiohttp import web

from engine.domain.errors import Fenced, TooLarge, TooSlow
from engine.http.incoming import Incoming
from engine.settings import Settings

_ARRIVING_BYTES_MAX = 64 * 1024 * 1024
"""What all bodies of a process may be together while they are read (reading takes about twice that);
beyond it clients are asked to come again."""


class _Arriving:
    """How many bytes are being waited for now."""

    bytes = 0


async def arrived(request: Incoming, settings: Settings) -> bytes:
    """Return a body once all of it is there. Raises TooLarge, TooSlow, Fenced while too many others are read."""
    length = request.fields.content_length
    if length is not None and length > settings.body_bytes_max:
        raise TooLarge
    room = settings.body_bytes_max if length is None else length
    if _Arriving.bytes + room > max(_ARRIVING_BYTES_MAX, settings.body_bytes_max):
        raise Fenced(reason="too many large bodies at once")
    _Arriving.bytes += room
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            return await request.plain(settings.body_bytes_max).read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge from None
    except TimeoutError:
        raise TooSlow from None
    finally:
        _Arriving.bytes -= room
