"""Garbage of a long-lived process: what is there once it has begun is walked no more, and new objects seldom."""

from __future__ import annotations

import gc

_YOUNG_OBJECTS = 50_000
"""Objects made before garbage is looked for: more than hundreds of orders under way, all walked in vain, come to."""


def settle() -> None:
    """Take all that is there by now for good. Walking it again and again took a fifth of an order's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
