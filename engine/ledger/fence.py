"""The fence: no sale on a server whose contents nobody has verified (docs/guarantees.md).

Any process may raise the alarm; one of them, elected by an advisory lock, verifies, the others wait, and depose it if
it stops. A shard whose outbox reaches at least to its watermark, under the epoch that Postgres knows, has lost nothing
that was confirmed. Any other shard is rebuilt from Postgres and from the holds that are still listed. No script is
known while that is done: they are loaded last.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import RedisError, ResponseError

from engine.domain.errors import Fenced, HoldfastError
from engine.ledger import keys
from engine.ledger.commits import entry_id
from engine.ledger.losses import Loss, drop_overwritten, overwritten
from engine.ledger.nodes import Nodes
from engine.ledger.pipe import Pinned, Pipe
from engine.ledger.rebuild import rebuild
from engine.ledger.restore import restore_outboxes
from engine.ledger.scripts import Script
from engine.meters import METERS
from engine.settings import Settings, SettingsError
from persistence import outbox, sequences
from persistence.database import Database, Session
from persistence.outbox import DRAIN_LOCK, EntryId, Mark

log = logging.getLogger("holdfast.fence")

LOCK = "holdfast fence"
_WAIT_S = 0.1
_LOOK_S = 1.0
"""How often who waits for a verification to end looks whether it goes on."""
_OPEN_S = 5.0
"""How long a process waits for the last node of a cluster before it serves what the others have."""
_EVENTS_MAX = 1000
"""Events that one call makes go on with fresh ids of holds."""
_DRAIN_S = 5.0
"""How long a shard that lost a key, but not its outbox, may take to be drained before it is rebuilt."""


class Fence:
    """Watches over every server for one process; each is verified by itself, while sales go on at the others."""

    def __init__(self, nodes: Nodes, database: Database, settings: Settings, scripts: dict[str, Script]) -> None:
        self._nodes = nodes
        self._database = database
        self._settings = settings
        self._scripts = scripts
        self._verifying: dict[Pipe, asyncio.Task[None]] = {}
        self._opened = False

    async def open(self) -> None:
        """Verify each server unless that has been done. Raises SettingsError if the number of shards has changed."""
        fixed = await outbox.fix_shards(self._database, self._settings.shards)
        if fixed != self._settings.shards:
            raise SettingsError(f"HOLDFAST_SHARDS is {self._settings.shards}, but this database was made with {fixed}")
        self._nodes.taken_over = lambda pipe: self.alarm(pipe, "another server has the shards")
        if not self._nodes.clustered:
            await self._verify(self._nodes.pipe(0), None)
        else:
            for pipe in self._nodes.all():
                self._begin(pipe, None)
            # a master that is away keeps nobody from selling what the others have
            await asyncio.wait(list(self._verifying.values()), timeout=_OPEN_S)
        self._opened = True

    async def close(self) -> None:
        tasks = list(self._verifying.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def check(self, pipe: Pipe) -> None:
        """Raise Fenced while this process knows that a server is being verified."""
        if pipe in self._verifying:
            raise Fenced(reason="verifying")

    def closed(self) -> dict[str, bool]:
        """Tell of each server, by its name, whether this process sells nothing there now."""
        return {pipe.name: not self._opened or pipe.away or pipe in self._verifying for pipe in self._nodes.all()}

    def alarm(self, pipe: Pipe, reason: str, lost: Loss | None = None, *, mistyped: bool = False) -> Fenced:
        """Start verifying; return the error for the request at hand.

        `lost` is what a script missed, if one did; `mistyped` says that some key has not the type it ought to have.
        """
        if pipe not in self._verifying:
            log.warning("alarm: %s", reason)
            METERS.alarms += 1
            self._begin(pipe, lost, mistyped=mistyped)
        return Fenced(reason=reason)

    def _begin(self, pipe: Pipe, lost: Loss | None, *, mistyped: bool = False) -> None:
        self._verifying[pipe] = asyncio.create_task(self._verify_until_done(pipe, lost, mistyped=mistyped))

    async def _verify_until_done(self, pipe: Pipe, lost: Loss | None, *, mistyped: bool) -> None:
        while pipe in self._nodes.all():
            shards = self._nodes.shards(pipe)
            try:
                await self._verify(pipe, lost, mistyped=mistyped)
                if shards == self._nodes.shards(pipe):
                    break
            except (HoldfastError, RedisError, OSError) as error:
                log.warning("cannot verify yet: %s", error)
                self._nodes.doubt()
                await asyncio.sleep(_WAIT_S * 5)
            except Exception:
                log.exception("verification failed")
                await asyncio.sleep(_WAIT_S * 5)
        del self._verifying[pipe]

    async def _verify(self, pipe: Pipe, lost: Loss | None, *, mistyped: bool = False) -> None:
        try:
            async with self._elected() as session:
                if mistyped or await self._needed(session, pipe, lost):
                    await self._verify_elected(session, pipe, lost, mistyped=mistyped)
        except ResponseError as error:
            if mistyped or not overwritten(error):
                raise
            await self._verify(pipe, lost, mistyped=True)

    @asynccontextmanager
    async def _elected(self) -> AsyncIterator[Session]:
        """Wait until nobody else verifies, nor has stopped while he did."""
        look_at = time.monotonic() + _LOOK_S
        while True:
            async with outbox.try_lock(self._database, LOCK) as session:
                if session is not None:
                    yield session
                    return
            if time.monotonic() > look_at:
                look_at = time.monotonic() + _LOOK_S
                await outbox.depose(self._database, LOCK)
            await asyncio.sleep(_WAIT_S)

    async def repair(self, shard: int) -> None:
        """Rebuild a shard from Postgres and the holds that are still listed, although nothing was lost.

        On an operator's word alone. Nothing is sold on its server meanwhile. Raises Fenced, and has changed nothing,
        unless Postgres has got all that it was to get.
        """
        pipe = self._nodes.pipe(shard)
        async with self._elected() as session:
            await self._close(pipe)
            drained = await self._drained(pipe, shard)
            distrusted = Loss(shard, "the trust of an operator", "") if drained else None
            await self._verify_elected(session, pipe, distrusted, mistyped=True)
            if not drained:
                raise Fenced(reason=f"shard {shard} waits for Postgres; does a worker run?")

    async def look(self) -> None:
        """Raise the alarm where a shard has not the epoch of Postgres, though nobody verifies it.

        Then its keys are not those that were verified but older ones: somebody has put them back, or swapped databases.
        """
        for pipe in self._nodes.all():
            if not pipe.away and pipe not in self._verifying:
                try:
                    if await self._aged(self._database, pipe):
                        self.alarm(pipe, "a shard is not the one that was verified")
                except ResponseError as error:
                    if not overwritten(error):
                        raise
                    self.alarm(pipe, f"Redis: {error}", mistyped=True)

    async def _needed(self, session: Session, pipe: Pipe, lost: Loss | None) -> bool:
        """Tell whether the alarm still stands now that the lock is ours; another process may have answered it."""
        known = await pipe.call("SCRIPT", "EXISTS", *(script.sha for script in self._scripts.values()))
        if not all(known):
            return True
        if await self._moved(pipe) or await self._aged(session, pipe):
            return True
        if lost is None:
            return False
        return not await (pipe.call("HEXISTS", lost.key, lost.field) if lost.field else pipe.call("EXISTS", lost.key))

    async def _moved(self, pipe: Pipe) -> bool:
        """Tell whether a server has shards that were verified on another: it may know our scripts, too."""
        own = await self._identity(pipe)
        shards = self._nodes.shards(pipe)
        verified_on = await asyncio.gather(*(pipe.call("HGET", keys.shard(shard), "node") for shard in shards))
        return any(node != own for node in verified_on)

    async def _aged(self, database: Database | Session, pipe: Pipe) -> bool:
        """Tell whether a shard has another epoch than Postgres, as it also does while somebody verifies it."""
        shards = self._nodes.shards(pipe)
        epochs = await asyncio.gather(*(pipe.call("HGET", keys.shard(shard), "epoch") for shard in shards))
        marks = await outbox.marks(database)
        return any(
            shard in marks and epoch != b"%d" % marks[shard].epoch for shard, epoch in zip(shards, epochs, strict=True)
        )

    async def _identity(self, pipe: Pipe) -> bytes:
        """Return what a server is known by: a replica that is promoted is another one, and again when it comes back."""
        if self._nodes.clustered:
            node: bytes = await pipe.call("CLUSTER", "MYID")
            return node
        return pipe.history

    async def _verify_elected(self, session: Session, pipe: Pipe, lost: Loss | None, *, mistyped: bool = False) -> None:
        """Verify a server, and let Postgres know that we go on, and metrics that it is this process which verifies."""
        METERS.verifying.append(pipe.name)
        try:
            async with outbox.beating(session):
                pinned = Pinned(pipe)
                losses = [] if lost is None else [lost]
                if mistyped:
                    await self._close(pinned)
                    losses += await drop_overwritten(session, pinned)
                await self._verify_shards(session, pinned, self._nodes.shards(pipe), losses)
        finally:
            METERS.verifying.remove(pipe.name)

    async def _verify_shards(self, session: Session, pipe: Pipe, shards: Sequence[int], losses: Sequence[Loss]) -> None:
        """Verify all shards of a server, rebuild those that lost something, and load the scripts."""
        marks = await outbox.marks(session)
        states = await asyncio.gather(*(self._state(pipe, shard) for shard in shards))
        known = [
            (marks[shard], last)
            for shard, (epochs, last) in zip(shards, states, strict=True)
            if shard in marks and marks[shard].epoch in epochs
        ]
        restored = await self._restore(session, pipe, known)
        # an outbox that was gone cannot tell whether the shard is as old as its watermark, but Postgres has it all now
        reached = {mark.shard for mark, last in known if last >= mark.last and mark.shard not in restored}
        whole: list[int] = []
        damaged: list[int] = []
        for shard in shards:
            intact = shard in reached
            lost = [loss.key for loss in losses if loss.shard == shard and loss.key != keys.outbox(shard)]
            if intact and lost:
                log.warning("shard %d has lost %s", shard, ", ".join(lost))
                await self._close(pipe)
                if not await self._drained(pipe, shard):
                    log.warning("shard %d is not drained: what was only answered 202 is lost with it", shard)
                intact = False
            (whole if intact else damaged).append(shard)
        if damaged and marks:
            await self._cut_others(pipe)
            await self._close(pipe)
        # should we die before these shards have their new epoch, the next one to verify sees that they were whole
        await asyncio.gather(*(pipe.call("HSET", keys.shard(n), "next", marks[n].epoch + 1) for n in whole))
        # no drain can write by an old epoch after this, so what Postgres says from here on stays said
        await outbox.depose(session, DRAIN_LOCK)
        raised = await outbox.raise_epochs(session, [*whole, *damaged])
        log.info("verified %d shards, %d intact, rebuilding %d", len(raised), len(whole), len(damaged))
        if damaged:
            epochs = {shard: raised[shard].epoch for shard in damaged}
            await rebuild(session, pipe, epochs, self._settings, self._scripts["event_rebuild"])
        await self._renew_ids(session, pipe, set(raised))
        await outbox.require(session)
        await asyncio.gather(*(self._reopen(pipe, raised[shard], rebuilt=shard in damaged) for shard in raised))
        own = await self._identity(pipe)
        await asyncio.gather(*(pipe.call("HSET", keys.shard(shard), "node", own) for shard in raised))
        await asyncio.gather(*(pipe.call("SCRIPT", "LOAD", s.text) for s in self._scripts.values()))
        log.info("sales go on")

    async def _restore(self, session: Session, pipe: Pipe, known: Sequence[tuple[Mark, EntryId]]) -> set[int]:
        """See to it that shards whose outbox was deleted tell Postgres all that was in it; return those shards.

        `known` are shards that have the epoch of Postgres. Theirs is not raised before that is done: whoever waits for
        what was in an outbox then looks whether Postgres has it.
        """
        flags = await asyncio.gather(*(pipe.call("HEXISTS", keys.shard(mark.shard), "restored") for mark, _ in known))
        # a stream stays when its last entry goes
        lost = [mark for mark, last in known if last == (0, 0)]
        restored = {mark.shard: mark for (mark, last), flag in zip(known, flags, strict=True) if flag or last == (0, 0)}
        if restored:
            await self._close(pipe)
            await restore_outboxes(session, pipe, lost)
        for shard, mark in restored.items():
            # a verification that ended half-way may have raised the epoch of Postgres alone: then nothing is drained
            await self._reopen(pipe, mark, rebuilt=False)
            if not await self._drained(pipe, shard):
                raise Fenced(reason=f"shard {shard} waits for Postgres; does a worker run?")
        reached = await outbox.marks(session) if restored else {}
        for shard in restored:
            last = await pipe.call("HGET", keys.shard(shard), "last")
            if last is None or reached[shard].last != entry_id(last):
                # or a drain had an entry in its hands that was lost, and has taken what is before it for written
                await pipe.call("DEL", keys.outbox(shard))
                raise Fenced(reason=f"somebody takes entries out of the outbox of shard {shard}, or writes others")
        return set(restored)

    @staticmethod
    async def _close(pipe: Pipe) -> None:
        """See to it that no script changes what is about to be counted, until all of them are loaded again.

        Whoever else uses this server has to load his scripts again as well; a restart asks the same of him.
        """
        await pipe.call("SCRIPT", "FLUSH", "SYNC")

    @staticmethod
    async def _cut_others(pipe: Pipe) -> None:
        """See to it that nobody goes on with what he has begun: a verifier that stood still until his lock was ours.

        What he still sends then goes to a connection that is gone. All others connect again.
        """
        try:
            await pipe.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        except ResponseError as error:  # its user may have been made for an earlier version
            log.warning("cannot cut other connections: %s (docs/security.md)", error)

    @staticmethod
    async def _drained(pipe: Pipe, shard: int) -> bool:
        """Wait until the drain has written what is in a shard's outbox; False if it does not seem to be there."""
        deadline = time.monotonic() + _DRAIN_S
        while await pipe.call("XLEN", keys.outbox(shard)):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_WAIT_S / 5)
        return True

    async def _state(self, pipe: Pipe, shard: int) -> tuple[tuple[int, int], EntryId]:
        """Return the epochs under which a shard is whole, and the last entry of its outbox."""
        answer = await self._eval(pipe, "shard_state", [keys.shard(shard), keys.outbox(shard)])
        ms, _, sequence = answer[3].partition(b"-")
        return (answer[1], answer[2]), (int(ms), int(sequence))

    async def _reopen(self, pipe: Pipe, mark: Mark, *, rebuilt: bool) -> None:
        last = f"{mark.last[0]}-{mark.last[1]}"
        args = [mark.epoch, last, int(rebuilt)]
        answer = await self._eval(pipe, "shard_open", [keys.shard(mark.shard), keys.outbox(mark.shard)], args)
        if answer[0] == b"older":
            raise Fenced(reason=f"shard {mark.shard} was verified by somebody else meanwhile")
        if answer[0] == b"emptied":
            raise Fenced(reason=f"shard {mark.shard} was emptied while it was verified")

    async def _renew_ids(self, session: Session, pipe: Pipe, shards: set[int]) -> None:
        """See to it that no block of hold ids is gone on with that was leased before.

        A server that has lost its last moments has forgotten what it gave of them, and calls with one may be under way.
        """
        first = await sequences.lease(session, "hold_ids")
        events: dict[int, list[str]] = {shard: [] for shard in shards}
        for event in await outbox.all_events(session):
            shard = keys.shard_of(event["organizer"], event["slug"], self._settings.shards)
            if shard in events:
                events[shard].append(keys.event(shard, event["id"]))
        for known in events.values():
            for begin in range(0, len(known), _EVENTS_MAX):
                await self._eval(pipe, "hold_ids_renew", known[begin : begin + _EVENTS_MAX], [first])

    async def _eval(self, pipe: Pipe, name: str, script_keys: list[str], args: list[Any] | None = None) -> list[Any]:
        """Run one of the fence's own scripts by its text: they must work before the scripts are loaded."""
        answer: list[Any] = await pipe.call(
            "EVAL", self._scripts[name].text, len(script_keys), *script_keys, *(args or [])
        )
        return answer
