"""Simulates by seeds, and says how to replay one that failed: python -m tests.simulator --seeds 1-20 --steps 5000"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from itertools import count, islice

from tests.simulator.run import simulate
from tests.simulator.stores import stores


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seeds", default="1-", help="one (7), some (3,5,9), from to (1-20), or from there on (1-)")
    parser.add_argument("--steps", type=int, default=5000, help="steps of each seed")
    parser.add_argument("--minutes", type=float, default=0, help="begin no seed after so long; 0 for no end")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side, each with stores and a processor")
    parser.add_argument("--trace", action="store_true", help="print every step")
    chosen = parser.parse_args()
    enough = multiprocessing.Event()
    if chosen.jobs == 1:
        _job(0, chosen, enough)
    else:
        jobs = [multiprocessing.Process(target=_job, args=(place, chosen, enough)) for place in range(chosen.jobs)]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
            if job.exitcode:
                enough.set()
    return int(enough.is_set())


def _job(place, chosen, enough):
    """Simulate every so manieth seed, until one fails, here or elsewhere."""
    with stores(place) as kept:
        began = time.monotonic()
        seeds = steps = 0
        for seed in islice(_seeds(chosen.seeds), place, None, chosen.jobs):
            if enough.is_set() or (chosen.minutes and time.monotonic() - began > chosen.minutes * 60):
                break
            done = simulate(seed, chosen.steps, kept, trace=chosen.trace)
            seeds, steps = seeds + 1, steps + done.world.step
            print(done.summary(), flush=True)
            if done.failure:
                print(done.report(), file=sys.stderr)
                enough.set()
        took_s = time.monotonic() - began
        print(f"{seeds} seeds, {steps} steps in {took_s:.1f} s: {steps / took_s:.0f} steps a second", flush=True)


def _seeds(text):
    if "," in text:
        return [int(part) for part in text.split(",")]
    first, dash, last = text.partition("-")
    if not dash:
        return [int(first)]
    return range(int(first), int(last) + 1) if last else count(int(first))


if __name__ == "__main__":
    sys.exit(main())
