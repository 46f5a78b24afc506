"""An event loop whose clock jumps from one timer to the next: no waiting, and always the same order."""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
from collections import deque
from itertools import count
from random import Random
from types import SimpleNamespace

OPENING = dt.datetime(2031, 3, 5, 12, 0, tzinfo=dt.UTC)
_OPENING_MS = int(OPENING.timestamp()) * 1000


class Standstill(Exception):
    """Everything waits for something that nothing is going to bring about."""


class _Call:
    """Something to be called, now or later, in the context of a task if it has one."""

    __slots__ = ("args", "at", "callback", "canceled", "context")

    def __init__(self, callback, args, context, at):
        self.callback, self.args, self.context, self.at = callback, args, context, at
        self.canceled = False

    def cancel(self):
        self.canceled = True

    def cancelled(self):
        return self.canceled

    def when(self):
        return self.at


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs tasks on simulated time. All input and output has to be done at once, by blocking calls.

    It is a loop of its own because asyncio's asks the operating system at each turn, which costs more than the turn.
    """

    elapsed_s = 0.0

    def __init__(self):
        self._ready = deque()
        self._timers = []
        self._numbers = count()
        self._stopped = False
        self._on_error = None

    # ---------------------------------------------------------------------------------------------- as asyncio asks

    def time(self):
        return self.elapsed_s

    def call_soon(self, callback, *args, context=None):
        if context is not None:
            # from a task or a future: nobody cancels these, and most calls are such
            self._ready.append((callback, args, context))
            return None
        call = _Call(callback, args, None, 0.0)
        self._ready.append(call)
        return call

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self.elapsed_s + delay, callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        call = _Call(callback, args, context, when)
        heapq.heappush(self._timers, (when, next(self._numbers), call))
        return call

    def pause(self, seconds):
        """Return a future that is done then: as asyncio.sleep, in half the time."""
        future = asyncio.Future(loop=self)
        heapq.heappush(self._timers, (self.elapsed_s + seconds, next(self._numbers), future))
        return future

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coroutine, *, name=None, context=None):
        """Names sort in the order in which tasks are made."""
        return asyncio.Task(coroutine, loop=self, name=name or f"{next(self._numbers):09}", context=context)

    def get_debug(self):
        return False

    def is_running(self):
        return asyncio._get_running_loop() is self

    def is_closed(self):
        return False

    def set_exception_handler(self, handler):
        self._on_error = handler

    def call_exception_handler(self, context):
        self._on_error(self, context)

    def stop(self):
        self._stopped = True

    def run_until_complete(self, future):
        """Return the result. Raises Standstill if nothing is left to be called, or `stop` was."""
        future = asyncio.ensure_future(future, loop=self)
        future.add_done_callback(self._end)
        self._stopped = False
        asyncio._set_running_loop(self)
        try:
            self._run()
        finally:
            asyncio._set_running_loop(None)
            future.remove_done_callback(self._end)
        if not future.done():
            raise Standstill("stopped")
        return future.result()

    def _end(self, future):
        self._stopped = True

    def _run(self):
        """Call what comes next until it is enough: timers have their turn when all else is done."""
        ready, timers = self._ready, self._timers
        while not self._stopped:
            if ready:
                call = ready.popleft()
                if type(call) is tuple:
                    callback, args, context = call
                    try:
                        context.run(callback, *args)
                    except Exception as error:
                        self._tell(callback, error)
                    continue
            elif timers:
                when, _, call = heapq.heappop(timers)
                if call.cancelled():
                    continue
                self.elapsed_s = max(self.elapsed_s, when)
                if type(call) is asyncio.Future:
                    call.set_result(None)
                    continue
            else:
                raise Standstill
            if call.canceled:
                continue
            try:
                if call.context is None:
                    call.callback(*call.args)
                else:
                    call.context.run(call.callback, *call.args)
            except Exception as error:
                self._tell(call.callback, error)

    def _tell(self, callback, error):
        self.call_exception_handler({"message": f"in {callback}", "exception": error})

    # ------------------------------------------------------------------------------------------------ what time it is

    def now_ms(self):
        """Return what the server's clock shows."""
        return _OPENING_MS + int(self.elapsed_s * 1000)

    def now(self):
        """Return what a right clock shows."""
        return OPENING + dt.timedelta(microseconds=int(self.elapsed_s * 1_000_000))

    def timers(self):
        """Return a stand-in for the module time."""
        return SimpleNamespace(monotonic=self.time, sleep=lambda seconds: None)


def by_age(tasks):
    """Return tasks of a VirtualLoop in the order in which they were made; a set has them in the order of addresses."""
    return sorted(tasks, key=asyncio.Task.get_name)


class Dice(Random):
    """Random, but that a choice takes a quarter of the time; how even it is does not matter."""

    def choice(self, options):
        return options[int(self.random() * len(options))]
