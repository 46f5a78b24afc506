"""Calling scripts: by hash only, on the server that has the shard, with the alarms that they raise."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from engine.domain.catalogue import Event
from engine.domain.errors import Busy, Duplicate, Fenced, KeyReused, NotFound, StaleCatalogue
from engine.ledger import keys
from engine.ledger.cluster import elsewhere
from engine.ledger.fence import Fence
from engine.ledger.losses import Loss, overwritten
from engine.ledger.nodes import Nodes
from engine.ledger.scripts import ALARMS, load_scripts
from engine.meters import METERS
from engine.settings import Settings
from persistence.database import Database

AGAIN_MAX = 1000
"""Calls that only released what was due before one that does its work: 64,000 holds that expired unnoticed."""


class Calls:
    """The scripts, and the servers that run them, for one process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._scripts = load_scripts()
        self._listed_ms = settings.cart_listed_s * 1000
        self.nodes = Nodes(settings.redis_url, settings.shards)
        self.fence = Fence(self.nodes, database, settings, self._scripts)

    def shard_of(self, event: Event) -> int:
        return keys.shard_of(event.organizer, event.slug, self._settings.shards)

    async def _run(self, name: str, shard: int, script_keys: Sequence[str], args: Sequence[Any]) -> list[Any]:
        """Run a script to its end and turn its statuses into exceptions, but for the ones that carry an answer."""
        for _ in range(AGAIN_MAX):
            answer = await self._call(name, shard, script_keys, args)
            status = answer[0]
            if status == b"again":
                continue
            if status in ALARMS:
                raise self._alarm(name, status, shard, script_keys)
            if status == b"stale_catalogue":
                raise StaleCatalogue
            if status in (b"not_owner", b"running"):
                raise Duplicate
            if status == b"other_request":
                raise KeyReused
            if status == b"not_found":
                raise NotFound
            return answer
        raise Busy(reason="holds are expiring faster than they can be released")

    def _alarm(self, name: str, status: bytes, shard: int, script_keys: Sequence[str]) -> Fenced:
        lost = Loss(shard, *ALARMS[status](shard, script_keys))
        return self.fence.alarm(self.nodes.pipe(shard), f"{name} answered {status.decode()}", lost)

    async def _call(self, name: str, shard: int, script_keys: Sequence[str], args: Sequence[Any]) -> list[Any]:
        """Run a script by its hash, as it is. NOSCRIPT is the alarm, and nothing here loads a script."""
        pipe = self.nodes.pipe(shard)
        self.fence.check(pipe)
        began = perf_counter()
        try:
            answer: list[Any] = await pipe.call(
                "EVALSHA", self._scripts[name].sha, len(script_keys), *script_keys, *args
            )
        except NoScriptError:
            raise self.fence.alarm(pipe, "the server does not know our scripts") from None
        except ResponseError as error:
            if overwritten(error):
                raise self.fence.alarm(pipe, f"Redis: {error}", mistyped=True) from error
            if elsewhere(error):  # nothing was done, and who has the shard now has to be verified first
                self.nodes.doubt()
            raise Fenced(reason=f"Redis: {error}") from error
        METERS.script(name, perf_counter() - began)
        return answer
