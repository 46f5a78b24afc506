-- Makes the next versions of orders true: of each order all of it, or nothing.
--
-- KEYS   1 event, 2 outbox, 3 shard, 4 holds, 5 carts, 6 due; then for each order: the order, its split (a new order that
--        takes over positions), its reply; what there is not is the order itself again
-- ARGV   1 event id
--        2 catalogue version that the requests were judged by, or empty if it does not matter
--        3 how long expired holds stay listed, ms
--        4 number of orders; then for each:
--            version of the order that this one follows; 0 for a new order
--            order id
--            document of the new version; empty deletes the order
--            mode: commit | admit (some need no room) | force (nothing needs room) | simulate (check only)
--            id and document of the order that is split off, both empty if there is none
--            owner of the claim of an idempotency key, or empty; reply; how long to keep it in ms
--            number of carts to consume, of moves, of entries that need room, of vouchers, of seats that change hands
--            the carts, percent-encoded
--            the moves, each: product, state n|p|x, delta
--            the entries that need room, in the order of positions: product
--            the vouchers, each: id, by how much its uses change, max usages, by how much what it takes off prices changes,
--            the most that it may take off or empty (both in hundredths)
--            the seats, each: field (include/seats.lua), id of the order that has had it or 0, id of the order that has it
--            now or 0, voucher that comes with it or 0
-- STATUS unverified       the shard has no epoch: nobody has verified this server; the fence's alarm
--        unknown_event    no such event here: the fence's alarm
--        stale_catalogue  the catalogue is at another version
--        not_owner        the idempotency key is no longer claimed by this request
--        conflict         the order is at another version
--        again            more holds were due than one call releases; call again (nothing was done)
--        used_up          then pairs: id of a voucher, how many uses it lacks
--        overspent        then the ids of vouchers that would take off too much
--        unknown_seats    the event ought to have seats here and has none: the fence's alarm
--        seats_taken      then the fields of the seats that somebody else has, or that are blocked; force is no help
--        sold_out         then pairs: index of the entry from 0, id of the first quota without room
--        unknown_outbox   the shard has no outbox: the fence's alarm
--        ok
-- RETURNS ok, epoch, then for each order a list: one of the statuses from not_owner on; ok is followed by the id of the
--        outbox entry, which is empty for a simulation
-- WRITES event, seats, orders, splits, outbox, shard, holds, carts, due, purge; replies: decided is entry, epoch, order id, version
-- COST   O(positions × quotas of a product + holds consumed); at most 8 (72 when more are due) releases
--#include now_ms
--#include outbox
--#include units
--#include vouchers
--#include seats
--#include hold
--#include reap
--#include reply

local event_key, outbox_key, shard_key = KEYS[1], KEYS[2], KEYS[3]
local holds_key, carts_key, due_key = KEYS[4], KEYS[5], KEYS[6]
local event, version, listed_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()

local epoch
epoch, outbox_last = unpack(redis.call('HMGET', shard_key, 'epoch', 'last'))
if not epoch then return {'unverified'} end

-- The arguments of all orders, and what is read of the event for all of them at once.
local orders, at = {}, 5
local units = units_open(event_key)
quota_kinds = {'u', 'l', 'c', 's', 'f', 'a'}
local counted, seen = {'v'}, {}
for i = 1, tonumber(ARGV[4]) do
  local order = {
    key = KEYS[3 * i + 4], split_key = KEYS[3 * i + 5], reply_key = KEYS[3 * i + 6],
    follows = ARGV[at], id = ARGV[at + 1], document = ARGV[at + 2], mode = ARGV[at + 3],
    split_id = ARGV[at + 4], split_document = ARGV[at + 5],
    owner = ARGV[at + 6], reply = ARGV[at + 7], keep_ms = ARGV[at + 8],
    carts_at = at + 14,
  }
  order.moves_at = order.carts_at + ARGV[at + 9]
  order.needs_at = order.moves_at + 3 * ARGV[at + 10]
  order.vouchers_at = order.needs_at + ARGV[at + 11]
  order.seats_at = order.vouchers_at + 5 * ARGV[at + 12]
  order.ends_at = order.seats_at + 4 * ARGV[at + 13]
  for move = order.moves_at, order.needs_at - 1, 3 do
    local product = ARGV[move]
    for _, field in ipairs({'q' .. product, 'h' .. product, ARGV[move + 1] .. product}) do
      if not seen[field] then
        seen[field] = true
        counted[#counted + 1] = field
      end
    end
  end
  orders[i], at = order, order.ends_at
end
units_load(units, counted)
if not units.value.v then return {'unknown_event'} end
if version and units.value.v ~= version then return {'stale_catalogue', tostring(units.value.v)} end

local more_due = reap(due_key, now, 8, listed_ms) and reap(due_key, now, 64, listed_ms)
units_write() -- what was released stays released, whatever becomes of the orders

-- Looks whether the order may be changed; returns why not, if so, and the version that it has, if any.
local function find(order)
  if order.owner ~= '' and not reply_ours(order.reply_key, order.owner) then return {'not_owner'} end
  local stored = redis.call('HGET', order.key, 'v')
  -- a deleted order leaves its grave for those who read it before; its code may be used again at once
  if stored and stored ~= order.follows and not (stored == '-1' and order.follows == '0') then return {'conflict'} end
  return nil, stored
end

local left = {} -- holds that orders of this call have taken over, listed and by id: they are still in the sorted sets

-- The holds in the carts of an order, listed and by id.
local function consume(order)
  local consumed = {}
  for i = order.carts_at, order.moves_at - 1 do
    local members = redis.call('ZRANGEBYLEX', carts_key, '[' .. ARGV[i] .. ' ', '(' .. ARGV[i] .. '!')
    for _, member in ipairs(members) do
      local hold = hold_find(holds_key, cart_hold(member))
      local live = hold and hold.state == 'H' and tonumber(hold.deadline) >= now
      if live and not consumed[hold.id] and not left[hold.id] then
        consumed[hold.id] = hold
        consumed[#consumed + 1] = hold
      end
    end
  end
  return consumed
end

-- Looks whether vouchers are used too often now, or take off too much; returns what is wrong with that, if anything.
local function find_vouchers(order)
  local lacking, overspent = {}, {}
  for i = order.vouchers_at, order.seats_at - 1, 5 do
    local voucher, delta = ARGV[i], tonumber(ARGV[i + 1])
    local beyond = units_get(units, 'r' .. voucher) + units_get(units, 't' .. voucher) - tonumber(ARGV[i + 2])
    if delta > 0 and beyond > 0 then
      lacking[#lacking + 1] = tonumber(voucher)
      lacking[#lacking + 1] = math.min(beyond, delta)
    end
    local amount, budget = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
    if amount > 0 and budget and units_get(units, 'y' .. voucher) > budget then
      overspent[#overspent + 1] = tonumber(voucher)
    end
  end
  if #lacking > 0 then
    if more_due then return {'again'} end
    return {'used_up', unpack(lacking)}
  end
  if #overspent > 0 then return {'overspent', unpack(overspent)} end
end

-- Looks whether the seats can change hands; returns what is wrong with that, if anything, and the marks of the seats.
local function find_seats(order, seats, consumed)
  local taken, marks = {}, {}
  if order.seats_at < order.ends_at and redis.call('HEXISTS', seats, 'v') == 0 then return {'unknown_seats'} end
  for i = order.seats_at, order.ends_at - 1, 4 do
    local field, from, to = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if to ~= '0' then
      local has, mark = seat_parts(redis.call('HGET', seats, field) or '')
      marks[field] = mark
      local credited = has and string.sub(has, 1, 1) == 'h' and consumed[string.sub(has, 2)]
      local open = (has == 'free' or credited) and seat_opens(units, mark, ARGV[i + 3], now)
      -- an order that has a seat may pass it on, even one that was blocked since
      if not open and not (has and has == 'o' .. from) then taken[#taken + 1] = field end
    end
  end
  if #taken > 0 then
    if more_due then return {'again'} end
    return {'seats_taken', unpack(taken)}
  end
  return nil, marks
end

-- Is there room for what an order has got in memory?
local function has_room(order)
  for i = order.needs_at, order.vouchers_at - 1 do
    local quotas = units_quotas(units, ARGV[i])
    if #quotas == 0 then return false end
    for q = 1, #quotas do
      if not units_room(units, quotas[q], 0) then return false end
    end
  end
  return true
end

local function add_used(quotas, delta)
  for _, quota in ipairs(quotas) do units_add(units, quota.u, delta) end
end

-- Names the entries that have no room, and the first quota of each that lacks it: takes all out again in memory, and
-- deals one after the other.
local function find_short(order)
  if more_due then return {'again'} end
  local short = {}
  for i = order.needs_at, order.vouchers_at - 1 do add_used(units_quotas(units, ARGV[i]), -1) end
  for i = order.needs_at, order.vouchers_at - 1 do
    local quotas, lacking = units_quotas(units, ARGV[i]), nil
    if #quotas == 0 then lacking = '0' end
    for _, quota in ipairs(quotas) do
      if not lacking and not units_room(units, quota, 1) then lacking = quota.id end
    end
    if lacking then
      short[#short + 1] = i - order.needs_at
      short[#short + 1] = tonumber(lacking)
    else
      add_used(quotas, 1)
    end
  end
  for i = 1, #short, 2 do add_used(units_quotas(units, ARGV[order.needs_at + short[i]]), 1) end
  return {'sold_out', unpack(short)}
end

-- Ends the holds whose units the order has now.
local function leave_carts(consumed)
  for _, hold in ipairs(consumed) do
    hold_leave(due_key, event, hold)
    left[hold.id] = true
    left[#left + 1] = hold
  end
end

-- Takes out the holds that have ended, of all orders at once.
local function remove_left()
  for first = 1, #left, 4000 do
    local members, places, deadlines = {}, {}, {}
    for i = first, math.min(first + 3999, #left) do
      local hold = left[i]
      members[#members + 1] = hold_pack(hold)
      places[#places + 1] = cart_member(hold.cart, hold.id)
      deadlines[#deadlines + 1] = event .. ':' .. hold.id
    end
    redis.call('ZREM', holds_key, unpack(members))
    redis.call('ZREM', carts_key, unpack(places))
    redis.call('ZREM', due_key, unpack(deadlines))
  end
end

local function pass_seats(order, seats, marks)
  for i = order.seats_at, order.ends_at - 1, 4 do
    local field, to = ARGV[i], ARGV[i + 2]
    if to == '0' then
      seat_free(seats, field, 'o' .. ARGV[i + 1])
    else
      redis.call('HSET', seats, field, 'o' .. to .. marks[field])
    end
  end
end

-- The version that comes next, as text.
local function successor(order)
  return order.document == '' and '-1' or string.format('%.0f', order.follows + 1)
end

-- Lets Postgres know of the new version; returns the id of its outbox entry, false if somebody has deleted the outbox.
local function tell(order)
  local kind = order.document == '' and 'order_deleted' or 'order'
  if order.split_id == '' and order.owner == '' then
    return outbox_add(outbox_key, 'kind', kind, 'id', order.id, 'v', successor(order),
      'd', order.document, 'key', order.key)
  end
  -- in the same entry, so that Postgres gets both orders or neither, and the reply with them
  local more = {}
  if order.split_id ~= '' then
    more = {'split_id', order.split_id, 'split_d', order.split_document, 'split_key', order.split_key}
  end
  if order.owner ~= '' then
    for _, word in ipairs({'reply', order.reply, 'reply_key', order.reply_key,
      'reply_request', redis.call('HGET', order.reply_key, 'request')}) do more[#more + 1] = word end
  end
  return outbox_add(outbox_key, 'kind', kind, 'id', order.id, 'v', successor(order),
    'd', order.document, 'key', order.key, unpack(more))
end

-- Makes the new version known.
local function write(order, stored, entry)
  redis.call('HSET', order.key, 'v', successor(order), 'd', order.document)
  if stored then redis.call('PERSIST', order.key) end
  if order.split_id ~= '' then redis.call('HSET', order.split_key, 'v', '1', 'd', order.split_document) end
  if order.owner ~= '' then
    reply_keep(order.reply_key, order.reply, {entry, epoch, order.id, successor(order)}, order.keep_ms)
  end
end

-- Records what somebody has allowed beyond a quota's size, and closes quotas that are sold out and shall be.
local function settle_quotas(order)
  local mode, touched = order.mode, {}
  for i = order.moves_at, order.needs_at - 1, 3 do touched[#touched + 1] = ARGV[i] end
  for i = order.vouchers_at, order.seats_at - 1, 5 do
    local reserve = vouchers_reserve(units, ARGV[i])
    if reserve and tonumber(ARGV[i + 1]) < 0 then
      -- what an order gives up that had expired before is kept free again, sold or not
      touched[#touched + 1] = reserve.product
      if mode == 'commit' then mode = 'admit' end
    end
  end
  for _, product in ipairs(touched) do
    for _, quota in ipairs(units_quotas(units, product)) do
      local size = units_get(units, quota.s)
      if size >= 0 then
        local beyond = units_get(units, quota.u) - size
        if beyond > 0 and mode ~= 'commit' and beyond > units_get(units, quota.a) then
          units_set(units, quota.a, beyond)
          outbox_add(outbox_key, 'kind', 'quota_allowance', 'id', quota.id, 'v', beyond)
        end
        if units_get(units, quota.f) == 1 and units_get(units, quota.l) ~= -2
          and units_get(units, quota.c) >= size then
          units_set(units, quota.l, -2)
          outbox_add(outbox_key, 'kind', 'quota_closed', 'id', quota.id, 'v', units_get(units, 'k' .. quota.id))
        end
      end
    end
  end
end

-- Changes in memory what an order changes of units and of uses of vouchers, or undoes that (sign -1).
local function move(order, consumed, sign)
  for _, hold in ipairs(consumed) do hold_move(units, hold, -sign) end
  for i = order.moves_at, order.needs_at - 1, 3 do units_move(units, ARGV[i], ARGV[i + 1], sign * ARGV[i + 2]) end
  for i = order.vouchers_at, order.seats_at - 1, 5 do
    vouchers_move(units, ARGV[i], 'r', sign * ARGV[i + 1])
    if ARGV[i + 3] ~= '0' then units_add(units, 'y' .. ARGV[i], sign * ARGV[i + 3]) end
  end
end

-- Makes one order true, or says why not.
local function commit(order)
  local seats, refusal, stored, marks = seats_key(due_key, event), nil, nil, nil
  refusal, stored = find(order)
  if refusal then return refusal end
  local consumed = consume(order)
  move(order, consumed, 1)
  refusal = find_vouchers(order)
  if not refusal then refusal, marks = find_seats(order, seats, consumed) end
  if not refusal and order.mode ~= 'force' and not has_room(order) then refusal = find_short(order) end
  if not refusal and order.mode == 'simulate' then refusal = {'ok', ''} end
  if refusal then
    move(order, consumed, -1)
    return refusal
  end
  -- what was allowed goes out before the order that needs it: whoever has the order has been told why it may be there
  settle_quotas(order)
  local entry = tell(order)
  if not entry then return {'unknown_outbox'} end
  leave_carts(consumed)
  pass_seats(order, seats, marks)
  write(order, stored, entry)
  return {'ok', entry}
end

local answer = {'ok', tonumber(epoch)}
for i, order in ipairs(orders) do
  answer[i + 2] = commit(order)
  -- then none of them has changed anything but these counts
  if answer[i + 2][1] == 'unknown_outbox' then return answer[i + 2] end
end
units_write()
remove_left()
return answer
