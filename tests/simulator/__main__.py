"""Simulates by seeds, and says how to replay one that failed: python -m tests.simulator --seeds 1-20 --steps 5000"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from itertools import count

from tests.simulator.run import simulate, stores


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seeds", default="1-", help="one (7), some (3,5,9), from to (1-20), or from there on (1-)")
    parser.add_argument("--steps", type=int, default=5000, help="steps of each seed")
    parser.add_argument("--minutes", type=float, default=0, help="begin no seed after so long; 0 for no end")
    parser.add_argument("--trace", action="store_true", help="print every step")
    chosen = parser.parse_args()
    # it warns of each connection that a fault has cut
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    began = time.monotonic()
    with stores() as kept:
        for seed in _seeds(chosen.seeds):
            if chosen.minutes and time.monotonic() - began > chosen.minutes * 60:
                break
            done = simulate(seed, chosen.steps, kept, trace=chosen.trace)
            print(done.summary(), flush=True)
            if done.failure:
                print(done.report(), file=sys.stderr)
                return 1
    return 0


def _seeds(text):
    if "," in text:
        return [int(part) for part in text.split(",")]
    first, dash, last = text.partition("-")
    if not dash:
        return [int(first)]
    return range(int(first), int(last) + 1) if last else count(int(first))


if __name__ == "__main__":
    sys.exit(main())
