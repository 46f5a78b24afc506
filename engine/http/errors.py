"""The one table from exceptions to answers."""

from __future__ import annotations

from engine.domain import errors
from engine.http.call import Reply, reply

BUSY = "The server was too busy to process your request. Please try again."


def answer(error: errors.HoldfastError) -> Reply:
    """Return the answer for `error`, in pretix's shape (spec/facts.md, Conventions)."""
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
        case errors.KeyReused():
            return reply({"detail": "This idempotency key was used for another method, path or body."}, 409)
        case errors.NotAcceptable():
            return reply({"detail": "Could not satisfy the request Accept header."}, 406)
        case errors.TooLarge():
            return reply({"detail": "The request body is too large."}, 413)
        case errors.UnsupportedMedia(media_type=media_type):
            return reply({"detail": f'Unsupported media type "{media_type}" in request.'}, 415)
        case errors.Busy(retry_after_s=wait_s):
            return reply({"detail": BUSY}, 409, {"Retry-After": str(wait_s)})
        case errors.Duplicate(retry_after_s=wait_s):
            text = "Concurrent request with idempotency key."
            return reply({"detail": text}, 409, {"Retry-After": str(wait_s)})
        case errors.Unavailable(retry_after_s=wait_s):
            text = "The service is verifying its books or waiting for a store. Nothing was lost. Please try again."
            return reply({"detail": text}, 503, {"Retry-After": str(wait_s)})
    raise error
