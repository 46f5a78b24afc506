"""What some buyers do to their orders afterwards: cancel them, let them expire, want them back, get refunds."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Ask = Callable[[str, str, str, object], Any]
"""Sends (kind, method, path below the event, body) and returns the answer; raises what the journey raises."""
Count = Callable[[int, int], None]
"""Takes how many times more the order's units are (ordered, paid) since the last answer: -1, 0 or 1."""

QUIET = {"send_email": False}


def upset(ask: Ask, count: Count, order: Any, *, paid: bool) -> None:
    """Do one of the things that take an order's units back, and perhaps another that takes them again.

    Raises whatever `ask` raises; then the units that came back are somebody else's by now.
    """
    path = f"orders/{order['code']}/"
    ways = (cancel, refund) if paid else (cancel, expire)
    random.choice(ways)(ask, path, order)
    count(-1, -int(paid))
    if random.random() < 0.5:
        return
    if paid or random.random() < 0.5:
        _want_back(ask, count, path)
    else:
        pay_late(ask, count, path, order)


def cancel(ask: Ask, path: str, order: Any) -> None:
    """Cancel the order; what was paid stays with the shop for now."""
    ask("cancel", "POST", f"{path}mark_canceled/", QUIET)


def refund(ask: Ask, path: str, order: Any) -> None:
    """Get all the money back, and cancel the order with it."""
    body = {"state": "done", "source": "admin", "provider": "manual", "payment": 1, "amount": order["total"]}
    ask("refund", "POST", f"{path}refunds/", {**body, "mark_canceled": True})


def expire(ask: Ask, path: str, order: Any) -> None:
    """Let the time to pay run out."""
    ask("expire", "POST", f"{path}mark_expired/", {})


def _want_back(ask: Ask, count: Count, path: str) -> None:
    """Reactivate or extend, whichever the order's state asks for."""
    status = ask("read", "GET", path, None)["status"]
    if status == "c":
        back = ask("reactivate", "POST", f"{path}reactivate/", {})
    else:
        back = ask("reactivate", "POST", f"{path}extend/", {"expires": "2031-12-01"})
    count(1, int(back["status"] == "p"))


def pay_late(ask: Ask, count: Count, path: str, order: Any) -> None:
    """Send the money although the order may be gone; it is paid by that only while there is room."""
    body = {"state": "confirmed", "provider": "manual", "amount": order["total"], **QUIET}
    ask("late pay", "POST", f"{path}payments/", body)
    if ask("read", "GET", path, None)["status"] == "p":
        count(1, 1)
