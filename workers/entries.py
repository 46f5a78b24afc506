"""Entries of an outbox, as the drain and those who compare read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from engine.ledger import keys
from engine.ledger.commits import entry_id
from persistence import parts
from persistence.follower import KeptReply, Unwritable, read
from persistence.outbox import EntryId

UNREADABLE = b"unreadable"
"""The kind of what nobody can read: somebody else has put it into an outbox, or it has a document that is no order."""


class Entry(Struct, frozen=True, gc=False):
    """One entry of an outbox, or one order of an entry that tells of several; an unknown `kind` changes nothing.

    order: `number` is its id, `version` and `document` its newest, `order` what the document says; `split` is the new
    order that took over positions of it. order_deleted: `number` is the order's id. quota_closed and quota_allowance:
    `number` is the quota's id, `version` the client's last word on `closed`, or the units allowed beyond the size.
    UNREADABLE: `document` is what was there, `error` what is wrong with it.
    `after` is the entry before it; None where nobody has said so. `later` is how many orders of the same entry follow:
    it is behind us with the last of them.
    """

    shard: int
    id: EntryId
    kind: bytes
    number: int
    version: int
    document: bytes
    key: bytes
    order: parts.Order | None = None
    split: Entry | None = None
    reply: KeptReply | None = None
    after: EntryId | None = None
    later: int = 0
    error: str = ""

    @property
    def name(self) -> str:
        """What it is known by if it is put aside: orders of one entry are counted from the last."""
        return name_of(self.id) + (f"+{self.later}" if self.later else "")


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


def entries_of(shard: int, rows: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[Entry]:
    """Return what was read of a shard's outbox; UNREADABLE with all that it says what no script of ours has written."""
    found: list[Entry] = []
    for identity, fields in rows:
        number = entry_id(identity)
        try:
            if b"kind" in fields:
                found.append(_entry(shard, number, fields))
            else:
                found += _orders(shard, number, fields)
        except (KeyError, ValueError):
            error = "no script of Holdfast writes such an entry"
            found.append(Entry(shard, number, UNREADABLE, 0, 0, repr(fields).encode(), b"", error=error))
    return found


def _orders(shard: int, number: EntryId, fields: dict[bytes, bytes]) -> Iterator[Entry]:
    """Yield the orders of an entry that has nothing but their documents, one a line."""
    after = _after(fields)
    documents = fields[b"d"].split(b"\n")
    for later, document in zip(range(len(documents) - 1, -1, -1), documents, strict=True):
        yield _order(shard, number, document, after=after, later=later)
        after = None


def _order(
    shard: int,
    number: EntryId,
    document: bytes,
    *,
    key: bytes | None = None,
    split: Entry | None = None,
    reply: KeptReply | None = None,
    after: EntryId | None = None,
    later: int = 0,
) -> Entry:
    try:
        order = read(document)
    except Unwritable as error:
        return Entry(shard, number, UNREADABLE, 0, 0, document, b"", after=after, later=later, error=str(error))
    if key is None:
        key = keys.order(shard, order.event_id, order.code).encode()
    return Entry(shard, number, b"order", order.id, order.version, document, key, order, split, reply, after, later)


def _entry(shard: int, number: EntryId, fields: dict[bytes, bytes]) -> Entry:
    kind, after = fields[b"kind"], _after(fields)
    if kind != b"order":
        version = int(fields.get(b"v", 0))
        return Entry(shard, number, kind, int(fields.get(b"id", 0)), version, b"", fields.get(b"key", b""), after=after)
    split = reply = None
    if b"split_id" in fields:
        split = _order(shard, number, fields[b"split_d"], key=fields[b"split_key"])
        if split.kind == UNREADABLE:
            raise ValueError(split.error)
    if b"reply" in fields:
        name = fields[b"reply_key"].decode().rpartition("reply:")[2]
        reply = KeptReply(name, fields[b"reply_request"].decode(), fields[b"reply"])
    return _order(shard, number, fields[b"d"], key=fields.get(b"key", b""), split=split, reply=reply, after=after)


def _after(fields: dict[bytes, bytes]) -> EntryId | None:
    after = fields.get(b"after")
    return None if after is None else entry_id(after)
