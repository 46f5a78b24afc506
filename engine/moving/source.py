"""The server that an event comes from: pages of its API, some at a time, as often as it takes."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from engine.http.call import decode

log = logging.getLogger("holdfast.import")

PAGES_AT_ONCE = 4
"""What one client may have under way: pretix answers a page of orders in half a second of one of its processes."""
PAGE_SIZE = 50
"""As many as pretix gives at most."""
_TRIES = 8
_TIMEOUT_S = 90.0
_WAIT_MAX_S = 120.0
_BODY_BYTES_MAX = 256 * 1024 * 1024


class SourceFailed(Exception):
    """The other server cannot be asked; one line, without the token."""


class Answer(Struct, frozen=True):
    """A decoded body. `generated` is X-Page-Generated: what modified_since begins with next time."""

    body: Any
    generated: str | None = None


class Source:
    """The API of one event. `url` names the event, which is also what the import is known by."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, organizer: str, event: str) -> None:
        self._session = session
        self._room = asyncio.Semaphore(PAGES_AT_ONCE)
        self.organizer_url = f"{_checked(base_url)}/api/v1/organizers/{quote(organizer, safe='')}/"
        self.url = f"{self.organizer_url}events/{quote(event, safe='')}/"
        self.asked = 0

    async def get(self, path: str, *, of_organizer: bool = False, missing: bool = False, **query: Any) -> Answer | None:
        """Return the answer to a GET below the event, or the organizer. Raises SourceFailed.

        With `missing`, None if the server has no such thing, or the token must not see it.
        """
        url = (self.organizer_url if of_organizer else self.url) + path
        if query:
            url += f"?{urlencode(query)}"
        async with self._room:
            return await self._asked(url, path, missing)

    async def all(self, path: str, *, of_organizer: bool = False, missing: bool = False) -> list[dict[str, Any]]:
        """Return all rows of a list. Raises SourceFailed."""
        rows: list[dict[str, Any]] = []
        number = 1
        while True:
            answer = await self.get(path, of_organizer=of_organizer, missing=missing, page=number, page_size=PAGE_SIZE)
            if answer is None:
                return rows
            rows += results(answer, path)
            if not answer.body.get("next"):
                return rows
            number += 1

    async def _asked(self, url: str, path: str, missing: bool) -> Answer | None:
        problem = ""
        for attempt in range(_TRIES):
            self.asked += 1
            wait_s = min(30.0, 0.5 * 2**attempt)
            try:
                async with self._session.get(url, allow_redirects=False) as answer:
                    if answer.status == 200:
                        body = decode(await _read(answer))
                        return Answer(body, answer.headers.get("X-Page-Generated"))
                    if answer.status in (403, 404) and missing:
                        return None
                    problem = f"it answered {answer.status} to {path or 'the event'}"
                    if answer.status == 401:
                        raise SourceFailed(f"{problem}: the token is not accepted")
                    if answer.status not in (408, 409, 429) and answer.status < 500:
                        hint = "; it must see the event, its orders and its vouchers" if answer.status == 403 else ""
                        raise SourceFailed(f"{problem}: {(await _read(answer))[:200].decode(errors='replace')}{hint}")
                    wait_s = max(wait_s if answer.status != 429 else 0.0, _retry_after(answer))
                    if answer.status == 429:
                        log.info("the source asks for %.0f s of rest", wait_s)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = f"{path or 'the event'}: {type(error).__name__} {error}".strip()
            if attempt < _TRIES - 1:
                await asyncio.sleep(wait_s)
        raise SourceFailed(problem)


def results(answer: Answer, path: str) -> list[dict[str, Any]]:
    """Return the rows of a page. Raises SourceFailed if it is none."""
    body = answer.body
    found = body.get("results") if isinstance(body, dict) else None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise SourceFailed(f"{path} is not a list of pretix's API")
    return found


@asynccontextmanager
async def open_source(base_url: str, token: str, organizer: str, event: str) -> AsyncIterator[Source]:
    """Yield the API of one event as long as the block lasts. Raises SourceFailed."""
    if not token.isascii() or not token.isprintable():
        raise SourceFailed("the token has characters that no token has")
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "Holdfast", "Authorization": f"Token {token}", "Accept": "application/json"},
    ) as session:
        yield Source(session, base_url, organizer, event)


def digest(value: Any) -> str:
    """Return a short name for what was said, the same for the same."""
    return blake2b(msgspec.json.encode(value, order="deterministic"), digest_size=12).hexdigest()


def _checked(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SourceFailed(f"{base_url} is not a URL like https://pretix.example.org")
    if parts.username or parts.password:
        raise SourceFailed("the URL must not name a user")
    return base_url.rstrip("/").removesuffix("/api/v1")


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_chunked(1 << 16):
        body += piece
        if len(body) > _BODY_BYTES_MAX:
            raise SourceFailed("an answer is too large")
    return bytes(body)


def _retry_after(answer: aiohttp.ClientResponse) -> float:
    try:
        seconds = float(answer.headers.get("Retry-After", ""))
    except ValueError:
        return 1.0
    return min(max(seconds, 0.5), _WAIT_MAX_S) if math.isfinite(seconds) else 1.0
