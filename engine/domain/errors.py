"""What can go wrong, as one tree.

    HoldfastError
    ├── Refused            the request cannot be fulfilled, and will not be by trying again
    │   ├── Invalid        400  its fields or its rules are wrong; carries pretix's error body
    │   ├── Unreadable     400  its body broke off, or is not chunked as it says
    │   ├── Unauthenticated 401
    │   ├── Forbidden      403
    │   ├── NotFound       404
    │   ├── MethodNotAllowed 405
    │   ├── NotAcceptable  406
    │   ├── KeyReused      409  its idempotency key came with a different request before
    │   ├── TooSlow        408  its body did not arrive
    │   ├── TooLarge       413
    │   └── UnsupportedMedia 415
    ├── SoldOut            capacity is missing; engine/sales says it in the words of the operation
    ├── VoucherSpent       a voucher was used as often as it may be; so too
    ├── SeatsTaken         the same for seats
    ├── VoucherOverspent   a voucher would take more off prices than its budget; so too
    ├── InUse              what is to be deleted is held or sold; engine/http says it in pretix's words
    ├── StaleCatalogue     the request was judged by an old copy of the catalogue; the front door tries again
    └── Unavailable        nothing was done (or it is not known whether); trying again is right
        ├── Throttled      429  this token asks more often than it may
        ├── Busy           409  somebody else was faster, several times
        ├── NotReady       409  what was asked for is being made
        ├── Duplicate      409  a request with the same idempotency key is at work
        └── Fenced         503  a store is away, or its contents are being verified
            └── Lost            the work was done, and lost with the server that had done it

Exceptions carry facts; engine/http/errors.py turns each into an answer, once.
"""

from __future__ import annotations

from typing import Any


class HoldfastError(Exception):
    """Root of all errors that Holdfast raises on purpose."""


class Refused(HoldfastError):
    """The request is wrong; the same request will be refused again."""


class Invalid(Refused):
    """400. `body` is the JSON answer in one of pretix's four shapes (spec/facts.md, Conventions).

    {"field": ["text"]} for fields, ["text"] for rules found after the fields,
    {"detail": "text"} for states, {"positions": [{}, {"item": ["text"]}]} for nested lists.
    """

    def __init__(self, body: dict[str, Any] | list[Any]) -> None:
        super().__init__(body)
        self.body = body

    @classmethod
    def detail(cls, text: str) -> Invalid:
        return cls({"detail": text})


class Unauthenticated(Refused):
    """401."""

    def __init__(self, text: str = "Authentication credentials were not provided.") -> None:
        super().__init__(text)
        self.text = text


class Forbidden(Refused):
    """403. Also for organizers and events that do not exist, so that nobody learns which do."""

    def __init__(self, text: str = "You do not have permission to perform this action.") -> None:
        super().__init__(text)
        self.text = text


class NotFound(Refused):
    """404."""

    def __init__(self, text: str = "Not found.") -> None:
        super().__init__(text)
        self.text = text


class MethodNotAllowed(Refused):
    """405."""

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(method)
        self.method = method
        self.allowed = allowed


class KeyReused(Refused):
    """409. The idempotency key came before, with another method, path or body."""


class NotAcceptable(Refused):
    """406. The client takes nothing that we could answer with."""


class Unreadable(Refused):
    """400."""


class TooSlow(Refused):
    """408."""


class TooLarge(Refused):
    """413."""


class UnsupportedMedia(Refused):
    """415."""

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type)
        self.media_type = media_type


class Unavailable(HoldfastError):
    """Not now. `retry_after_s` is whole seconds, for the Retry-After header."""

    def __init__(self, retry_after_s: int = 1, reason: str = "") -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.reason = reason


class Throttled(Unavailable):
    """429. Too many requests with one token; nothing was done."""


class Busy(Unavailable):
    """409. The order kept changing underneath; nothing was done."""


class NotReady(Unavailable):
    """409. What was asked for is being made; it can be had later."""


class Duplicate(Unavailable):
    """409. A request with the same idempotency key is at work; its reply can be had later."""


class Fenced(Unavailable):
    """503. A store is away or its contents are being verified; nothing was confirmed."""


class Lost(Fenced):
    """503. What was done is lost with the server that had done it, before anybody was told that it was safe."""


class SoldOut(HoldfastError):
    """Units are missing. `failures` is (index of the position, id of the first quota without room), in order."""

    def __init__(self, failures: list[tuple[int, int]]) -> None:
        super().__init__(failures)
        self.failures = failures


class VoucherSpent(HoldfastError):
    """Uses of vouchers are missing: `lacking` maps a voucher's id to how many."""

    def __init__(self, lacking: dict[int, int]) -> None:
        super().__init__(lacking)
        self.lacking = lacking


class SeatsTaken(HoldfastError):
    """Somebody else has seats, or they are blocked. `seats` are (subevent or 0, guid)."""

    def __init__(self, seats: list[tuple[int, str]]) -> None:
        super().__init__(seats)
        self.seats = seats


class VoucherOverspent(HoldfastError):
    """The budgets of `vouchers` (ids) do not suffice."""

    def __init__(self, vouchers: list[int]) -> None:
        super().__init__(vouchers)
        self.vouchers = vouchers


class InUse(HoldfastError):
    """Something cannot go: somebody holds it, or has ordered it."""


class StaleCatalogue(HoldfastError):
    """A script knows a newer version of the event than the one the request was judged by."""
