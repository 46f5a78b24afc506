"""What scripts about orders ought to answer, and what they ought to leave behind. One function a script."""

from __future__ import annotations

from msgspec.msgpack import decode as unpackb

from engine.domain.order import decode
from tests.simulator.arguments import Like, forget, hall_of, parse_key, text
from tests.simulator.model import Chosen, accepted, require

ORDER_WORDS = 5
"""What is said of each order."""


def order_commit(memory, keys, args, now):
    number, hall = hall_of(memory, keys[0])
    shard = memory.shard(number)
    if shard.epoch is None:
        return [b"unverified"]
    if hall.version is None:
        return [b"unknown_event"]
    version, listed_ms, kinds, *words = unpackb(args[1])
    if version is not False and version != hall.version:
        return [b"stale_catalogue", str(hall.version).encode()]
    queue = Chosen(memory, number)
    more = queue.reap(now, 8, listed_ms) and queue.reap(now, 64, listed_ms)
    count, words = len(words) // ORDER_WORDS, iter(words)
    more_keys = iter(keys[6 + count :])
    answers = []
    for place, (key, document) in enumerate(zip(keys[6 : 6 + count], args[2:], strict=True)):
        asked = _asked(kinds, words, key, more_keys, document) | {"place": place}
        answers.append(_commit(memory, number, asked, more, now))
        if answers[-1] == [b"unknown_outbox"]:
            return answers[-1]
    return [b"ok", shard.epoch, *answers]


def _asked(kinds, words, key, more_keys, document):
    """Return what an order wants, by name."""

    def rows(words, width):
        return list(zip(*[iter(words)] * width, strict=True))

    asked = {"event": int(parse_key(text(key))[2].partition(":")[0]), "code": text(key).rpartition(":")[2]}
    mode, count, *rest = kinds[next(words) - 1]
    asked |= {"mode": mode, "moves": rows(rest[: 3 * count], 3), "needs": rest[3 * count :]}
    asked |= {"follows": int(next(words)), "version": int(next(words))}
    asked |= {"document": document, "split": ("", b""), "owner": ""}
    cart, more = next(words), next(words) or {}
    asked["order"] = int(more["id"]) if "id" in more else decode(asked["document"]).id
    asked["carts"] = [cart, *more.get("carts", ())] if cart else []
    if "split" in more:
        asked["split_code"] = text(next(more_keys)).rpartition(":")[2]
        asked["split"] = (more["split"][0], more["split"][1].encode())
    if "reply" in more:
        asked["key"] = text(next(more_keys))
        asked |= {"owner": more["reply"][0], "reply": more["reply"][1].encode()}
    asked["uses"] = [(*use, None if budget is False else budget) for *use, budget in rows(more.get("vouchers", ()), 5)]
    asked["seats"] = rows(more.get("seats", ()), 4)
    return asked


def _commit(memory, number, asked, more, now):
    hall = memory.hall(asked["event"])
    if asked["owner"] and memory.replies.get(asked["key"], {}).get("owner") != asked["owner"]:
        return [b"not_owner"]
    stored = hall.hot[asked["code"]][0] if asked["code"] in hall.hot else None
    if stored is not None and stored != asked["follows"] and not (stored == -1 and asked["follows"] == 0):
        return [b"conflict"]
    consumed = {
        n: hall.holds[n]
        for cart in asked["carts"]
        for n in sorted(hall.holds)
        if hall.holds[n].cart == cart and hall.holds[n].live and hall.holds[n].deadline >= now
    }
    undo = _move(hall, consumed.values(), asked)
    refusal = _refusal(hall, consumed.values(), asked, more, now)
    if refusal or asked["mode"] == "simulate":
        undo()
        return refusal or b""
    if not memory.shard(number).outbox:
        undo()
        return [b"unknown_outbox"]
    _committed(memory, number, hall, consumed.values(), asked)
    return Like(r"\d+-\d+")


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


def _committed(memory, number, hall, consumed, asked):
    order, follows, document = asked["order"], asked["follows"], asked["document"]
    before = hall.orders[order].version if order in hall.orders else 0
    require(before == follows, f"order {order} is at {before}, and {follows + 1} was accepted")
    for hold in consumed:
        forget(memory, number, hall, hold)
    for name, old, new, _ in asked["seats"]:
        owner, mark = hall.seats.get(name, ("", ""))
        if new != "0":
            hall.seats[name] = (f"o{new}", mark)
        elif owner == f"o{old}":
            hall.seats[name] = ("free", mark)
    version = follows + 1 if document else -1
    require(asked["version"] == version, f"order {order} after {follows} becomes {asked['version']}")
    hall.hot[asked["code"]] = (version, document)
    if document:
        _check_document(document, order, version)
        hall.orders[order] = accepted(document)
    else:
        hall.orders.pop(order, None)
        memory.deleted.add(order)
    split_order, split_document = asked["split"]
    if split_order:
        _check_document(split_document, int(split_order), 1)
        hall.orders[int(split_order)] = accepted(split_document)
        hall.hot[asked["split_code"]] = (1, split_document)
    _close(hall, asked)
    if asked["owner"]:
        one = memory.replies[asked["key"]]
        del one["owner"]
        # in place of where it was in the call, complete_reply puts the entry that Redis has told
        decided = f"?{asked['place']} {memory.shard(number).epoch} {order} {version}".encode()
        one |= {"reply": asked["reply"], "decided": decided}


def complete_reply(memory, key, answers):
    """Put the outbox entry of the order into a reply that may have been kept with it just now."""
    place, _, rest = memory.replies.get(key, {}).get("decided", b"").partition(b" ")
    if place.startswith(b"?"):
        memory.replies[key]["decided"] = answers[int(place[1:])] + b" " + rest


def _check_document(document, order, version):
    made = decode(document)
    require(
        (made.id, made.version) == (order, version), f"order {order} {version} is written as {made.id} {made.version}"
    )
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
    codes = [text(key).rpartition(":")[2] for key in keys[1:]]
    return [b"ok", *(hall.hot[code][1] if code in hall.hot else None for code in codes)]
