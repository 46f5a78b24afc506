"""Histories by seeds on the real scripts and the real drain: nothing breaks, each comes again, and bugs are found."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path

import pytest

from tests.simulator.model import Accepted
from tests.simulator.run import simulate
from tests.simulator.stores import stores

STEPS = 2000
HISTORIES = 30
"""The same in every run, however fast the machine is; `make simulate` goes through as many as one likes."""
BUGS = {
    "a quota is never full": ("hold_create", ("if left < fit", "if false")),
    "an order needs no room": ("order_commit", ("not has_room(kind)", "false")),
    "a seat is anybody's": ("hold_create", ("has ~= 'free'", "has == 'nobody'")),
    "a refused order is not undone": ("order_commit", ("kind, more, -1)", "kind, more, 0)")),
    "an order may follow any version": ("order_commit", ("if stored and stored ~= follows", "if false")),
    "expired holds are listed as held": (
        "shard_sweep",
        ("more = reap(due_key, now, most, listed_ms)", "more = false"),
    ),
    "a reply is kept for nobody": ("hold_create", ("reply_keep(reply_key", "reply_keep(nil")),
    "an outbox that is gone is begun anew": ("order_commit", ("'NOMKSTREAM', '*', 'after'", "'*', 'after'")),
    "holds that have no room survive": ("event_rebuild", ("if beyond(quotas) > 0", "if false")),
    "a voucher may be used once more": ("order_commit", ("beyond > 0 then", "beyond > 1 then")),
}
"""What is broken on purpose: a script, a text in it, and another in its place."""


@pytest.fixture(scope="module")
def kept():
    with stores() as made:
        yield made


def test_nothing_breaks_in_any_history(kept):
    first = int(os.environ.get("SIMULATOR_SEED", "1"))
    for seed in range(first, first + HISTORIES):
        done = simulate(seed, STEPS, kept)
        print(done.summary())
        assert done.failure is None, done.report()


@pytest.mark.parametrize("bug", BUGS)
def test_a_script_that_is_broken_on_purpose_is_found(kept, bug):
    script, change = BUGS[bug]
    for seed in range(1, 6):
        done = simulate(seed, STEPS, kept, sabotage={script: change})
        if done.failure:
            assert isinstance(done.failure, AssertionError), done.report()
            assert f"--seeds {seed} --steps {STEPS}" in done.report()
            return
    raise AssertionError("nobody has noticed")


def test_what_is_kept_of_the_model_does_not_change_with_it(kept):
    memory = simulate(2, 600, kept).world.watch.memory
    copied = memory.copy()
    assert copied == memory
    assert memory.halls
    assert _changeable(memory).keys().isdisjoint(_changeable(copied).keys())


def _changeable(one):
    """Return all that may change of something, by address; what was accepted never does."""
    if isinstance(one, Accepted) or (not isinstance(one, (dict, list, tuple, set)) and not is_dataclass(one)):
        return {}
    values = vars(one).values() if is_dataclass(one) else one.values() if isinstance(one, dict) else one
    found = {} if isinstance(one, tuple) else {id(one): one}
    return found | {address: part for value in values for address, part in _changeable(value).items()}


def test_a_seed_is_the_same_history_in_every_process(kept):
    command = [sys.executable, "-m", "tests.simulator", "--seeds", "3", "--steps", "1500", "--trace"]
    root = Path(__file__).parents[2]
    outputs = [
        subprocess.run(
            command, cwd=root, env={**os.environ, "PYTHONHASHSEED": text}, capture_output=True, text=True, check=False
        ).stdout.rpartition("\nseed 3: ok")
        for text in ("1", "2")
    ]
    assert outputs[0][0].count("\n") > 1500
    assert outputs[0][0] == outputs[1][0]
    here = simulate(3, 1500, kept)
    assert here.trace[:12] in outputs[0][2]
