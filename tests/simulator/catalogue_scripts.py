"""What all other scripts ought to answer, and what they ought to leave behind. One function a script."""

from __future__ import annotations

from math import inf

from tests.simulator.arguments import forget, hall_of, parse_key, text
from tests.simulator.model import Chosen, Quota, Reserve, Shard, accepted, require


def _vouchers_apply(memory, number, hall, words, now):
    hall.reserves = {}
    for key in [key for key in hall.units if key[0] == "w"]:
        del hall.units[key]
    for _ in range(int(next(words))):
        _reserve(memory, number, hall, words, now)
    _wait(hall, words)


def _reserve(memory, number, hall, words, now):
    voucher, most, till, product = (next(words) for _ in range(4))
    hall.reserves.pop(voucher, None)
    if not till or int(till) >= now:
        hall.reserves[voucher] = Reserve(int(most), int(till) if till else None, product)
        if till:
            Shard.put(memory.shard(number).due, int(till), f"{hall.id}:v{voucher}".encode())


def _wait(hall, words):
    for _ in range(int(next(words))):
        product, count = next(words), next(words)
        hall.units["w", product] = int(count)


def _quotas_apply(hall, words, *, allow, gone=None):
    """Make quotas live: of all that there are, or of those that are neither `gone` nor told of as they were."""
    before, hall.quotas = hall.quotas, {}
    if gone is not None:
        hall.quotas = {quota: known for quota, known in before.items() if quota not in gone}
    for _ in range(int(next(words))):
        quota, size, closed, word, closes, exits, allowance, count = (int(next(words)) for _ in range(8))
        made = Quota(size, closes == 1, exits == 1, [next(words) for _ in range(count)])
        made.closed = closed == 1
        if hall.words.get(quota, 0) >= word:
            made.closed = quota in before and before[quota].closed
        hall.words[quota] = max(word, hall.words.get(quota, 0))
        hall.quotas[quota] = made
        if made.closes and size >= 0 and hall.committed(made) >= size:
            made.closed = True
        made.allowance = max(allowance, before[quota].allowance if quota in before else 0)
        if allow and size >= 0:
            made.allowance = max(made.allowance, hall.used(made) - size)
    hall.quotas = dict(sorted(hall.quotas.items()))


def _changes_apply(memory, number, hall, words, now):
    for _ in range(int(next(words))):
        hall.reserves.pop(next(words), None)
    for _ in range(int(next(words))):
        _reserve(memory, number, hall, words, now)
    _wait(hall, words)
    gone = {int(next(words)) for _ in range(int(next(words)))}
    _quotas_apply(hall, words, allow=True, gone=gone)
    for _ in range(int(next(words))):
        product, told = next(words), next(words)
        covering = ",".join(str(quota) for quota, known in hall.quotas.items() if product in known.products)
        require(told == covering, f"{product} is covered by {covering}, and told to be by {told}")


def event_publish(memory, keys, args, now):
    number, hall = hall_of(memory, keys[0])
    words = iter(text(arg) for arg in args)
    version, new, _ = (int(next(words)) for _ in range(3))
    unused, listed_ms, base, early = next(words), int(next(words)), next(words), next(words)
    room = [(int(next(words)), int(next(words))) for _ in range(int(next(words)))]
    if memory.shard(number).epoch is None:
        return [b"unverified", 0]
    if hall.version is None and not new:
        return [b"unknown_event", 0]
    if hall.version is not None and (hall.version > version or (hall.version == version and not hall.early)):
        return [b"older", hall.version]
    if base and (base != str(hall.version) or hall.early):
        return [b"behind"]
    if (unused or room) and Chosen(memory, number).reap(now, 64, listed_ms):
        return [b"again"]
    if unused and any(
        n > 0 and state in "hnp" and _is_part(product, unused) for (state, product), n in hall.units.items()
    ):
        return [b"in_use"]
    if not all(hall.room(hall.quotas[quota], count) for quota, count in room):
        return [b"no_room"]
    if base:
        _changes_apply(memory, number, hall, words, now)
    else:
        _vouchers_apply(memory, number, hall, words, now)
        _quotas_apply(hall, words, allow=True)
    hall.version, hall.early = version, early == "1"
    return [b"ok", version]


def _is_part(product, whole):
    """Is this one of the products that are named by a product with 0 for anything?"""
    return all(word in ("0", part) for word, part in zip(whole.split("."), product.split("."), strict=True))


def event_version(memory, keys, args, now):
    _, hall = hall_of(memory, keys[0])
    return [b"unknown_event"] if hall.version is None else [b"ok", hall.version, int(hall.early)]


def event_confirm(memory, keys, args, now):
    _, hall = hall_of(memory, keys[0])
    if hall.version is None:
        return [b"unknown_event"]
    if str(hall.version) == text(args[0]):
        hall.early = False
    return [b"ok", hall.version]


def seats_publish(memory, keys, args, now):
    number, hall = hall_of(memory, keys[0])
    words = [text(arg) for arg in args]
    version, last, count = (int(word) for word in words[:3])
    if memory.shard(number).epoch is None:
        return [b"unverified", 0]
    live = hall.seats_live
    if live >= version or hall.seats_coming > version:
        return [b"older", live]
    hall.seats_coming = version
    for name, mark in zip(words[3 : 3 + 2 * count : 2], words[4 : 4 + 2 * count : 2], strict=True):
        hall.seats[name] = (hall.seats.get(name, ("free", ""))[0], mark)
    if last:
        hall.seats_live = version
    return [b"ok", live]


def seats_read(memory, keys, args, now):
    _, hall = hall_of(memory, keys[0])
    if hall.version is None:
        return [b"unknown_event"]
    return [b"ok", *("".join(hall.seats.get(text(name), ("", ""))).encode() for name in args[1:])]


def quota_read(memory, keys, args, now):
    number, hall = hall_of(memory, keys[0])
    words = [text(arg) for arg in args]
    if hall.version is None:
        return [b"unknown_event"]
    if str(hall.version) != words[0]:
        return [b"stale_catalogue", str(hall.version).encode()]
    if Chosen(memory, number).reap(now, 64, int(words[1])):
        return [b"again"]
    answer, at = [b"ok"], 3
    for _ in range(int(words[2])):
        quota, count = hall.quotas[int(words[at])], int(words[at + 1])
        held, pending, paid, blocked, waiting, exited, taken = hall.sums(words[at + 2 : at + 2 + count])
        # a cart may hold what a voucher keeps free of a quota that has stopped covering it
        counts = (max(0, held - taken), pending, paid, blocked + taken, waiting, exited)
        answer += [quota.size, int(quota.closed), *counts, hall.used(quota)]
        at += 2 + count
    return answer


def voucher_read(memory, keys, args, now):
    _, hall = hall_of(memory, keys[0])
    if hall.version is None:
        return [b"unknown_event"]
    return [b"ok", *(hall.uses[state, text(voucher)] for voucher in args[1:] for state in "rty")]


def reply_claim(memory, keys, args, now):
    one = memory.replies.get(text(keys[0]), {})
    if one and one["request"] != args[1]:
        return [b"other_request"]
    if "owner" in one:
        return [b"running"]
    if one:
        return [b"replay", one["reply"], one["decided"]]
    shard = memory.shard(parse_key(keys[1])[0])
    if shard.epoch is None:
        return [b"unverified"]
    memory.replies[text(keys[0])] = {"request": args[1], "owner": text(args[0])}
    return [b"claimed", int(shard.rebuilt + int(text(args[3])) > now)]


def reply_store(memory, keys, args, now):
    one = memory.replies.get(text(keys[0]), {})
    if one.get("owner") != text(args[0]):
        return [b"not_owner"]
    if not args[1]:
        del memory.replies[text(keys[0])]
    else:
        del one["owner"]
        one |= {"reply": args[1], "decided": b""}
    return [b"ok"]


def shard_open(memory, keys, args, now):
    number, _, _ = parse_key(keys[0])
    if (memory.shard(number).epoch or 0) > int(text(args[0])):
        return [b"older"]
    if text(args[2]) == "1" and memory.shard(number).rebuilding != int(text(args[0])):
        return [b"emptied"]
    if text(args[2]) == "0" and memory.shard(number).epoch is None:
        return [b"emptied"]
    memory.shard(number).epoch = int(text(args[0]))
    memory.shard(number).rebuilding = None
    memory.shard(number).outbox = True
    if text(args[2]) == "1":
        memory.shard(number).rebuilt = now
    return [b"ok"]


def shard_state(memory, keys, args, now):
    number, _, _ = parse_key(keys[0])
    epoch = memory.shard(number).epoch
    return [b"ok", -1 if epoch is None else epoch, None, None]


def event_rebuild(memory, keys, args, now, stored):
    """Take the truth from `stored`, the documents that Postgres has by id, and from the holds that are left."""
    number, hall = hall_of(memory, keys[0])
    words = iter(text(arg) for arg in args)
    if memory.shard(number).rebuilding != int(next(words)):
        return [b"emptied"]
    hall.version, _, listed_ms = int(next(words)), next(words), int(next(words))
    hall.early = False
    counts = {}
    for _ in range(int(next(words))):
        name = next(words)
        counts[name] = int(next(words))
    hall.units.clear()
    hall.uses.clear()
    owners = {}
    hall.orders = {number: accepted(document) for number, document in stored.items()}
    for order in hall.orders.values():
        hall.units.update(order.units)
        hall.uses.update(order.uses)
        owners |= order.seats
    for hold in hall.holds.values():
        if hold.live:
            hall.take(hold, 1)
            Shard.put(memory.shard(number).due, hold.deadline, f"{hall.id}:{hold.id}".encode())
            if hold.seat:
                owners.setdefault(hold.field, f"h{hold.id}")
    expected = {f"{state}{name}": n for (state, name), n in (*hall.units.items(), *hall.uses.items()) if n}
    found = {name: n for name, n in counts.items() if n}
    require(found == expected, f"event {hall.id} is rebuilt with {found}, not {expected}")
    for name, (owner, _) in hall.seats.items():
        require(owner == owners.get(name, "free"), f"seat {name} goes to {owner}, not {owners.get(name)}")
    hall.next_id, hall.last_id, hall.quotas, hall.words = 1, 0, {}, {}
    _vouchers_apply(memory, number, hall, words, now)
    _quotas_apply(hall, words, allow=False)
    if not _beyond(hall):
        return [b"ok", 0]
    Chosen(memory, number).reap(now, inf, listed_ms)
    given_up = _give_up(hall)
    for hold in given_up:
        forget(memory, number, hall, hold)
    return [b"ok", len(given_up)]


def _beyond(hall):
    """Return by how much quotas are beyond what they may have, in all."""
    limited = [quota for quota in hall.quotas.values() if quota.size >= 0]
    return sum(max(0, hall.used(quota) - quota.size - quota.allowance) for quota in limited)


def _give_up(hall):
    """Take back what holds take that are in the way, the newest first, each with its own; return those holds."""
    families, gone = [], set()
    for hold in sorted(hall.holds.values(), key=lambda hold: -hold.id):
        if hold.live and hold.id not in gone and _beyond(hall):
            family = [one for one in hall.family(hold) if one.live and one.id not in gone]
            if _changes(hall, family, -1) < 0:
                families.append(family)
                gone.update(one.id for one in family)
            else:
                _change(hall, family, 1)
    for family in reversed(families):
        # there may be room for it without those that came before it
        if family[0].parent not in gone:
            if _changes(hall, family, 1) <= 0:
                gone.difference_update(one.id for one in family)
            else:
                _change(hall, family, -1)
    return [hall.holds[number] for number in gone]


def _change(hall, family, sign):
    for hold in family:
        hall.take(hold, sign)


def _changes(hall, family, sign):
    """Take what holds take, or give it back; return by how much more all quotas are beyond then."""
    before = _beyond(hall)
    _change(hall, family, sign)
    return _beyond(hall) - before
