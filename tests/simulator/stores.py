"""The two real stores, reached by blocking calls, and the ways there that break when they are told to."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import redis
from psycopg.rows import dict_row
from redis.exceptions import ResponseError

from engine.domain.errors import Fenced
from engine.ledger import scripts
from engine.ledger.scripts import Script
from persistence.database import OPTIONS, Database, Session

_CLOCK = (Path(__file__).parent / "clock.lua").read_text(encoding="utf-8")
_TICK_MS = 250
"""How exactly keys end that have an end of life."""


def clocked_scripts(sabotage=None):
    """Return the real scripts on the simulator's clock; `sabotage` maps a name to (text, text in its place)."""
    made = {}
    for name, script in scripts.load_scripts().items():
        text = script.text
        for where, (old, new) in (sabotage or {}).items():
            if where == name:
                assert old in text, f"{name} has no {old!r}"
                text = text.replace(old, new)
        text = _CLOCK + text
        made[name] = Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
    return made


class Server:
    """One Redis server. `watch` is told of each call, with its answer, at the moment when it is made."""

    def __init__(self, url, loop, known, watch):
        self.url = url
        self.loop = loop
        self.watch = watch
        self.plain = redis.Redis.from_url(url)
        self._connection = self.plain.connection_pool.get_connection()
        self._names = {script.sha: name for name, script in known.items()}
        self._names |= {script.text: name for name, script in known.items()}
        self._told_ms = self._ticked_ms = 0
        self._masters = 1

    def close(self):
        self.plain.connection_pool.release(self._connection)
        self.plain.close()

    @property
    def history(self):
        """What it is known by; a replica that is promoted begins another."""
        return b"history %d" % self._masters

    def promote(self):
        self._masters += 1

    def tell_time(self):
        """Let the scripts know what time it is."""
        self.plain.set("sim:now", self.loop.now_ms())
        self._told_ms = self.loop.now_ms()

    def ask(self, *commands):
        """Run commands in one round trip; errors are answers."""
        self._connection.send_packed_command(self._connection.pack_commands(commands))
        answers = []
        for _ in commands:
            try:
                answers.append(self._connection.read_response())
            except ResponseError as error:
                answers.append(error)
        return answers

    def execute(self, args):
        """Run a command as it comes from a front door; return its answer, which may be an error."""
        now_ms = self.loop.now_ms()
        if now_ms - self._ticked_ms >= _TICK_MS:
            self._tick(now_ms)
        if args[0] == "CLIENT":
            return 0
        if args[0] == "SCAN":
            # in one go and in order: what a real scan returns when depends on more than the seed
            pattern = args[args.index("MATCH") + 1]
            return [b"0", sorted(self.plain.scan_iter(pattern, count=1000))]
        before = [("SET", "sim:now", now_ms)] if now_ms != self._told_ms else []
        self._told_ms = now_ms
        answer = self.ask(*before, args)[-1]
        if args[0] in ("UNLINK", "DEL"):
            self.ask(("ZREM", "sim:ttl", *args[1:]))
        name = self._names.get(args[1]) if args[0] in ("EVAL", "EVALSHA") else None
        if name is not None and not isinstance(answer, Exception):
            last = 3 + int(args[2])
            self.watch.script(name, list(args[3:last]), list(args[last:]), answer, now_ms)
        elif name is None:
            self.watch.command(args, answer)
        return answer

    def _tick(self, now_ms):
        """Let keys go whose end has come."""
        self._ticked_ms = now_ms
        gone = self.ask(("ZRANGEBYSCORE", "sim:ttl", "-inf", now_ms))[0]
        if gone:
            self.ask(("DEL", *gone), ("ZREM", "sim:ttl", *gone))
            for key in gone:
                self.watch.gone(key.decode())

    def snapshot(self):
        """Return all that the server holds."""
        names = sorted(self.plain.scan_iter("*", count=1000))
        return dict(zip(names, self.ask(*(("DUMP", name) for name in names)) if names else (), strict=True))

    def restore(self, snapshot):
        """Make the server what it was: as one that has lost its last moments, and its scripts."""
        self.ask(("FLUSHALL",), ("SCRIPT", "FLUSH", "SYNC"), *(("RESTORE", k, 0, v) for k, v in snapshot.items()))
        self._told_ms = 0


class SimulatedPipe:
    """A connection to the server that takes its time, and that may be lost in the middle of a call."""

    name = "simulated"
    connections = 1

    def __init__(self, server, random, replaced):
        self._server = server
        self._replaced = replaced
        self.history = server.history
        self._random = random
        self._loop = server.loop
        self._waiting = deque()
        self._arrival = 0.0
        self.away = False

    async def open(self, *, wait=True):
        pass

    async def close(self):
        self.cut(back_s=None)

    def call(self, *args):
        future = self._loop.create_future()
        if self.away:
            future.set_exception(Fenced(reason="Redis is away"))
            return future
        # commands of one connection arrive in order
        self._arrival = max(self._arrival + 1e-7, self._loop.time() + self._random.expovariate(4000))
        call = (future, args)
        self._waiting.append(call)
        self._loop.call_at(self._arrival, self._arrive, call)
        return future

    def cut(self, *, back_s):
        """Lose the connection: what was sent may arrive or not, and no answer comes back."""
        waiting, self._waiting = self._waiting, deque()
        arriving = self._random.randint(0, len(waiting))
        self.away = True
        for index, (future, args) in enumerate(waiting):
            if index < arriving:
                self._server.execute(args)
            if not future.done():
                future.set_exception(Fenced(reason="the connection was lost"))
        if back_s is not None:
            self._loop.call_later(back_s, self._back)

    def _back(self):
        self.away = False
        self.connections += 1
        before, self.history = self.history, self._server.history
        if before != self.history:
            self._replaced(self)

    def _arrive(self, call):
        if not self._waiting or self._waiting[0] is not call:
            return
        self._waiting.popleft()
        answer = self._server.execute(call[1])
        self._loop.call_later(self._random.expovariate(4000), self._answer, call[0], answer)

    def _answer(self, future, answer):
        if future.done():
            return
        if self.away:
            future.set_exception(Fenced(reason="the connection was lost"))
        elif isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


class _Session(Session):
    """One connection, used by blocking calls."""

    async def rows(self, sql, params=None):
        return self.connection.execute(sql, params).fetchall()

    async def row(self, sql, params=None):
        return self.connection.execute(sql, params).fetchone()

    async def run(self, sql, params=None):
        return self.connection.execute(sql, params).rowcount


class SimulatedDatabase(Database):
    """The real Postgres for one simulated process; it is away whenever `power` says so.

    A transaction is over before anybody else has a turn: a lock that somebody waits for would never be free.
    """

    def __init__(self, url, loop, random, power):
        self.url = url
        self._loop, self._random, self._power = loop, random, power
        self._idle = []

    async def open(self):
        pass

    async def close(self):
        for connection in self._idle:
            connection.close()
        self._idle = []

    @asynccontextmanager
    async def session(self):
        await asyncio.sleep(self._random.expovariate(2000))
        if not self._power.on:
            raise Fenced(reason="Postgres is away")
        connection = (
            self._idle.pop()
            if self._idle
            else psycopg.connect(self.url, autocommit=True, row_factory=dict_row, options=OPTIONS)
        )
        try:
            yield _Session(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Fenced(reason=f"Postgres: {error}") from error
        finally:
            self._idle.append(connection)

    @asynccontextmanager
    async def transaction(self):
        async with self.session() as session:
            with session.connection.transaction():
                yield session


class Power:
    """Whether Postgres is there."""

    on = True


KEY = re.compile(r"hf1:\{s(\d+)\}:([a-z]+)(?::(.*))?")


def parse_key(key):
    """Return (shard, kind, rest) of a key of Redis."""
    shard, kind, rest = KEY.fullmatch(key.decode() if isinstance(key, bytes) else key).groups()
    return int(shard), kind, rest
