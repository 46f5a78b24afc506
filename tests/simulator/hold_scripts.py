"""What scripts about holds ought to answer, and what they ought to leave behind. One function a script."""

from __future__ import annotations

from itertools import islice

from msgspec import msgpack

from tests.simulator.arguments import AnyOf, forget, hall_of, keep, ours, parse_key, text
from tests.simulator.model import Chosen, Hold, Shard, require

HOLD_KEYS, RELEASE_KEYS = 4, 5
"""Keys of scripts without that of a reply."""


def hold_create(memory, keys, args, now):
    number, hall = hall_of(memory, keys[0])
    version, first, last, listed_ms, kinds, packed, _ = msgpack.decode(args[1])
    if hall.version is None:
        return [b"unknown_event"]
    if not ours(memory, keys, HOLD_KEYS, args):
        return [b"not_owner"]
    if hall.version != version:
        return [b"stale_catalogue", str(hall.version).encode()]
    next_id, last_id = hall.next_id, hall.last_id
    if first > last_id:
        next_id, last_id = first, last
    queue = Chosen(memory, number)
    more = queue.reap(now, 8, listed_ms)
    groups = _groups(kinds, packed, now)
    if any(seat for group in groups for _, seat, *_ in group["rows"]) and not hall.seats_live:
        return [b"unknown_seats"]
    undo = _deal(hall, groups, now)
    if more and any(group["short"] for group in groups):
        undo()
        if queue.reap(now, 64, listed_ms):
            return [b"again"]
        undo = _deal(hall, groups, now)
    wanted = sum(len(group["rows"]) for group in groups if not group["short"])
    if wanted and next_id + wanted - 1 > last_id:
        undo()
        return [b"need_ids"]
    return _held(memory, keys, args, groups, (number, hall, now, listed_ms, next_id, last_id))


def _groups(kinds, packed, now):
    words, groups = iter(packed), []

    def group(cart, kind, positions):
        _, ttl, deadline = kinds[kind - 1]
        groups.append({"cart": cart, "deadline": now + ttl if deadline is None else deadline, "rows": positions})

    for kind in words:
        count = next(words)
        if kind == 0:
            rows = [list(islice(words, 8)) for _ in range(count)]
            positions = [
                (kinds[one - 1][0], seat, use, parent, payload.encode()) for one, _, payload, seat, *use, parent in rows
            ]
            group(rows[0][1], rows[0][0], positions)
            continue
        pairs = [(next(words), next(words)) for _ in range(max(1, count))]
        for cart, payload in pairs if count > 0 else pairs * -count:
            group(cart, kind, [(kinds[kind - 1][0], "", ("0", 0, 0), 0, payload.encode())])
    return groups


def _deal(hall, groups, now):
    """Give each group what it wants, or note what it is short of; return how to undo that."""
    done, dealt = [], set()
    for group in groups:
        needed, wanted, most = {}, {}, {}
        for product, _, use, _, _ in group["rows"]:
            voucher, most_uses, skips = use
            if voucher != "0":
                wanted[voucher] = wanted.get(voucher, 0) + 1
                most.setdefault(voucher, most_uses)
            if not skips:
                for number, _ in hall.covering(product):
                    needed[number] = needed.get(number, 0) + 1
        group["short"] = _seat_short(hall, group, dealt, now) or _short(hall, needed, wanted, most)
        if not group["short"] and group["deadline"] > now:
            for product, seat, use, _, _ in group["rows"]:
                moved = Hold(0, product, 0, 0, "", seat, use[0], 0, b"")
                hall.take(moved, 1)
                done.append(moved)
                if seat:
                    dealt.add(moved.field)

    def undo():
        for moved in done:
            hall.take(moved, -1)

    return undo


def _seat_short(hall, group, dealt, now):
    mine = set()
    for product, seat, use, _, _ in group["rows"]:
        if seat:
            name = f"{product.rpartition('.')[2]}.{seat}"
            owner, mark = hall.seats.get(name, ("", ""))
            if name in dealt | mine or owner != "free" or not hall.opens(mark, use[0], now):
                return f"seat:{name}".encode()
            mine.add(name)
    return None


def _short(hall, needed, wanted, most):
    lacking = [v for v, n in wanted.items() if hall.uses["r", v] + hall.uses["t", v] + n > most[v]]
    if lacking:
        names = [f"voucher:{voucher}".encode() for voucher in lacking]
        return names[0] if len(names) == 1 else AnyOf(names)
    full = (number for number, n in needed.items() if not hall.room(hall.quotas[number], n))
    return next((str(number).encode() for number in full), None)


def _held(memory, keys, args, groups, known):
    number, hall, now, listed_ms, next_id, last_id = known
    shard, lacking, decided = memory.shard(number), [], [b"ok", now]
    first_id = next_id
    for place, group in enumerate(groups, 1):
        if group["short"]:
            lacking += [place, group["short"]]
            decided += [b"short", group["short"], 0]
            continue
        decided += [b"held", next_id, group["deadline"]]
        first = next_id
        if group["deadline"] > now and any(skips for _, _, (_, _, skips), _, _ in group["rows"]):
            # a voucher that asks for no room allows what it takes beyond
            for product, *_ in group["rows"]:
                for _, quota in hall.covering(product):
                    if quota.size >= 0:
                        quota.allowance = max(quota.allowance, hall.used(quota) - quota.size)
        for product, seat, (voucher, *_), parent, payload in group["rows"]:
            base = first + parent - 1 if parent else 0
            live = group["deadline"] > now
            hold = Hold(next_id, product, now, group["deadline"], group["cart"], seat, voucher, base, payload, live)
            require(next_id not in hall.holds, f"hold {next_id} is given twice")
            hall.holds[next_id] = hold
            member = f"{hall.id}:{next_id}".encode()
            if live:
                Shard.put(shard.due, hold.deadline, member)
                if seat:
                    hall.seats[hold.field] = (f"h{next_id}", hall.seats[hold.field][1])
            else:
                Shard.put(shard.purge, now + listed_ms, member)
            next_id += 1
    if next_id > first_id:
        keep(memory, keys, HOLD_KEYS, args, decided)
        hall.next_id, hall.last_id = next_id, last_id
    return [b"ok", now, last_id - next_id + 1, first_id, *lacking]


def hold_release(memory, keys, args, now):
    number, hall = hall_of(memory, keys[0])
    if hall.version is None:
        return [b"unknown_event"]
    if not ours(memory, keys, RELEASE_KEYS, args):
        return [b"not_owner"]
    hold = hall.holds.get(int(text(args[1])))
    if hold is None:
        return [b"not_found"]
    for one in hall.family(hold):
        if one.live:
            hall.take(one, -1)
        forget(memory, number, hall, one)
    keep(memory, keys, RELEASE_KEYS, args, [])
    return [b"ok"]


def hold_read(memory, keys, args, now):
    _, hall = hall_of(memory, keys[0])
    if hall.version is None:
        return [b"unknown_event"]
    hold = hall.holds.get(int(text(args[0])))
    return [b"ok", hold.packed()] if hold else [b"not_found"]


def hold_page(memory, keys, args, now):
    _, hall = hall_of(memory, keys[0])
    if hall.version is None:
        return [b"unknown_event"]
    first, count, ordering = int(text(args[0])), int(text(args[1])), text(args[2])
    rows = sorted(hall.holds.values(), key=lambda h: h.id if "date" in ordering else f"{h.cart} {h.id:015}")
    if ordering.startswith("-"):
        rows.reverse()
    return [b"ok", len(hall.holds), *(hold.packed() for hold in rows[first : first + count])]


def hold_ids_renew(memory, keys, args, now):
    for key in keys:
        hall = memory.hall(int(parse_key(key)[2]))
        if hall.version is not None:
            hall.next_id = int(text(args[0]))
            hall.last_id = hall.next_id - 1
    return [b"ok"]


def shard_sweep(memory, keys, args, now):
    number, _, _ = parse_key(keys[0])
    shard, most = memory.shard(number), min(int(text(args[1])), 100)
    if shard.epoch is None:
        return [b"unverified"]
    if not shard.outbox:
        return [b"unknown_outbox"]
    more = Chosen(memory, number).reap(now, most, int(text(args[0])))
    ended = [row for row in shard.purge if row[0] <= now]
    for _, member in ended[:most]:
        event, _, name = member.decode().partition(":")
        hall = memory.hall(int(event))
        hold = hall.holds.get(int(name))
        if hold and not hold.live:
            del hall.holds[hold.id]
        Shard.drop(shard.purge, member)
    return [b"ok", int(more or len(ended) > most)]
