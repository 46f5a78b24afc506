-- Makes the next version of an order true: all of it, or nothing.
--
-- KEYS   1 event, 2 order, 3 outbox, 4 shard, 5 holds, 6 carts, 7 due, 8 purge,
--        9 split (a new order that takes over positions; the order itself if there is none),
--        10 reply (only for a request with an idempotency key)
-- ARGV   1 event id
--        2 catalogue version that the request was judged by, or empty if it does not matter
--        3 version of the order that this one follows; 0 for a new order
--        4 order id
--        5 document of the new version; empty deletes the order
--        6 mode: commit | admit (some need no room) | force (nothing needs room) | simulate (check only)
--        7 how long expired holds stay listed, ms
--        8 number of carts to consume; then the carts, percent-encoded
--        then number of moves; then for each: product, state n|p, delta
--        then number of entries that need room; then for each: product (in the order of positions)
--        then id and document of the order that is split off, both empty if there is none
--        then number of vouchers; then for each: id, by how much its uses change, max usages, by how much what it takes off
--        prices changes, the most that it may take off or empty (both in hundredths)
--        then number of seats that change hands; then for each: field (include/seats.lua), id of the order that has had it
--        or 0, id of the order that has it now or 0, voucher that comes with it or 0
--        then, with a reply key: owner of the claim, reply, how long to keep it in ms
-- STATUS unverified       the shard has no epoch: nobody has verified this server; the fence's alarm
--        unknown_event    no such event here: the fence's alarm
--        not_owner        the idempotency key is no longer claimed by this request
--        stale_catalogue  the catalogue is at another version
--        conflict         the order is at another version
--        again            more holds were due than one call releases; call again (nothing was done)
--        used_up          then pairs: id of a voucher, how many uses it lacks
--        overspent        then the ids of vouchers that would take off too much
--        unknown_seats    the event ought to have seats here and has none: the fence's alarm
--        seats_taken      then the fields of the seats that somebody else has, or that are blocked; force is no help
--        sold_out         then pairs: index of the entry from 0, id of the first quota without room
--        ok
-- RETURNS ok, id of the outbox entry, epoch
-- WRITES event, seats, order, split, outbox, holds, carts, due, purge; reply: decided is entry, epoch, order id, version
-- COST   O(positions × quotas of a product + holds consumed); at most 8 (64 when sold out) releases
--#include now_ms
--#include units
--#include vouchers
--#include seats
--#include hold
--#include reap
--#include reply

local event_key, order_key, outbox_key, shard_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local holds_key, carts_key, due_key, purge_key = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local split_key, reply_key = KEYS[9], KEYS[10]
local event, version, follows, order_id, document, mode = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local listed_ms, cart_count = tonumber(ARGV[7]), tonumber(ARGV[8])
local moves_at = 9 + cart_count
local move_count = tonumber(ARGV[moves_at])
local needs_at = moves_at + 1 + 3 * move_count
local need_count = tonumber(ARGV[needs_at])
local split_id, split_document = ARGV[needs_at + need_count + 1], ARGV[needs_at + need_count + 2]
local vouchers_at = needs_at + need_count + 3
local voucher_count = tonumber(ARGV[vouchers_at])
local seats_at = vouchers_at + 1 + 5 * voucher_count
local seat_count = tonumber(ARGV[seats_at])
local owner, reply, keep_ms = ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV] -- with a reply key only
local now = now_ms()

local epoch = redis.call('HGET', shard_key, 'epoch')
if not epoch then return {'unverified'} end
local units = units_open(event_key)
quota_kinds = {'u', 'l', 'c', 's', 'f', 'a'}
local counted = {'v'}
for at = moves_at + 1, needs_at - 1, 3 do
  counted[#counted + 1] = 'q' .. ARGV[at]
  counted[#counted + 1] = ARGV[at + 1] .. ARGV[at]
end
units_load(units, counted)
if not units.value.v then return {'unknown_event'} end
if not reply_ours(reply_key, owner) then return {'not_owner'} end
if version ~= '' and units.value.v ~= version then return {'stale_catalogue', units.value.v} end
local stored = redis.call('HGET', order_key, 'v')
-- a deleted order leaves its grave for those who read it before; its code may be used again at once
if stored and stored ~= follows and not (stored == '-1' and follows == '0') then return {'conflict'} end

local more_due = reap(due_key, now, 8, listed_ms)
if more_due and need_count + voucher_count + seat_count > 0 then more_due = reap(due_key, now, 64, listed_ms) end
units_write() -- what was released stays released, whatever becomes of this order

local consumed = {}
for i = 9, 8 + cart_count do
  local members = redis.call('ZRANGEBYLEX', carts_key, '[' .. ARGV[i] .. ' ', '(' .. ARGV[i] .. '!')
  for _, member in ipairs(members) do
    local hold = hold_find(holds_key, tonumber(string.match(member, '(%d+)$')))
    if hold and hold.state == 'H' and tonumber(hold.deadline) >= now and not consumed[hold.id] then
      consumed[hold.id] = hold
      consumed[#consumed + 1] = hold
      hold_end(units, hold)
    end
  end
end

for i = 0, move_count - 1 do
  local at = moves_at + 1 + 3 * i
  units_move(units, ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]))
end

local lacking_uses, overspent = {}, {}
for at = vouchers_at + 1, vouchers_at + 5 * voucher_count, 5 do
  local voucher, delta = ARGV[at], tonumber(ARGV[at + 1])
  local beyond = units_get(units, 'r' .. voucher) + units_get(units, 't' .. voucher) + delta - tonumber(ARGV[at + 2])
  if delta > 0 and beyond > 0 then
    lacking_uses[#lacking_uses + 1] = tonumber(voucher)
    lacking_uses[#lacking_uses + 1] = math.min(beyond, delta)
  end
  vouchers_move(units, voucher, 'r', delta)
  local amount, budget = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  if amount ~= 0 then units_add(units, 'y' .. voucher, amount) end
  if amount > 0 and budget and units_get(units, 'y' .. voucher) > budget then
    overspent[#overspent + 1] = tonumber(voucher)
  end
end
if #lacking_uses > 0 then
  if more_due then return {'again'} end
  local answer = {'used_up'}
  for _, value in ipairs(lacking_uses) do answer[#answer + 1] = value end
  return answer
end

if #overspent > 0 then
  local answer = {'overspent'}
  for _, value in ipairs(overspent) do answer[#answer + 1] = value end
  return answer
end

local seats, seat_values, taken = seats_key(due_key, event), {}, {}
if seat_count > 0 and redis.call('HEXISTS', seats, 'v') == 0 then return {'unknown_seats'} end
for at = seats_at + 1, seats_at + 4 * seat_count, 4 do
  local field, from, to = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local value = redis.call('HGET', seats, field)
  seat_values[field] = value
  if to ~= '0' then
    local has, mark = seat_parts(value or '')
    local credited = has and string.sub(has, 1, 1) == 'h' and consumed[string.sub(has, 2)]
    local open = (has == 'free' or credited) and seat_opens(units, mark, ARGV[at + 3], now)
    -- an order that has a seat may pass it on, even one that was blocked since
    if not open and not (has and has == 'o' .. from) then taken[#taken + 1] = field end
  end
end

-- The moves have been made in memory. Now every entry is taken out again and dealt one after the other, so that the
-- first one without room can be named.
local short = {}
if mode ~= 'force' then
  for i = 1, need_count do
    for _, quota in ipairs(units_quotas(units, ARGV[needs_at + i])) do units_add(units, 'u' .. quota, -1) end
  end
  for i = 1, need_count do
    local quotas, lacking = units_quotas(units, ARGV[needs_at + i]), nil
    if #quotas == 0 then lacking = '0' end
    for _, quota in ipairs(quotas) do
      if not lacking and not units_room(units, quota, 1) then lacking = quota end
    end
    if lacking then
      short[#short + 1] = i - 1
      short[#short + 1] = tonumber(lacking)
    else
      for _, quota in ipairs(quotas) do units_add(units, 'u' .. quota, 1) end
    end
  end
end
if more_due and #short + #taken > 0 then return {'again'} end
if #taken > 0 then
  local answer = {'seats_taken'}
  for _, field in ipairs(taken) do answer[#answer + 1] = field end
  return answer
end
if #short > 0 then
  local answer = {'sold_out'}
  for _, value in ipairs(short) do answer[#answer + 1] = value end
  return answer
end
if mode == 'simulate' then return {'ok', '', tonumber(epoch)} end

for _, hold in ipairs(consumed) do
  hold_leave(due_key, event, hold)
  redis.call('ZREMRANGEBYSCORE', holds_key, hold.id, hold.id)
  redis.call('ZREM', carts_key, cart_member(hold.cart, hold.id))
  redis.call('ZREM', due_key, event .. ':' .. hold.id)
  redis.call('ZREM', purge_key, event .. ':' .. hold.id)
end
for at = seats_at + 1, seats_at + 4 * seat_count, 4 do
  local field, to = ARGV[at], ARGV[at + 2]
  if to == '0' then
    seat_free(seats, field, 'o' .. ARGV[at + 1])
  else
    local _, mark = seat_parts(seat_values[field])
    redis.call('HSET', seats, field, 'o' .. to .. mark)
  end
end
local next_version = document == '' and '-1' or string.format('%.0f', tonumber(follows) + 1)
redis.call('HSET', order_key, 'v', next_version, 'd', document)
if stored then redis.call('PERSIST', order_key) end
local fields = {'kind', document == '' and 'order_deleted' or 'order', 'id', order_id, 'v', next_version, 'd', document,
  'key', order_key}
if split_id ~= '' then
  redis.call('HSET', split_key, 'v', '1', 'd', split_document)
  -- in the same entry, so that Postgres gets both orders or neither
  for _, field in ipairs({'split_id', split_id, 'split_d', split_document, 'split_key', split_key}) do
    fields[#fields + 1] = field
  end
end
local entry = redis.call('XADD', outbox_key, '*', unpack(fields))
reply_keep(reply_key, reply, {entry, epoch, order_id, next_version}, keep_ms)

local touched = {}
for at = moves_at + 1, needs_at - 1, 3 do touched[#touched + 1] = ARGV[at] end
for at = vouchers_at + 1, vouchers_at + 5 * voucher_count, 5 do
  local reserve = vouchers_reserve(units, ARGV[at])
  if reserve and tonumber(ARGV[at + 1]) < 0 then
    -- what an order gives up that had expired before is kept free again, sold or not
    touched[#touched + 1] = reserve.product
    if mode == 'commit' then mode = 'admit' end
  end
end
for _, product in ipairs(touched) do
  for _, quota in ipairs(units_quotas(units, product)) do
    local size = units_get(units, 's' .. quota)
    local beyond = units_get(units, 'u' .. quota) - size
    if (mode == 'force' or mode == 'admit') and size >= 0 and beyond > units_get(units, 'a' .. quota) then
      units_set(units, 'a' .. quota, beyond)
      redis.call('XADD', outbox_key, '*', 'kind', 'quota_allowance', 'id', quota, 'v', beyond)
    end
    if units_get(units, 'f' .. quota) == 1 and units_get(units, 'l' .. quota) ~= -2 and size >= 0
      and units_get(units, 'c' .. quota) >= size then
      units_set(units, 'l' .. quota, -2)
      redis.call('XADD', outbox_key, '*', 'kind', 'quota_closed', 'id', quota, 'v', units_get(units, 'k' .. quota))
    end
  end
end
units_write()
return {'ok', entry, tonumber(epoch)}
