"""The stores that a command needs, asked for an answer before anything starts."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from engine.domain.errors import Fenced
from engine.ledger.reach import reach as reach_redis
from engine.settings import Settings, SettingsError
from persistence.reach import reach as reach_postgres

_SET_IT = "is not set: give the URL of a running server, or let `holdfast up` start one"


def with_both(settings: Settings) -> Settings:
    """Return the settings with every URL filled in. Raises SettingsError if a store is not named or not reachable."""
    return with_redis(with_postgres(settings))


def with_postgres(settings: Settings) -> Settings:
    """Return the settings once Postgres has answered. Raises SettingsError."""
    if not settings.database_url:
        raise SettingsError(f"HOLDFAST_DATABASE_URL {_SET_IT}")
    try:
        reach_postgres(settings.database_url)
    except Fenced as error:
        raise SettingsError(f"HOLDFAST_DATABASE_URL={without_password(settings.database_url)}: {error}") from None
    return settings


def with_redis(settings: Settings) -> Settings:
    """Return the settings, queue_url filled in, once each Redis has answered. Raises SettingsError."""
    if not settings.redis_url:
        raise SettingsError(f"HOLDFAST_REDIS_URL {_SET_IT}")
    clustered = _reach("HOLDFAST_REDIS_URL", settings.redis_url)
    if clustered and not settings.queue_url:
        raise SettingsError(
            "HOLDFAST_QUEUE_URL is not set: HOLDFAST_REDIS_URL names a cluster, the queue needs a plain Redis"
        )
    settings = msgspec.structs.replace(settings, queue_url=settings.queue_url or settings.redis_url)
    if _reach("HOLDFAST_QUEUE_URL", settings.queue_url):
        raise SettingsError("HOLDFAST_QUEUE_URL names a cluster: the queue needs a plain Redis")
    return settings


def _reach(name: str, url: str) -> bool:
    """Tell whether a Redis is a cluster. Raises SettingsError unless it answers."""
    try:
        return reach_redis(url)
    except Fenced as error:
        raise SettingsError(f"{name}={without_password(url)}: {error}") from None


def without_password(url: str) -> str:
    """Return a URL as it may be shown on a terminal."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return "(not a URL)"
    return url.replace(f":{password}@", ":…@", 1) if password else url


def environment(settings: Settings) -> dict[str, str]:
    """Return the HOLDFAST_* variables that give a child process the same settings."""
    return {f"HOLDFAST_{name.upper()}": str(getattr(settings, name)) for name in Settings.__struct_fields__}
