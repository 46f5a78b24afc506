"""What an answer means to a buyer."""

from __future__ import annotations

from typing import Any

from loadtests.record import Outcome

TAKEN: dict[str, tuple[str, ...]] = {
    "hold": ("not enough quota available", '" is not available.', "maximum number of times"),
    "reactivate": ("is no longer available", "has been used in the meantime", "no longer has sufficient budget"),
}
"""What a no says when others were faster: there is no unit left, the seat is somebody's, the voucher is used up."""
SAME_SEAT = "You can not select the same seat multiple times."
TAKEN["order"] = (*TAKEN["hold"], "therefore a discount of")
BUSY = (409, 503)
EXPECTED = {
    "look": (200,),
    "hold": (201,),
    "bulk": (200,),
    "release": (204, 404),
    "order": (201, 202),
    "pay": (200, 202),
    "cancel": (200, 202),
    "expire": (200, 202),
    "refund": (201, 202),
    "reactivate": (200, 202),
    "late pay": (201, 202),
    "read": (200,),
}
"""release 404: the hold has expired in the buyer's hands."""


def judge(kind: str, status: int, text: str) -> Outcome:
    """Return what an answer means to a buyer."""
    if status in EXPECTED[kind]:
        return "done"
    if status in BUSY:
        return "busy"
    if status == 400 and any(no in text for no in TAKEN.get(kind, ())):
        return "sold_out"
    return "failed"


def retry_after(headers: Any) -> float:
    """Return the seconds that the server asks a buyer to wait; one if it does not say."""
    try:
        return min(10.0, max(0.1, float((headers or {}).get("Retry-After", 1))))
    except ValueError:
        return 1.0
