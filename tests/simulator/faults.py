"""What breaks, and how often: on average once in so many steps."""

from __future__ import annotations

import asyncio

from engine.ledger import keys
from tests.simulator.drains import DrainActor
from tests.simulator.model import Memory

_SNAPSHOT_EACH = 400


class Faults:
    """Decides at each step whether something breaks. A fault is one method; its name is for the trace."""

    def __init__(self, world):
        self._world = world
        self._random = world.random
        self._snapshots = []
        self._faults = {
            self.cut: 250,
            self.kill: 400,
            self.another_drain: 900,
            self.poison: 1200,
            self.forget_scripts: 1500,
            self.delete_outbox: 1500,
            self.empty_outbox: 1500,
            self.empty: 2000,
            self.older: 1500,
            self.no_postgres: 1500,
        }

    async def strike(self):
        world = self._world
        if self._random.random() < 1 / _SNAPSHOT_EACH:
            self._snapshots = [*self._snapshots[-2:], (world.server.snapshot(), world.watch.memory.copy())]
        for fault, steps in self._faults.items():
            if self._random.random() < 1 / steps:
                world.events[fault.__name__] += 1
                world.note(f"{world.step} fault: {fault.__name__}")
                await fault()

    async def cut(self):
        """A front door loses its connection to Redis in the middle of its calls."""
        self._random.choice(self._world.houses).pipe.cut(back_s=self._random.choice((0.001, 0.01, 0.2)))

    async def kill(self):
        """A front door dies between scripts and answers, and is started again."""
        world = self._world
        place = self._random.randrange(len(world.houses))
        old = world.houses[place]
        old.kill()
        new = type(old)(world)
        world.houses[place] = new
        task = asyncio.create_task(new.open())
        new.tasks.add(task)

    async def another_drain(self):
        """A second drain comes that does not know that it is not elected; or it goes."""
        world = self._world
        if len(world.drains) == 1:
            world.drains.append(DrainActor(world, rogue=self._random.random() < 0.7))
        else:
            world.drains.pop().close()

    async def poison(self):
        """An entry that Postgres does not take gets into an outbox."""
        world = self._world
        server, outbox = world.server, keys.outbox(0)
        if not server.ask(("EXISTS", outbox))[0]:
            return
        [known] = server.ask(("XINFO", "STREAM", outbox))
        ms, _, sequence = known[known.index(b"last-generated-id") + 1].decode().partition("-")
        world.poison += 1
        document = self._random.choice((b"{}", b"{", b"\xff", b"7"))
        entry = {"kind": "order", "id": 10**9 + world.poison, "v": 1, "d": document, "key": keys.order(0, 0, "P")}
        identity = f"{max(int(ms), world.loop.now_ms())}-{int(sequence) + 1}"
        server.ask(("XADD", outbox, identity, *(word for pair in entry.items() for word in pair)))

    async def forget_scripts(self):
        """Redis restarts from a file that has everything."""
        self._lost_connections()
        self._world.server.forget_scripts()

    async def delete_outbox(self):
        """Somebody deletes what waits for Postgres."""
        world = self._world
        shard = self._random.choice(sorted(world.watch.memory.shards) or [0])
        world.server.ask(("DEL", keys.outbox(shard)))
        world.watch.gone(keys.outbox(shard))

    async def empty_outbox(self):
        """Somebody takes out what waits for Postgres, or some of it, and leaves the outbox."""
        world = self._world
        outbox = keys.outbox(self._random.choice(sorted(world.watch.memory.shards) or [0]))
        entries = world.server.ask(("XRANGE", outbox, "-", "+"))[0]
        for identity, _ in entries:
            if self._random.random() < 0.7:
                world.server.ask(("XDEL", outbox, identity))

    async def empty(self):
        """Redis comes back empty, or somebody empties it and leaves the scripts."""
        world = self._world
        if self._random.random() < 0.6:
            self._lost_connections()
            world.server.forget_scripts()
        world.server.empty()
        world.watch.memory = Memory()
        world.losses += 1

    async def older(self):
        """Redis comes back as it was some time ago, before or after what Postgres has."""
        world = self._world
        if not self._snapshots:
            return
        self._lost_connections()
        kept, memory = self._random.choice(self._snapshots)
        if self._random.random() < 0.3:
            kept, memory = world.server.snapshot(), world.watch.memory.copy()
            world.note("as it is")
        world.server.restore(kept)
        if self._random.random() < 0.5:
            world.server.promote()
        world.watch.memory = memory.copy()
        world.losses += 1

    async def no_postgres(self):
        """Postgres is away for a while."""
        world = self._world
        world.postgres.away = True
        world.loop.call_later(self._random.choice((0.05, 0.2, 1.0)), setattr, world.postgres, "away", False)

    def _lost_connections(self):
        for door in self._world.houses:
            door.pipe.cut(back_s=self._random.choice((0.001, 0.05)))
