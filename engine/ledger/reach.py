"""Asks whether a Redis server can be used, before anything is built on it."""

from __future__ import annotations

import redis

from engine.domain.errors import Fenced

_VERSION_MIN = 7
"""Valkey 8 and newer report the Redis version they are compatible with, which is 7.2."""


def reach(url: str, *, timeout_s: int = 5) -> bool:
    """Tell whether this is a node of a cluster.

    Raises Fenced, with one line that says why, unless the server answers and is new enough.
    """
    try:
        with redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s) as client:
            version = str(client.info("server")["redis_version"])
            clustered = bool(client.info("cluster")["cluster_enabled"])
    except (redis.RedisError, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Fenced(reason=reason) from None
    if int(version.split(".", maxsplit=1)[0]) < _VERSION_MIN:
        raise Fenced(reason=f"Redis {version} is too old: 7 or newer is needed")
    return clustered
