"""What time it is: by the clock of Redis, which judges all deadlines, not by that of the machine that we run on.

The ledger sets it each second. In between it goes on by the machine's monotonic clock, which nobody can turn.
"""

from __future__ import annotations

import datetime as dt
import time

_began = time.time() - time.monotonic()


def now() -> dt.datetime:
    """Return the time, in UTC."""
    return dt.datetime.fromtimestamp(_began + time.monotonic(), dt.UTC)


def set_by(server_s: float, monotonic_s: float) -> None:
    """Note that the server's clock showed `server_s` when the monotonic one showed `monotonic_s`."""
    global _began  # noqa: PLW0603 - there is one time
    _began = server_s - monotonic_s
