"""What front doors and workers write to standard error."""

from __future__ import annotations

import logging


def begin() -> None:
    """Log one line an incident. There is no line a request, which would cost more than the request."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # arq has two lines for each run of each timed job, and there is one a second.
    logging.getLogger("arq").setLevel(logging.WARNING)
