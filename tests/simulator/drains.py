"""The real drain, a step at a time, dying where it is told to."""

from __future__ import annotations

from redis.exceptions import RedisError

from engine.domain.errors import Fenced
from persistence.follower import Follower, Moved
from workers.drain import _RETRY_S, Drain, _batches

LOCK = "holdfast drain"


class Died(Exception):
    """The process of a drain is no more."""


class _Follower(Follower):
    """Loses Postgres before or after it has committed, if it is told so."""

    fault = ""

    def __init__(self, url, stored):
        super().__init__(url)
        self.pid = self._connection.info.backend_pid
        self._stored = stored

    def write(self, steps, orders, closed, allowances, deleted=(), **more):
        try:
            super().write(steps, orders, closed, allowances, deleted, **more)
        except Fenced:
            if self.fault == "after commit":
                self._remember(orders, deleted)
            raise
        self._remember(orders, deleted)

    def _remember(self, orders, deleted):
        for number in deleted:
            self._stored.pop(number, None)
        for written, _ in orders:
            self._stored[written.id] = max(written.version, self._stored.get(written.id, 0))

    def _transact(self, steps, writes):
        if self.fault == "before commit":
            writes = [*writes, ("SELECT pg_terminate_backend(pg_backend_pid())", {})]
        super()._transact(steps, writes)
        if self.fault == "after commit":
            raise Fenced(reason="the answer to COMMIT was lost")


class _Drain(Drain):
    """Tells `hear` what it announces, and `lose` which outbox it gives up."""

    fault = ""
    hear = None
    lose = None

    def finish(self, entries, reached):
        if self.fault == "before acknowledge":
            raise Died
        super().finish(entries, reached)

    def delete(self, server, shard):
        super().delete(server, shard)
        self.lose(shard)

    def announce(self, reached):
        super().announce(reached)
        self._redis.ask()
        self.hear(self._word(reached))


class DrainActor:
    """One worker that drains. A `rogue` one does not ask whether it is elected, like one that slept through its end."""

    def __init__(self, world, *, rogue=False):
        self._world = world
        self._rogue = rogue
        self._drain = None
        self._follower = None
        self._ready = False
        self._again_at = 0.0
        self._seen = 0
        """Commands that Redis had run when there was nothing new."""

    def step(self, fault):
        """Write one batch if there is one; return what happened, in words."""
        self._world.server.settle()
        if self._world.postgres.away:
            self._leave()
            return "no Postgres"
        try:
            return self._step(fault)
        except Moved:
            self._ready = False
            return "moved"
        except (Fenced, RedisError, OSError) as error:
            self._leave()
            return f"lost a store: {type(error).__name__}"
        except Died:
            self._leave()
            self._drain.close()
            self._drain = None
            return "died"

    def _step(self, fault):
        if self._drain is None:
            self._drain = _Drain(self._world.settings)
            self._drain.hear = self._world.hear
            self._drain.lose = self._world.lose_outbox
        if self._follower is None:
            self._follower = _Follower(self._world.settings.database_url, self._world.stored)
            self._ready = False
        drain, follower = self._drain, self._follower
        if not self._ready:
            if self._world.loop.time() < self._again_at:
                return "nothing"
            if not self._rogue and not follower.lock(LOCK):
                self._again_at = self._world.loop.time() + _RETRY_S
                return "not elected"
            drain._epochs, drain._written = {}, {}
            self._learn()
            if drain._last:
                drain.announce(drain._last)
            self._ready = True
        if self._world.loop.time() > drain._learn_at:
            self._learn()
        if not drain._epochs:
            return "no epochs"
        if self._seen == self._world.server.commands:
            return "nothing"
        drain.fault = follower.fault = fault
        entries = drain.read(wait=False)
        if not entries:
            drain.let_go_if_due(idle=True)
            self._seen = self._world.server.commands
            return "nothing"
        if fault == "after read":
            raise Died
        self._tell_time()
        for batch in _batches(entries):
            drain.write(follower, batch)
        drain.let_go_if_due()
        return f"wrote {len(entries)}"

    def _learn(self):
        self._tell_time()
        self._drain.learn(self._follower)
        self._seen = 0

    def _tell_time(self):
        self._world.server.tell_time()
        self._world.server.settle()

    def _leave(self):
        """Leave Postgres, and wait until it has noticed: whether a lock is free must not be a matter of luck."""
        if self._follower is not None:
            pid = self._follower.pid
            self._follower.__exit__(None, None, None)
            self._follower = None
            while self._world.sql.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
                pass

    def close(self):
        self._leave()
        if self._drain is not None:
            self._drain.close()
            self._drain = None


def documents(connection, event_id):
    """Return what Postgres has of an event's orders: documents by id."""
    rows = connection.execute("SELECT id, doc::text FROM orders WHERE event_id = %s ORDER BY id", [event_id]).fetchall()
    return {number: document.encode() for number, document in rows}
