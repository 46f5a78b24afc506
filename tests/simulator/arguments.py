"""What all parts of the model need to read a script's arguments as the ledger sends them."""

from __future__ import annotations

import re
from functools import lru_cache

from tests.simulator.model import Shard

_KEY = re.compile(r"hf1:\{s(\d+)\}:([a-z]+)(?::(.*))?")


class AnyOf(tuple):
    """Several right answers."""


class Like(str):
    """Any answer of this form, a regular expression."""


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


@lru_cache(10_000)
def parse_key(key):
    """Return (shard, kind, rest) of a key of Redis."""
    shard, kind, rest = _KEY.fullmatch(text(key)).groups()
    return int(shard), kind, rest


def hall_of(memory, key):
    """Return (number of the shard, event) of an event's key."""
    shard, _, rest = parse_key(key)
    return shard, memory.hall(int(rest.partition(":")[0]))


def ours(memory, keys, at, args):
    """Does the request still own its idempotency key, if it has one, at this place?"""
    return len(keys) <= at or memory.replies.get(text(keys[at]), {}).get("owner") == text(args[-3])


def keep(memory, keys, at, args, decided):
    """Keep a reply with the work, if there is an idempotency key."""
    if len(keys) > at:
        one = memory.replies[text(keys[at])]
        del one["owner"]
        one |= {"reply": args[-2], "decided": " ".join(map(text, decided)).encode()}


def forget(memory, number, hall, hold):
    """Take a hold off all lists."""
    member = f"{hall.id}:{hold.id}".encode()
    hall.leave(hold)
    del hall.holds[hold.id]
    Shard.drop(memory.shard(number).due, member)
    Shard.drop(memory.shard(number).purge, member)
