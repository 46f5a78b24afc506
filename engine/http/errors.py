"""The one table from exceptions to answers."""

from __future__ import annotations

from engine.domain import errors
from engine.http.call import Reply, reply

BUSY = "The server was too busy to process your request. Please try again."


_LAST = (400, 408)
_CLOSE = {"Connection": "close"}
"""After a body that did not end well nobody knows where the next request begins."""

_ALWAYS: dict[type[errors.HoldfastError], tuple[int, str]] = {
    errors.Unreadable: (400, "The request body did not arrive as its headers said."),
    errors.NotAcceptable: (406, "Could not satisfy the request Accept header."),
    errors.TooSlow: (408, "The request body did not arrive in time."),
    errors.KeyReused: (409, "This idempotency key was used for another method, path or body."),
    errors.TooLarge: (413, "The request body is too large."),
}
"""Errors that have nothing to tell but that they are."""


def answer(error: errors.HoldfastError) -> Reply:
    """Return the answer for `error`, in pretix's shape (spec/facts.md, Conventions)."""
    if found := _ALWAYS.get(type(error)):
        status, text = found
        return reply({"detail": text}, status, _CLOSE if status in _LAST else None)
    match error:
        case errors.Invalid(body=body):
            return reply(body, 400)
        case errors.Unauthenticated(text=text):
            return reply({"detail": text}, 401, {"WWW-Authenticate": "Token"})
        case errors.Forbidden(text=text):
            return reply({"detail": text}, 403)
        case errors.NotFound(text=text):
            return reply({"detail": text}, 404)
        case errors.MethodNotAllowed(method=method, allowed=allowed):
            return reply({"detail": f'Method "{method}" not allowed.'}, 405, {"Allow": ", ".join(allowed)})
        case errors.UnsupportedMedia(media_type=media_type):
            return reply({"detail": f'Unsupported media type "{media_type}" in request.'}, 415)
        case errors.Throttled(retry_after_s=wait_s):
            plural = "" if wait_s == 1 else "s"
            text = f"Request was throttled. Expected available in {wait_s} second{plural}."
            return reply({"detail": text}, 429, {"Retry-After": str(wait_s)})
        case errors.Busy(retry_after_s=wait_s):
            return reply({"detail": BUSY}, 409, {"Retry-After": str(wait_s)})
        case errors.NotReady(retry_after_s=wait_s):
            text = "The requested resource is not ready, please retry later."
            return reply({"detail": text}, 409, {"Retry-After": str(wait_s)})
        case errors.Duplicate(retry_after_s=wait_s):
            text = "Concurrent request with idempotency key."
            return reply({"detail": text}, 409, {"Retry-After": str(wait_s)})
        case errors.Unavailable(retry_after_s=wait_s):
            text = "The service is verifying its books or waiting for a store. Nothing was lost. Please try again."
            return reply({"detail": text}, 503, {"Retry-After": str(wait_s)})
    raise error
