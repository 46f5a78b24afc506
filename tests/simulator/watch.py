"""Watches every call that Redis answers, and compares it with the model; now and then it compares everything."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

from engine.ledger import keys
from tests.simulator.answers import ANSWERS
from tests.simulator.arguments import AnyOf, Like, forget, parse_key, text
from tests.simulator.model import Disagreement, Memory, Shard, require
from tests.simulator.order_scripts import complete_reply

_CHANGING = {
    "hold_create",
    "order_commit",
    "event_publish",
    "event_rebuild",
    "quota_read",
    "shard_sweep",
    "hold_release",
}


class Watch:
    """The model of one server. `stored` reads from Postgres the documents of an event's orders, by id."""

    def __init__(self, stored, fail):
        self.memory = Memory()
        self.calls = Counter()
        self.deleted = set()
        """Ids of orders that have ever been deleted."""
        self._most = {}
        self._covered = {}
        self._stored = stored
        self._fail = fail

    def script(self, name, keys, args, answer, now):
        self.calls[name] += 1
        try:
            stored = [self._stored(int(parse_key(keys[0])[2]))] if name == "event_rebuild" else []
            expected = ANSWERS[name](self.memory, keys, args, now, *stored)
            if answer != expected and not _equal(answer, expected):
                raise Disagreement(f"{name} {args} answers {answer}, the model {expected}")
            if name == "order_commit" and answer[0] == b"ok":
                self.deleted |= self.memory.deleted
                for key in keys[4 + len(answer) :]:
                    if ":reply:" in text(key):
                        complete_reply(self.memory, text(key), answer[2:])
            if name in _CHANGING and ":event:" in text(keys[0]):
                self.never_oversold(self.memory.hall(int(parse_key(keys[0])[2])), rebuilt=bool(stored))
        except Exception as error:
            error.add_note(f"at {name} {keys} {args}, answered {answer}")
            self._fail(error)

    def command(self, args, answer):
        """Follow what the fence does to keys by itself."""
        if args[0] in ("UNLINK", "DEL"):
            for key in args[1:]:
                self.gone(text(key))
        if args[0] == "ZREM" and ":holds:" in text(args[1]):
            number, _, event = parse_key(args[1])
            hall = self.memory.hall(int(event))
            forget(self.memory, number, hall, hall.holds[int(args[2].partition(b"|")[0])])
        if args[0] == "ZADD" and text(args[1]).endswith(":due"):
            number, _, _ = parse_key(args[1])
            for deadline, member in zip(args[2::2], args[3::2], strict=True):
                Shard.put(self.memory.shard(number).due, int(deadline), member)
        if args[0] == "RENAMENX" and answer == 1:
            self.memory.shard(parse_key(args[2])[0]).outbox = True
        if args[0] == "HSET" and args[2] == "rebuilding":
            self.memory.shard(parse_key(args[1])[0]).rebuilding = int(args[3])
        if args[0] == "HSET" and ":seats:" in text(args[1]):
            hall = self.memory.hall(int(parse_key(args[1])[2]))
            for name, value in zip(map(text, args[2::2]), map(text, args[3::2]), strict=True):
                if name == "v":
                    hall.seats_live = int(value)
                elif name == "w":
                    hall.seats_coming = int(value)
                else:
                    owner, bar, mark = value.partition("|")
                    hall.seats[name] = (owner, bar + mark)

    def gone(self, key):
        shard, kind, rest = parse_key(key)
        memory = self.memory
        match kind:
            case "event":
                memory.hall(int(rest)).lose()
            case "due":
                memory.shard(shard).due.clear()
            case "seats":
                hall = memory.hall(int(rest))
                hall.seats, hall.seats_live, hall.seats_coming = {}, 0, 0
            case "order":
                event, _, code = rest.partition(":")
                memory.hall(int(event)).hot.pop(code, None)
            case "reply":
                memory.replies.pop(key, None)
            case "outbox":
                memory.shard(shard).outbox = False
            case "shard":
                one = memory.shard(shard)
                one.epoch, one.rebuilt, one.rebuilding = None, 0, None

    def never_oversold(self, hall, *, rebuilt=False):
        for number, quota in hall.quotas.items():
            if quota.size < 0:
                continue
            beyond = hall.used(quota) - quota.size - quota.allowance
            if rebuilt and beyond > 0:
                # a hold that has survived may have been ordered in the moments that were lost; but a voucher keeps free
                # again what its hold would give up
                for hold in hall.holds.values():
                    in_the_way = hold.live and hold.product in quota.products and hold.voucher not in hall.reserves
                    require(not in_the_way, f"quota {number} is rebuilt with {beyond} too many, one is {hold}")
                known = self._most.get(number, quota.size) - quota.size - quota.allowance
                # an organizer's change may be committed and not live yet: it would have been allowed
                known += sum(hall.units["w", product] for product in quota.products)
                known += sum(sum(hall.sums([product])[:5]) for product in self._fresh(number, quota))
                require(beyond <= known, f"quota {number} of {quota.size} is rebuilt with {beyond} too many")
                quota.excused = beyond
            quota.excused = min(quota.excused, max(0, beyond))
            if beyond > quota.excused:
                raise Disagreement(f"quota {number} of {quota.size} + {quota.allowance} is oversold by {beyond}")
            # whatever a rebuild has found is there still when the next one comes
            self._most[number] = max(self._most.get(number, 0), quota.size + quota.allowance + quota.excused)
            self._covered[number] = quota.products
        if min(hall.units.values(), default=0) < 0:
            raise Disagreement(f"units below zero: {hall.units}")

    def _fresh(self, number, quota):
        """Return the products that a quota has not covered when it was seen last."""
        return [product for product in quota.products if product not in self._covered.get(number, quota.products)]

    # ---------------------------------------------------------------------------------------------------- everything

    def compare(self, server):
        """Compare all that Redis has with the model, and the model with its own lists."""
        [names] = server.ask(("KEYS", "*:event:*"))
        shards = {int(event): shard for shard, _, event in map(parse_key, names)}
        halls = [hall for hall in self.memory.halls.values() if hall.version is not None]
        require(shards.keys() == {hall.id for hall in halls}, f"Redis has events {shards}")
        commands = [command for hall in halls for command in _all_of_hall(hall.id, shards[hall.id])]
        commands += [command for number in self.memory.shards for command in _all_of_shard(number)]
        answers = iter(server.ask(*commands))
        for hall in halls:
            self._count_anew(hall)
            self._compare_hall(hall, *islice(answers, 4))
        for number, shard in self.memory.shards.items():
            due, purge = map(_rows, islice(answers, 2))
            require(due == shard.due, f"due in shard {number}: {_odd(due, shard.due)}")
            require(purge == sorted(shard.purge), f"purge in shard {number}")

    @staticmethod
    def _count_anew(hall):
        units, uses, owners = Counter(), Counter(), {}
        for order in hall.orders.values():
            units.update(order.units)
            uses.update(order.uses)
            for name, owner in order.seats.items():
                require(name not in owners, f"seat {name} is {owners.get(name)}'s and {owner}'s")
                owners[name] = owner
        for hold in hall.holds.values():
            if hold.live:
                units["h", hold.product] += 1
                if hold.voucher != "0":
                    uses["t", hold.voucher] += 1
                if hold.seat:
                    require(
                        hold.field not in owners, f"seat {hold.field} is {owners.get(hold.field)}'s and h{hold.id}'s"
                    )
                    owners[hold.field] = f"h{hold.id}"
        counted = Counter({key: n for key, n in hall.units.items() if key[0] != "w"})
        for found, expected, what in ((counted, units, "units"), (hall.uses, uses, "uses of vouchers")):
            odd = {key: (found[key], expected[key]) for key in found | expected if found[key] != expected[key]}
            require(not odd, f"event {hall.id} counts {what} that orders and holds have not: {odd}")
        odd = {
            name: (has, owners.get(name)) for name, (has, _) in hall.seats.items() if has != owners.get(name, "free")
        }
        require(not odd, f"seats of event {hall.id}: {odd}")

    @staticmethod
    def _compare_hall(hall, fields, holds, carts, seats):
        found = {k.decode(): v.decode() for k, v in _pairs(fields).items()}
        if found.get("id_last", "0") == "0":  # before the first block there is no next id, or the very first
            found.pop("id", None)
        expected = _fields(hall)
        odd = {
            name: (found.get(name), expected.get(name))
            for name in found.keys() | expected.keys()
            if found.get(name, "0") != expected.get(name, "0")
        }
        require(not odd, f"event {hall.id}, fields as (Redis, model): {odd}")
        require(holds == [hall.holds[n].packed() for n in sorted(hall.holds)], f"holds of event {hall.id}")
        named = sorted(f"{hold.cart} {hold.id:015}".encode() for hold in hall.holds.values())
        require(carts == named, f"carts of event {hall.id}")
        has = {k.decode(): v.decode() for k, v in _pairs(seats).items() if b"." in k}
        require(has == {name: "".join(value) for name, value in hall.seats.items()}, f"seats of event {hall.id}: {has}")


def _all_of_hall(event, shard):
    return (
        ("HGETALL", keys.event(shard, event)),
        ("ZRANGE", keys.holds(shard, event), 0, -1),
        ("ZRANGE", keys.carts(shard, event), 0, -1),
        ("HGETALL", keys.seats(shard, event)),
    )


def _all_of_shard(shard):
    return (
        ("ZRANGE", keys.due(shard), 0, -1, "WITHSCORES"),
        ("ZRANGE", keys.purge(shard), 0, -1, "WITHSCORES"),
    )


def _fields(hall):
    """Return the fields of an event's hash; those that are 0 may be missing."""
    fields = {"v": str(hall.version), "id": str(hall.next_id), "id_last": str(hall.last_id)}
    if not hall.last_id:
        fields["id"] = "0"
    if hall.early:
        fields["o"] = str(hall.version)
    fields |= {f"{state}{name}": str(n) for (state, name), n in (*hall.units.items(), *hall.uses.items())}
    products = {}
    for number, quota in hall.quotas.items():
        limit = -2 if quota.closed else quota.size
        values = {"u": hall.used(quota), "c": hall.committed(quota), "l": limit, "s": quota.size}
        values |= {"f": int(quota.closes), "e": int(quota.exits), "a": quota.allowance}
        fields |= {f"{kind}{number}": str(value) for kind, value in values.items()}
        for product in quota.products:
            products.setdefault(product, []).append(str(number))
    fields |= {f"k{number}": str(word) for number, word in hall.words.items()}
    fields |= {f"q{product}": ",".join(numbers) for product, numbers in products.items()}
    for voucher, reserve in hall.reserves.items():
        fields[f"g{voucher}"] = f"{reserve.most},{reserve.till or ''},{reserve.product}"
        free, taken = hall.blocked(reserve.product)
        fields |= {f"b{reserve.product}": str(free), f"d{reserve.product}": str(taken)}
    return fields


def _pairs(flat):
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _rows(flat):
    return [(int(float(score)), member) for member, score in zip(flat[::2], flat[1::2], strict=True)]


def _odd(found, expected):
    return sorted(set(found) ^ set(expected))[:6]


def _equal(found, wanted):
    match wanted:
        case None:
            return True
        case AnyOf():
            return found in wanted
        case Like():
            return isinstance(found, bytes) and re.fullmatch(wanted, found.decode())
        case list():
            return len(found) == len(wanted) and all(map(_equal, found, wanted))
    return found == wanted
