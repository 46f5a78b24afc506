"""A whole installation in one process, on simulated time: front doors, clients, drains, and everything that breaks."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter, deque
from contextlib import ExitStack
from itertools import accumulate
from unittest.mock import patch

from engine.domain.errors import HoldfastError
from engine.domain.order import decode
from engine.ledger import keys
from engine.ledger.commits import entry_id
from engine.ledger.ledger import Ledger
from engine.sales.catalogue import Catalogue
from engine.sales.house import House
from engine.sales.ids import Ids
from engine.settings import Settings
from tests.simulator.clients import ACTIONS, Client, Told
from tests.simulator.drains import DrainActor, documents
from tests.simulator.faults import Faults
from tests.simulator.model import Disagreement
from tests.simulator.shops import SHARDS
from tests.simulator.simulated_postgres import SimulatedDatabase
from tests.simulator.simulated_redis import Server, SimulatedPipe, clocked_scripts
from tests.simulator.virtual_time import Dice, VirtualLoop, by_age
from tests.simulator.watch import Watch

HOUSES = 3
_AT_ONCE = 40
_COMPARE_EACH = 100
"""Steps between two comparisons of everything."""
_STEP_S = 0.0004


class World:
    """One simulation. The same seed gives the same history to the last detail."""

    def __init__(self, seed, steps, stores, *, sabotage=None):
        self.seed, self.steps = seed, steps
        self.random = Dice(seed)
        self.loop = VirtualLoop()
        self.settings = Settings(
            redis_url=stores.redis_url,
            database_url=stores.database_url,
            shards=SHARDS,
            ack_timeout_s=0.5,
            order_hot_s=1,
            cart_listed_s=1,
        )
        self.shops = stores.shops
        self.sql, self.postgres = stores.sql, stores.postgres
        self.scripts = clocked_scripts(sabotage)
        self.told = Told()
        self.stored = {}
        """Versions of the orders that Postgres has, by id."""
        self.losses = 0
        self.poison = 0
        self.houses = []
        self.doors = []
        """All that have ever been opened, those that died included."""
        self.drains = [DrainActor(self)]
        self.events = Counter()
        self.failure = None
        self.lines = deque(maxlen=40)
        self.trace = hashlib.sha256()
        self.step = 0
        self.printing = False
        self._closing = False
        self._busy = set()

    # -------------------------------------------------------------------------------------------------- running it

    def run(self):
        """Run it; the first broken rule, if there is one, is in `failure` then."""
        self.watch = Watch(lambda event: documents(self.sql, event), self.fail)
        self.server = Server(self.settings.redis_url, self.loop, self.scripts, self.watch)
        self.server.empty()
        self.server.forget_scripts()
        # it may have been away when the history before this one failed
        self.postgres.away = False
        timers = self.loop.timers()
        alarms = _Errors(self.fail)
        with ExitStack() as stack:
            for where, what in (
                ("engine.ledger.calls.load_scripts", lambda: self.scripts),
                ("workers.drain.load_scripts", lambda: self.scripts),
                ("engine.domain.clock.now", self.loop.now),
                ("engine.sales.orders.time", timers),
                ("engine.ledger.fence.time", timers),
                ("engine.ledger.rebuild.time", timers),
                ("workers.drain.time", timers),
            ):
                stack.enter_context(patch(where, what))
            logger = logging.getLogger("holdfast")
            before = logger.propagate
            logger.propagate = False
            logger.addHandler(alarms)
            try:
                self._run()
            finally:
                logger.removeHandler(alarms)
                logger.propagate = before
                self._close()
        return self

    def _run(self):
        self.loop.set_exception_handler(self._loop_error)
        try:
            self.loop.run_until_complete(self._live())
        except Exception as error:
            # a loop that is stopped by a failure says so as well
            self.failure = self.failure or error

    def _close(self):
        self._closing = True
        self.loop.set_exception_handler(lambda loop, context: None)
        for drain in self.drains:
            drain.close()
        for door in self.doors:
            door.kill()
        pending = by_age(asyncio.all_tasks(self.loop))
        for task in pending:
            task.cancel()
        self.loop.run_until_complete(asyncio.wait(pending) if pending else asyncio.sleep(0))
        if self.failure:
            self.postgres.close()
        self.server.close()

    def _loop_error(self, loop, context):
        error = context.get("exception")
        if error is not None and not isinstance(error, HoldfastError) and "never retrieved" not in context["message"]:
            self.fail(error)

    async def _live(self):
        self.houses = [FrontDoor(self) for _ in range(HOUSES)]
        for door in self.houses:
            await door.open()
        faults = Faults(self)
        background = [asyncio.create_task(self._guarded(work)) for work in (self._drain, self._sweep)]
        actions, weights = list(ACTIONS), list(accumulate(ACTIONS.values()))
        for step in range(1, self.steps + 1):
            self.step = step
            pause = self.random.expovariate(1 / _STEP_S)
            if self.random.random() < 0.002:
                pause += self.random.choice((0.05, 0.3, 1.5))
            await self.loop.pause(pause)
            while len(self._busy) >= _AT_ONCE:
                await self.loop.pause(0.001)
            await faults.strike()
            door = self.random.choice(self.houses)
            [action] = self.random.choices(actions, cum_weights=weights)
            task = asyncio.create_task(self._act(self.step, door, action))
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)
            if self.step % _COMPARE_EACH == 0:
                self.compare()
        await self._calm_down(background)

    async def _act(self, step, door, action):
        name = action.__name__
        task = asyncio.current_task()
        door.tasks.add(task)
        try:
            result = await action(Client(self, door.house))
        except HoldfastError as error:
            result = type(error).__name__
        except asyncio.CancelledError:
            result = "died"
        except Exception as error:
            self.fail(error)
            return
        finally:
            door.tasks.discard(task)
        self.events[name] += 1
        self.note(f"{step} {name}: {result}")

    async def _guarded(self, work):
        try:
            await work()
        except Exception as error:
            self.fail(error)

    async def _drain(self):
        while True:
            await self.loop.pause(self.random.expovariate(120))
            for index, drain in enumerate(list(self.drains)):
                fault = ""
                if self.random.random() < 0.03:
                    fault = self.random.choice(("after read", "before commit", "after commit", "before acknowledge"))
                result = drain.step(fault)
                if result != "nothing":
                    self.note(f"drain {index}: {result}" + (f", {fault}" if fault else ""))

    async def _sweep(self):
        while True:
            await asyncio.sleep(0.2)
            door = self.random.choice(self.houses)
            for shard in range(SHARDS):
                try:
                    await door.house.ledger.sweep(shard)
                except HoldfastError:
                    break

    async def _calm_down(self, background):
        """Let everything end that is under way, then compare all books."""
        self.postgres.away = False
        self.note("calm")
        while self._busy:
            await asyncio.sleep(0.01)
        for door in self.houses:
            for shop in self.shops:
                await self._until_open(door, shop)
        for _ in range(200):
            await asyncio.sleep(0.05)
            if self._drained():
                break
        else:
            raise Disagreement("the outbox is never drained")
        await asyncio.sleep(0.3)
        for task in background:
            task.cancel()
        self.compare()
        self._compare_postgres()

    def _drained(self):
        """Tell whether Postgres has got to the newest entry of each shard; an outbox may be empty for other reasons."""
        reached = {shard: last for shard, *last in self.sql.execute("SELECT shard, last_ms, last_seq FROM shards")}
        for shard in range(SHARDS):
            waiting, newest = self.server.ask(("XLEN", keys.outbox(shard)), ("HGET", keys.shard(shard), "last"))
            if waiting or (newest and entry_id(newest) > tuple(reached.get(shard, (0, 0)))):
                return False
        return True

    async def _until_open(self, door, shop):
        for _ in range(200):
            try:
                event = await door.house.catalogue.event(shop.organizer_id, shop.slug)
                await door.house.catalogue.counts(event, list(event.quotas))
                return
            except HoldfastError:
                await asyncio.sleep(0.05)
        raise Disagreement("a front door stays closed")

    # ------------------------------------------------------------------------------------------------- what is seen

    @property
    def elapsed_s(self):
        return self.loop.time()

    def note(self, line):
        line = f"{self.elapsed_s:.6f} {line}"
        self.trace.update(line.encode())
        self.lines.append(line)
        if self.printing:
            print(line)

    def fail(self, error):
        """Stop at the first broken rule."""
        if self.failure is None:
            self.failure = error
            if not self._closing:
                self.loop.stop()

    def require(self, condition, text):
        if not condition:
            raise Disagreement(text)

    def hear(self, word):
        """Carry a drain's announcement to the front doors, but not always."""
        for door in self.houses:
            if self.random.random() > 0.01:
                self.loop.call_later(self.random.expovariate(4000), door.house.ledger.watermark._heard, word.encode())

    def lose_outbox(self, shard):
        """Note that a drain has given up an outbox."""
        self.note(f"the outbox of shard {shard} is given up")
        self.watch.gone(keys.outbox(shard))

    def promised(self, order_id, version):
        """Note what a client was promised; Postgres has to have it already."""
        self.require(self._kept(order_id, version, self.stored), f"order {order_id} v{version} was confirmed too early")
        known = self.told.durable.get(order_id, 0)
        self.told.durable[order_id] = -1 if -1 in (known, version) else max(known, version)

    def _kept(self, order_id, version, found):
        """Is this version, or a newer one, among those that are found? A deleted order need not be."""
        if version == -1:
            return order_id not in found
        return found.get(order_id, 0) >= version or (order_id in self.watch.deleted and order_id not in found)

    def compare(self):
        """Compare everything that can be compared while sales go on."""
        self.server.settle()
        self.watch.compare(self.server)
        found = dict(self.sql.execute("SELECT id, version FROM orders").fetchall())
        self.require(found == self.stored, "Postgres has other orders than drains have written")
        for order_id, version in self.told.durable.items():
            self.require(
                self._kept(order_id, version, found), f"order {order_id} v{version} was confirmed, and is gone"
            )

    def _compare_postgres(self):
        """Everything that Redis has accepted, and nothing else, is in Postgres now."""
        for shop in self.shops:
            hall = self.watch.memory.halls.get(shop.id)
            stored = documents(self.sql, shop.id)
            self.require(hall is not None, f"nobody has asked for event {shop.id}")
            odd = [
                number
                for number in stored.keys() | hall.orders.keys()
                if number not in stored
                or number not in hall.orders
                or decode(stored[number]) != decode(hall.orders[number].document)
            ]
            self.require(not odd, f"Postgres and Redis have different orders in event {shop.id}: {sorted(odd)[:10]}")
        [(parked,)] = self.sql.execute("SELECT count(*) FROM parked_entries").fetchall()
        self.require(parked <= self.poison, f"{parked} entries are parked, {self.poison} were poisoned")


class FrontDoor:
    """One process that serves: it can be killed at any moment, and another takes its place."""

    def __init__(self, world):
        self.tasks = set()
        self._world = world
        world.doors.append(self)
        database = SimulatedDatabase(world.postgres, world.loop, world.random)
        ledger = Ledger(world.settings, database)
        self.pipe = SimulatedPipe(world.server, world.random, ledger.nodes._replaced)
        ledger.nodes._by_url = {world.settings.redis_url: self.pipe}
        ledger.nodes._by_shard = [self.pipe] * SHARDS
        self.house = House(world.settings, database, ledger, Catalogue(database, ledger), Ids(database))

    async def open(self):
        watermark = self.house.ledger.watermark
        watermark._loop = self._world.loop
        watermark._tasks = [asyncio.create_task(work()) for work in (watermark._look, watermark._time_out)]
        while True:
            try:
                await self.house.ledger.fence.open()
                return
            except HoldfastError:
                await asyncio.sleep(0.2)

    def kill(self):
        """End the process: nothing that it was doing is done any further."""
        ledger = self.house.ledger
        sending = [task for company in (ledger._holds, ledger._reads, ledger._orders) for task in company._sending]
        for task in by_age((*self.tasks, *ledger.fence._verifying.values(), *ledger.watermark._tasks, *sending)):
            task.cancel()
        self.pipe.cut(back_s=None)


class _Errors(logging.Handler):
    """An error that the code has caught and logged is one all the same."""

    def __init__(self, fail):
        super().__init__(logging.WARNING)
        self._fail = fail

    def emit(self, record):
        if record.exc_info and isinstance(record.exc_info[1], Exception):
            self._fail(record.exc_info[1])
