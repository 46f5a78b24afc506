"""A reply on its way out: most go as bytes that are put together here, all others as aiohttp's own response.

aiohttp's response keeps headers in a dictionary that many hands may change, and pays for that with a quarter of what a
hold costs. A reply of ours has the same few headers nearly always. engine/http/listener.py sends either.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE

from engine.http.call import Reply
from engine.http.incoming import Incoming

_HEADERS = {"Content-Type": "application/json", "Vary": "Accept"}
_STARTS = {
    status.value: "".join(
        [f"HTTP/1.1 {status.value} {status.phrase}\r\n"]
        + [f"{name}: {text}\r\n" for name, text in {**_HEADERS, "Server": SERVER_SOFTWARE}.items()]
        + ["X-Request-ID: "]
    ).encode()
    for status in HTTPStatus
}


class Written:
    """A JSON reply, head and body as they go out, on a connection that stays open."""

    __slots__ = ("sent",)
    keep_alive = True

    def __init__(self, status: int, body: bytes, request_id: str, more: bytes = b"") -> None:
        self.sent = b"%b%b\r\nContent-Length: %d\r\n%bDate: %b\r\n\r\n%b" % (
            _STARTS[status],
            request_id.encode(),
            len(body),
            more,
            _date(int(time.time())),
            body,
        )


def response(request: Incoming, done: Reply, request_id: str) -> web.StreamResponse | Written:
    """Return what is to be sent for a reply."""
    if done.body is not None and request.lasts:
        if not done.headers:
            return Written(done.status, done.body, request_id)
        if done.headers.keys() == {"Retry-After"}:  # who asks for less should not cost more
            wait = f"Retry-After: {done.headers['Retry-After']}\r\n"  # a number of seconds
            return Written(done.status, done.body, request_id, wait.encode())
    headers = {**_HEADERS, "X-Request-ID": request_id, **done.headers}
    if done.body is None:
        del headers["Content-Type"]
    return web.Response(status=done.status, body=done.body, headers=headers)


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    """Return a second as HTTP writes it."""
    return formatdate(second, usegmt=True).encode()
