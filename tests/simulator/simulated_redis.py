"""The real Redis, reached by blocking calls, and connections to it that break when they are told to."""

from __future__ import annotations

import hashlib
from collections import deque
from pathlib import Path

import hiredis
import redis
from redis._parsers import _HiredisParser

from engine.domain.errors import Fenced
from engine.ledger import scripts
from engine.ledger.scripts import Script

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
    """One Redis server. `watch` is told of each call, with its answer, in the order in which Redis runs them.

    What is sent is only written, and read, once somebody needs an answer: a round trip costs more than all else.
    """

    def __init__(self, url, loop, known, watch):
        self.loop = loop
        self.watch = watch
        self.commands = 0
        """How many there have ever been: where this has not moved, nothing is new."""
        self._pool = redis.ConnectionPool.from_url(url)
        self._connection = self._pool.get_connection()
        self._socket = self._connection._sock
        # as redis-py reads, which takes much longer to get to it
        self._reader = hiredis.Reader(replyError=_HiredisParser.parse_error)
        self._sent = []
        """(arguments, when, what to tell of the answer) of each command; None for one that nobody cares about."""
        self._outgoing = []
        self._names = {script.sha: name for name, script in known.items()}
        self._names |= {script.text: name for name, script in known.items()}
        self._told_ms = self._ticked_ms = 0
        self._masters = 1

    def close(self):
        self._pool.disconnect()

    @property
    def history(self):
        """What it is known by; a replica that is promoted begins another."""
        return b"history %d" % self._masters

    def promote(self):
        self._masters += 1

    def tell_time(self):
        """Let the scripts know what time it is."""
        now_ms = self.loop.now_ms()
        if now_ms != self._told_ms:
            self._told_ms = now_ms
            self._send(("SET", "sim:now", now_ms))

    def send(self, args, hear):
        """Have a command run as it comes from a front door; `hear` gets its answer, which may be an error."""
        now_ms = self.loop.now_ms()
        if now_ms - self._ticked_ms >= _TICK_MS:
            self._tick(now_ms)
        if args[0] == "CLIENT":
            hear(0)
            return
        if args[0] == "SCAN":
            # in one go and in order: what a real scan returns when depends on more than the seed
            hear([b"0", sorted(self.ask(("KEYS", args[args.index("MATCH") + 1]))[0])])
            return
        self.tell_time()
        self._send(args, (args, now_ms, hear))
        if args[0] in ("UNLINK", "DEL"):
            self._send(("ZREM", "sim:ttl", *args[1:]))

    def _send(self, args, told=None):
        self._outgoing.append(hiredis.pack_command(args))
        self._sent.append(told)
        self.commands += 1

    def settle(self):
        """Come to where all that was sent has been done, and has been heard and watched."""
        if not self._sent:
            return
        sent, self._sent = self._sent, []
        for told, answer in zip(sent, self._answers(len(sent)), strict=True):
            if told is not None:
                args, now_ms, hear = told
                self._watched(args, answer, now_ms)
                hear(answer)

    def _answers(self, count):
        data, self._outgoing = self._outgoing, []
        self._socket.sendall(b"".join(data))
        answers = []
        while len(answers) < count:
            answer = self._reader.gets()
            if answer is False:
                self._reader.feed(self._socket.recv(1 << 20))
            else:
                answers.append(answer)
        return answers

    def _watched(self, args, answer, now_ms):
        name = self._names.get(args[1]) if args[0] in ("EVAL", "EVALSHA") else None
        if name is None:
            self.watch.command(args, answer)
        elif not isinstance(answer, Exception):
            last = 3 + int(args[2])
            self.watch.script(name, list(args[3:last]), list(args[last:]), answer, now_ms)

    def ask(self, *commands):
        """Run the simulator's own commands, after all that was sent; errors are answers."""
        self.settle()
        self._outgoing = [hiredis.pack_command(command) for command in commands]
        self.commands += len(commands)
        return self._answers(len(commands))

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
        names = sorted(self.ask(("KEYS", "*"))[0])
        return dict(zip(names, self.ask(*(("DUMP", name) for name in names)) if names else (), strict=True))

    def restore(self, snapshot):
        """Make the server what it was: as one that has lost its last moments, and its scripts."""
        self.forget_scripts()
        self.empty()
        if snapshot:
            self.ask(*(("RESTORE", name, 0, value) for name, value in snapshot.items()))

    def forget_scripts(self):
        self.ask(("SCRIPT", "FLUSH", "SYNC"))

    def empty(self):
        self.ask(("FLUSHALL",))
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
                self._server.send(args, [].append)
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
        heard = []
        self._server.send(call[1], heard.append)
        self._loop.call_later(self._random.expovariate(4000), self._answer, call[0], heard)

    def _answer(self, future, heard):
        if future.done():
            return
        if not heard:
            self._server.settle()
        [answer] = heard
        if self.away:
            future.set_exception(Fenced(reason="the connection was lost"))
        elif isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
