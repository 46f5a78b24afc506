"""Simulations of seeds, each from the beginning, and audited by the real audit."""

from __future__ import annotations

import asyncio
import time
import traceback
from dataclasses import dataclass

from tests.simulator.world import World
from workers import audit


@dataclass
class Done:
    """What came of one seed."""

    seed: int
    steps: int
    world: World
    failure: BaseException | None
    took_s: float

    @property
    def trace(self):
        return self.world.trace.hexdigest()

    def summary(self):
        calls = sum(self.world.watch.calls.values())
        speed = f"{self.world.step / self.took_s:.0f} steps and {calls / self.took_s:.0f} scripts a second"
        result = "FAILED" if self.failure else "ok"
        return f"seed {self.seed}: {result}, {self.world.step} steps, {speed}, trace {self.trace[:12]}"

    def report(self):
        """Return what went wrong, the last steps, and how to see it again."""
        lines = "\n".join(self.world.lines)
        told = "".join(traceback.format_exception(self.failure)) if self.failure else ""
        again = f"python -m tests.simulator --seeds {self.seed} --steps {self.steps}"
        return f"{lines}\n\nseed {self.seed} failed at step {self.world.step}:\n{told}\nTo see it again: {again}"


def simulate(seed, steps, kept, *, sabotage=None, trace=False):
    """Run one seed and audit what it leaves behind."""
    began = time.monotonic()
    kept.begin_again()
    world = World(seed, steps, kept, sabotage=sabotage)
    world.printing = trace
    world.run()
    failure = world.failure or _audited(world)
    return Done(seed, steps, world, failure, time.monotonic() - began)


def _audited(world):
    """Return what the real audit finds, None if nothing."""
    world.sql.execute("DELETE FROM parked_entries")
    finding = asyncio.run(audit.run(world.settings))
    excused = [f"quota {n} " for h in world.watch.memory.halls.values() for n, q in h.quotas.items() if q.excused]
    problems = [problem for problem in finding.problems if not any(quota in problem.where for quota in excused)]
    return AssertionError("\n".join(map(str, problems))) if problems else None
