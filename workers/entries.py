"""Entries of an outbox, as the drain and those who compare read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from engine.ledger.commits import entry_id
from persistence.follower import KeptReply
from persistence.outbox import EntryId

UNREADABLE = b"unreadable"
"""The kind of an entry that somebody else has put into an outbox."""


class Entry(Struct, frozen=True):
    """One entry of an outbox; an unknown `kind` changes nothing.

    order: `number` is its id, `version` and `document` its newest; `split` is the new order that took over positions
    of it. order_deleted: `number` is the order's id. quota_closed and quota_allowance: `number` is the
    quota's id, `version` the client's last word on `closed`, or the units allowed beyond the size.
    `after` is the entry before it; None where nobody has said so.
    """

    shard: int
    id: EntryId
    kind: bytes
    number: int
    version: int
    document: bytes
    key: bytes
    split: Entry | None = None
    reply: KeptReply | None = None
    after: EntryId | None = None


def orders_of(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Return what the entries say of orders, those that were split off included; a deleted one has no document."""
    for entry in entries:
        if entry.kind in (b"order", b"order_deleted"):
            yield entry
            if entry.split is not None:
                yield entry.split


def name_of(entry: EntryId) -> str:
    """Return an id as Redis writes it."""
    return f"{entry[0]}-{entry[1]}"


def entry_of(shard: int, identity: bytes, fields: dict[bytes, bytes]) -> Entry:
    """Return an entry as it was read; UNREADABLE with all that it says if no script of ours has written it."""
    try:
        return _entry(shard, identity, fields)
    except (KeyError, ValueError):
        return Entry(shard, entry_id(identity), UNREADABLE, 0, 0, repr(fields).encode(), b"")


def _entry(shard: int, identity: bytes, fields: dict[bytes, bytes]) -> Entry:
    number, kind = entry_id(identity), fields[b"kind"]
    split = None
    if b"split_id" in fields:
        split = Entry(shard, number, kind, int(fields[b"split_id"]), 1, fields[b"split_d"], fields[b"split_key"])
    reply = None
    if b"reply" in fields:
        name = fields[b"reply_key"].decode().rpartition("reply:")[2]
        reply = KeptReply(name, fields[b"reply_request"].decode(), fields[b"reply"])
    after = fields.get(b"after")
    return Entry(
        shard,
        number,
        kind,
        int(fields.get(b"id", 0)),
        int(fields.get(b"v", 0)),
        fields[b"d"] if kind == b"order" else b"",
        fields.get(b"key", b""),
        split,
        reply,
        None if after is None else entry_id(after),
    )
