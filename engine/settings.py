"""All settings, read once from the environment; units are in the names."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from msgspec import Struct


class SettingsError(Exception):
    """A setting that cannot be; the message is one line that names the variable."""


class Settings(Struct, frozen=True):
    """One process's settings. URLs are empty until `holdfast up` or the environment gives them."""

    redis_url: str = ""
    queue_url: str = ""
    database_url: str = ""
    shards: int = 64
    ack_timeout_s: float = 10.0
    """How long an order waits for Postgres before it is answered 202 instead of 201."""
    body_bytes_max: int = 2 * 1024 * 1024
    order_hot_s: int = 300
    """How long a drained order stays in Redis, so that a slow reader of an old version meets the newer one."""
    cart_listed_s: int = 3600
    """How long an expired cart position stays listed after its deadline. It blocks nothing in that time."""
    redis_appendfsync: str = "everysec"
    """How soon a Redis started by `holdfast up` brings its file to the disk: everysec, always or no."""


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of HOLDFAST_* variables. Raises SettingsError with one clear line."""
    values: dict[str, str | int | float] = {}
    for name, default in zip(Settings.__struct_fields__, Settings.__struct_defaults__, strict=True):
        variable = f"HOLDFAST_{name.upper()}"
        text = environ.get(variable)
        if text is None:
            continue
        kind = type(default)
        try:
            values[name] = kind(text)
        except ValueError:
            raise SettingsError(f"{variable} must be a number, not {text!r}") from None
    settings = Settings(**values)  # type: ignore[arg-type]
    if not 1 <= settings.shards <= 16384:
        raise SettingsError(f"HOLDFAST_SHARDS must be between 1 and 16384, not {settings.shards}")
    for name in ("ack_timeout_s", "body_bytes_max", "order_hot_s", "cart_listed_s"):
        if not 0 < getattr(settings, name) < math.inf:
            raise SettingsError(f"HOLDFAST_{name.upper()} must be more than 0, and finite")
    if settings.redis_appendfsync not in ("everysec", "always", "no"):
        raise SettingsError(
            f"HOLDFAST_REDIS_APPENDFSYNC must be everysec, always or no, not {settings.redis_appendfsync!r}"
        )
    return settings
