"""Which server has which shard: the same one has them all, or the masters of a cluster share them.

redis-py reads the map of a cluster; nothing else of its cluster client is used (docs/decisions/0003-cluster.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from engine.domain.errors import Fenced
from engine.ledger import keys

_TIMEOUT_S = 2.0
"""How long one node may take to tell the map before another is asked."""


def masters(urls: Iterable[str], shards: int) -> list[str]:
    """Return the URL of each shard's master, as told by the first of `urls` that answers. Raises Fenced."""
    reason = "no node is known"
    for url in urls:
        try:
            cluster = RedisCluster.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
            try:
                nodes = [cluster.get_node_from_key(keys.shard(shard)) for shard in range(shards)]
            finally:
                cluster.close()
        except (RedisError, RedisClusterException, OSError) as error:
            reason = str(error) or type(error).__name__
            continue
        return [at(url, node.host, node.port) for node in nodes]
    raise Fenced(reason=f"the cluster does not tell its map: {reason}")


def at(url: str, host: str, port: int) -> str:
    """Return `url` with another address: the same user, password and options."""
    parts = urlsplit(url)
    user, sign, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{sign}{f'[{host}]' if ':' in host else host}:{port}"))


def elsewhere(error: Exception) -> bool:
    """Tell whether a node has refused a call because it does not have the shard, or not all of it, or not now."""
    return str(error).startswith(("MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN"))
