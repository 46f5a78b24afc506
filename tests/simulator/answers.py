"""What each script ought to answer, and what it ought to do to the model's memory. One function a script.

Arguments come as the ledger sends them, as text; `kept` is what a script keeps with its work for an idempotency key.
"""

from __future__ import annotations

from engine.domain.order import decode
from tests.simulator.model import Chosen, Hold, Quota, Reserve, Shard, accepted, require
from tests.simulator.stores import parse_key

HOLD_KEYS, RELEASE_KEYS, COMMIT_KEYS = 4, 5, 9
"""Keys of scripts without that of a reply."""


class AnyOf(tuple):
    """Several right answers."""


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def hall_of(memory, key):
    shard, _, rest = parse_key(key)
    return shard, memory.hall(int(rest.partition(":")[0]))


def _ours(memory, keys, at, args):
    """Does the request still own its idempotency key?"""
    return len(keys) <= at or memory.replies.get(text(keys[at]), {}).get("owner") == text(args[-3])


def _keep(memory, keys, at, args, decided):
    if len(keys) > at:
        one = memory.replies[text(keys[at])]
        del one["owner"]
        one |= {"reply": args[-2], "decided": " ".join(map(text, decided)).encode()}


# ------------------------------------------------------------------------------------------------------------- holds


def hold_create(memory, keys, args, now):
    number, hall = hall_of(memory, keys[0])
    words = [text(arg) for arg in args]
    if hall.version is None:
        return [b"unknown_event"]
    if not _ours(memory, keys, HOLD_KEYS, args):
        return [b"not_owner"]
    if str(hall.version) != words[1]:
        return [b"stale_catalogue", str(hall.version).encode()]
    next_id, last_id = hall.next_id, hall.last_id
    if int(words[2]) > last_id:
        next_id, last_id = int(words[2]), int(words[3])
    queue, listed_ms = Chosen(memory, number), int(words[4])
    more = queue.reap(now, 8, listed_ms)
    groups = _groups(args, words, now)
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


def _groups(args, words, now):
    groups, at = [], 6
    for _ in range(int(words[5])):
        cart, deadline, ttl, count = words[at : at + 4]
        rows = []
        for place in range(at + 4, at + 4 + 5 * int(count), 5):
            product, seat, use, parent = words[place : place + 4]
            rows.append((product, seat, use, int(parent), args[place + 4]))
        groups.append({"cart": cart, "deadline": int(deadline) if deadline else now + int(ttl), "rows": rows})
        at += 4 + 5 * int(count)
    return groups


def _deal(hall, groups, now):
    """Give each group what it wants, or note what it is short of; return how to undo that."""
    done, dealt = [], set()
    for group in groups:
        needed, wanted, most = {}, {}, {}
        for product, _, use, _, _ in group["rows"]:
            skips = False
            if use != "0":
                voucher, most_uses, skip = use.split(".")
                wanted[voucher] = wanted.get(voucher, 0) + 1
                most.setdefault(voucher, int(most_uses))
                skips = skip == "1"
            if not skips:
                for number, _ in hall.covering(product):
                    needed[number] = needed.get(number, 0) + 1
        group["short"] = _seat_short(hall, group, dealt, now) or _short(hall, needed, wanted, most)
        if not group["short"] and group["deadline"] > now:
            for product, seat, use, _, _ in group["rows"]:
                moved = Hold(0, product, 0, 0, "", seat, use.partition(".")[0], 0, b"")
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
            if name in dealt | mine or owner != "free" or not hall.opens(mark, use.partition(".")[0], now):
                return f"seat:{name}".encode()
            mine.add(name)
    return None


def _short(hall, needed, wanted, most):
    lacking = [v for v, n in wanted.items() if hall.uses["r", v] + hall.uses["t", v] + n > most[v]]
    if lacking:
        names = [f"voucher:{voucher}".encode() for voucher in lacking]
        return names[0] if len(names) == 1 else AnyOf(names)
    return next((number for number, n in needed.items() if not hall.room(hall.quotas[number], n)), None)


def _held(memory, keys, args, groups, known):
    number, hall, now, listed_ms, next_id, last_id = known
    shard, answer = memory.shard(number), [b"ok", now]
    for group in groups:
        if group["short"]:
            answer += [b"short", group["short"], 0]
            continue
        answer += [b"held", next_id, group["deadline"]]
        first = next_id
        for product, seat, use, parent, payload in group["rows"]:
            base = first + parent - 1 if parent else 0
            live = group["deadline"] > now
            voucher = use.partition(".")[0]
            hold = Hold(next_id, product, now, group["deadline"], group["cart"], seat, voucher, base, payload, live)
            hold.skips = use.endswith(".1")
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
    if len(answer) > 2 and any(not group["short"] for group in groups):
        _keep(memory, keys, HOLD_KEYS, args, answer)
        hall.next_id, hall.last_id = next_id, last_id
    return answer


def _forget(memory, number, hall, hold):
    member = f"{hall.id}:{hold.id}".encode()
    hall.leave(hold)
    del hall.holds[hold.id]
    Shard.drop(memory.shard(number).due, member)
    Shard.drop(memory.shard(number).purge, member)


def hold_release(memory, keys, args, now):
    number, hall = hall_of(memory, keys[0])
    if hall.version is None:
        return [b"unknown_event"]
    if not _ours(memory, keys, RELEASE_KEYS, args):
        return [b"not_owner"]
    hold = hall.holds.get(int(text(args[1])))
    if hold is None:
        return [b"not_found"]
    family = [hold]
    for other in sorted(hall.holds):
        if other > hold.id:
            if hall.holds[other].parent != hold.id:
                break
            family.append(hall.holds[other])
    for one in family:
        if one.live:
            hall.take(one, -1)
        _forget(memory, number, hall, one)
    _keep(memory, keys, RELEASE_KEYS, args, [])
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


def shard_sweep(memory, keys, args, now):
    number, _, _ = parse_key(keys[0])
    shard, most = memory.shard(number), min(int(text(args[1])), 100)
    if shard.epoch is None:
        return [b"unverified"]
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


# ------------------------------------------------------------------------------------------------------------ orders


def order_commit(memory, keys, args, now):
    number, hall = hall_of(memory, keys[0])
    shard = memory.shard(number)
    code = text(keys[1]).rpartition(":")[2]
    asked = _asked(args)
    if shard.epoch is None:
        return [b"unverified"]
    if hall.version is None:
        return [b"unknown_event"]
    if not _ours(memory, keys, COMMIT_KEYS, args):
        return [b"not_owner"]
    if asked["judged"] and asked["judged"] != str(hall.version):
        return [b"stale_catalogue", str(hall.version).encode()]
    stored = hall.hot.get(code)
    if stored is not None and stored != asked["follows"] and not (stored == -1 and asked["follows"] == 0):
        return [b"conflict"]
    queue = Chosen(memory, number)
    more = queue.reap(now, 8, asked["listed_ms"])
    if more and asked["needs"] + asked["uses"] + asked["seats"]:
        more = queue.reap(now, 64, asked["listed_ms"])
    consumed = [
        hall.holds[n]
        for cart in asked["carts"]
        for n in sorted(hall.holds)
        if hall.holds[n].cart == cart and hall.holds[n].live and hall.holds[n].deadline >= now
    ]
    undo = _move(hall, consumed, asked)
    refusal = _refusal(hall, consumed, asked, more, now)
    if refusal or asked["mode"] == "simulate":
        undo()
        return refusal or [b"ok", b"", shard.epoch]
    return _committed(memory, keys, args, (number, hall, code, consumed, asked))


def _asked(args):
    """Return what an order wants, by name."""
    words = iter(text(arg) if not isinstance(arg, bytes) else arg for arg in args)

    def rows(width):
        return [tuple(next(words) for _ in range(width)) for _ in range(int(next(words)))]

    event, judged, follows, order, document, mode, listed_ms = (next(words) for _ in range(7))
    asked = {"event": event, "judged": judged, "follows": int(follows), "order": int(order), "mode": mode}
    asked |= {"document": document.encode() if isinstance(document, str) else document, "listed_ms": int(listed_ms)}
    asked["carts"] = [row[0] for row in rows(1)]
    asked["moves"] = [(product, state, int(delta)) for product, state, delta in rows(3)]
    asked["needs"] = [row[0] for row in rows(1)]
    asked["split"] = next(words), next(words)
    asked["uses"] = [
        (voucher, int(delta), int(most), int(amount), int(budget) if budget else None)
        for voucher, delta, most, amount, budget in rows(5)
    ]
    asked["seats"] = rows(4)
    return asked


def _move(hall, consumed, asked):
    def all_of_it(sign):
        for hold in consumed:
            hall.take(hold, -sign)
        for product, state, delta in asked["moves"]:
            hall.units[state, product] += sign * delta
        for voucher, delta, _, amount, _ in asked["uses"]:
            hall.uses["r", voucher] += sign * delta
            hall.uses["y", voucher] += sign * amount

    all_of_it(1)
    return lambda: all_of_it(-1)


def _refusal(hall, consumed, asked, more, now):
    lacking, overspent = [], []
    for voucher, delta, most, amount, budget in asked["uses"]:
        beyond = hall.uses["r", voucher] + hall.uses["t", voucher] - most
        if delta > 0 and beyond > 0:
            lacking += [int(voucher), min(beyond, delta)]
        if amount > 0 and budget is not None and hall.uses["y", voucher] > budget:
            overspent.append(int(voucher))
    if lacking:
        return [b"again"] if more else [b"used_up", *lacking]
    if overspent:
        return [b"overspent", *overspent]
    if asked["seats"] and not hall.seats_live:
        return [b"unknown_seats"]
    given = {f"h{hold.id}" for hold in consumed}
    taken = []
    for name, before, after, voucher in asked["seats"]:
        if after != "0":
            owner, mark = hall.seats.get(name, ("", ""))
            open_to_all = (owner == "free" or owner in given) and hall.opens(mark, voucher, now)
            if not open_to_all and owner != f"o{before}":
                taken.append(name.encode())
    short = [] if asked["mode"] == "force" else _entries_short(hall, asked["needs"])
    if more and (short or taken):
        return [b"again"]
    if taken:
        return [b"seats_taken", *taken]
    return [b"sold_out", *short] if short else None


def _entries_short(hall, needs):
    extra, short = {}, []
    for product in needs:
        for number, _ in hall.covering(product):
            extra[number] = extra.get(number, 0) - 1
    for index, product in enumerate(needs):
        covering = hall.covering(product)
        full = next((n for n, quota in covering if not hall.room(quota, 1, extra[n])), None if covering else 0)
        if full is not None:
            short += [index, full]
        else:
            for number, _ in covering:
                extra[number] += 1
    return short


def _committed(memory, keys, args, known):
    number, hall, code, consumed, asked = known
    order, follows, document = asked["order"], asked["follows"], asked["document"]
    before = hall.orders[order].version if order in hall.orders else 0
    require(before == follows, f"order {order} is at {before}, and {follows + 1} was accepted")
    for hold in consumed:
        _forget(memory, number, hall, hold)
    for name, old, new, _ in asked["seats"]:
        owner, mark = hall.seats.get(name, ("", ""))
        if new != "0":
            hall.seats[name] = (f"o{new}", mark)
        elif owner == f"o{old}":
            hall.seats[name] = ("free", mark)
    version = follows + 1 if document else -1
    hall.hot[code] = version
    if document:
        _check_document(document, order, version)
        hall.orders[order] = accepted(document)
    else:
        hall.orders.pop(order, None)
    split_order, split_document = asked["split"]
    if split_order:
        _check_document(split_document, int(split_order), 1)
        hall.orders[int(split_order)] = accepted(split_document)
        hall.hot[text(keys[8]).rpartition(":")[2]] = 1
    _close(hall, asked)
    shard = memory.shard(number)
    if len(keys) > COMMIT_KEYS:
        # the entry's id is added once Redis has told it
        _keep(memory, keys, COMMIT_KEYS, args, ["?", shard.epoch, order, version])
    return [b"ok", None, shard.epoch]


def _check_document(document, order, version):
    made = decode(document)
    require((made.id, made.version) == (order, version), f"order {order} {version} is written as {made.id} {made.version}")
    parts = sum(p.price for p in made.positions if not p.canceled) + sum(f.value for f in made.fees if not f.canceled)
    require(parts == made.total, f"order {order} is over {made.total}, its parts over {parts}")


def _close(hall, asked):
    """Note what is beyond a quota's size on purpose now, and close what closes when sold out."""
    mode = asked["mode"]
    touched = [product for product, _, _ in asked["moves"]]
    for voucher, delta, *_ in asked["uses"]:
        if delta < 0 and voucher in hall.reserves:
            touched.append(hall.reserves[voucher].product)
            mode = "admit" if mode == "commit" else mode
    for product in touched:
        for _, quota in hall.covering(product):
            if quota.size >= 0 and mode in ("force", "admit"):
                quota.allowance = max(quota.allowance, hall.used(quota) - quota.size)
            if quota.closes and quota.size >= 0 and hall.committed(quota) >= quota.size:
                quota.closed = True


def order_read(memory, keys, args, now):
    _, hall = hall_of(memory, keys[0])
    if hall.version is None:
        return [b"unknown_event"]
    code = text(keys[1]).rpartition(":")[2]
    if code not in hall.hot:
        return [b"not_found"]
    return [b"ok", None]  # the document is looked at where it is committed


# --------------------------------------------------------------------------------------------------------- catalogue


def _vouchers_apply(memory, number, hall, words, now):
    hall.reserves = {}
    for key in [key for key in hall.units if key[0] == "w"]:
        del hall.units[key]
    for _ in range(int(next(words))):
        voucher, most, till, product = (next(words) for _ in range(4))
        if not till or int(till) >= now:
            hall.reserves[voucher] = Reserve(int(most), int(till) if till else None, product)
            if till:
                Shard.put(memory.shard(number).due, int(till), f"{hall.id}:v{voucher}".encode())
    for _ in range(int(next(words))):
        product, count = next(words), next(words)
        hall.units["w", product] = int(count)


def _quotas_apply(hall, words, *, allow):
    before, hall.quotas = hall.quotas, {}
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


def event_publish(memory, keys, args, now):
    number, hall = hall_of(memory, keys[0])
    words = iter(text(arg) for arg in args)
    version, new, _ = (int(next(words)) for _ in range(3))
    if memory.shard(number).epoch is None:
        return [b"unverified", 0]
    if hall.version is None and not new:
        return [b"unknown_event", 0]
    if hall.version is not None and hall.version >= version:
        return [b"older", hall.version]
    _vouchers_apply(memory, number, hall, words, now)
    _quotas_apply(hall, words, allow=True)
    hall.version = version
    return [b"ok", version]


def event_version(memory, keys, args, now):
    _, hall = hall_of(memory, keys[0])
    return [b"unknown_event"] if hall.version is None else [b"ok", hall.version]


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
        counts = (held - taken, pending, paid, blocked + taken, waiting, exited)
        answer += [quota.size, int(quota.closed), *counts, hall.used(quota)]
        at += 2 + count
    return answer


def voucher_read(memory, keys, args, now):
    _, hall = hall_of(memory, keys[0])
    if hall.version is None:
        return [b"unknown_event"]
    return [b"ok", *(hall.uses[state, text(voucher)] for voucher in args[1:] for state in "rty")]


# ------------------------------------------------------------------------------------------------- replies and fence


def reply_claim(memory, keys, args, now):
    one = memory.replies.get(text(keys[0]), {})
    if one and one["request"] != args[1]:
        return [b"other_request"]
    if "owner" in one:
        return [b"running"]
    if one:
        return [b"replay", one["reply"], one["decided"]]
    memory.replies[text(keys[0])] = {"request": args[1], "owner": text(args[0])}
    return [b"claimed"]


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
    memory.shard(number).epoch = int(text(args[0]))
    return [b"ok"]


def shard_state(memory, keys, args, now):
    number, _, _ = parse_key(keys[0])
    epoch = memory.shard(number).epoch
    return [b"ok", -1 if epoch is None else epoch, None]


def event_rebuild(memory, keys, args, now, stored):
    """Take the truth from `stored`, the documents that Postgres has by id, and from the holds that are left."""
    number, hall = hall_of(memory, keys[0])
    words = iter(text(arg) for arg in args)
    hall.version, _ = int(next(words)), next(words)
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
    return [b"ok"]


ANSWERS = {
    function.__name__: function
    for function in (
        hold_create,
        hold_release,
        hold_read,
        hold_page,
        shard_sweep,
        order_commit,
        order_read,
        event_publish,
        event_version,
        seats_publish,
        seats_read,
        quota_read,
        voucher_read,
        reply_claim,
        reply_store,
        shard_open,
        shard_state,
    )
}
