-- Takes units, seats and uses of vouchers for groups of cart positions; each group gets all that it asks for or nothing.
--
-- KEYS   1 event  hash        the event's counters
--        2 holds  sorted set  the event's listed holds, by id
--        3 carts  sorted set  the event's carts
--        4 due    sorted set  the shard's taken holds, by deadline
--        5 reply  hash        only for a request with an idempotency key
-- ARGV   1 event id
--        2 all else, a MessagePack array:
--            catalogue version that the request was judged by
--            first id of a fresh block, or 0
--            last id of that block, or 0
--            how long expired holds stay listed, ms
--            kinds, what positions have in common, at most 1000, each an array:
--              product
--              ttl       ms
--              deadline  ms, or nil for now + ttl
--            the groups in order, one array for all. Groups of one position without seat and voucher, of one kind: its
--            place among the kinds, from 1; how many; for each its cart (percent-encoded) and payload. If nothing
--            differs, their number is negative, and cart and payload stand there once. Any other group: 0; number of
--            positions; for each:
--              kind, cart, payload
--              seat      percent-encoded guid, or empty
--              voucher   0, or its id, as text
--              uses      max usages of the voucher
--              skips     1 if the voucher asks for no room, else 0
--              parent    place in the group, from 1, of the position before it that it belongs to, or 0
--            whether there is any such group
--        then, with a reply key: owner of the claim, reply, how long to keep it in ms
-- STATUS unknown_event     no such event here: the fence's alarm
--        not_owner         the idempotency key is no longer claimed by this request
--        stale_catalogue   the catalogue is at another version
--        unknown_seats     the event ought to have seats here and has none: the fence's alarm
--        again             more holds were due than one call releases; call again (nothing was taken)
--        need_ids          the block of ids is used up; call again with a fresh one
--        ok
-- RETURNS ok, now in ms, how many ids of the block are left, id of the first position that is held: all others count on
--        from it, in order; then for each group that is not: its place, from 1, and what it cannot have (quota id,
--        voucher: and its id, or seat: and its field as in include/seats.lua)
-- WRITES event, seats, holds, carts, due, purge; of other events of the shard what expired; outbox and shard, what a
--        voucher that asks for no room has allowed; reply, if anything was held: decided is, in words, ok, now in ms, and
--        for each group: held, first id, deadline ms | short, what it cannot have, 0
-- COST   O(positions × quotas of a product), log n in the sorted sets; at most 8 (64 when short) releases
--#include now_ms
--#include units_load
--#include seat_names

local event_key, holds_key, carts_key, due_key, reply_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local event, asked = ARGV[1], cmsgpack.unpack(ARGV[2])
local version, block_first, block_last, listed_ms = asked[1], asked[2], asked[3], asked[4]
local kinds, groups = asked[5], asked[6]
local owner, reply, keep_ms = ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV] -- with a reply key only
local now = now_ms()
local units = {key = event_key, value = {}, was = {}, quota = {}, quotas = {}} -- as units_open of include/units.lua

-- Seats that are asked for: their key, their fields by place of the position in `groups`, their values by field, and for
-- each that is dealt the place of who gets it. Of a group, `at` is where its first position begins in `groups`, `last`
-- where the last one does; each takes eight places.
local seats, seat_fields, seat_values, seats_dealt

-- Reads all vouchers and seats that are asked for. Returns whether the event ought to have seats here and has none.
local function load_own()
  local fields, wanted, at, size = {}, {}, 1, #groups
  seats, seat_fields, seat_values, seats_dealt = seats_key(due_key, event), {}, {}, {}
  while at <= size do
    local is_other, count = groups[at] == 0, groups[at + 1]
    at = at + 2
    for i = at, is_other and at + 8 * (count - 1) or 0, 8 do
      local seat, voucher = groups[i + 3], groups[i + 4]
      if seat ~= '' then
        local kind = kinds[groups[i]]
        kind.seat = kind.seat or seat_field(kind.product, '') -- what stands before the guid
        local field = kind.seat .. seat
        seat_fields[i], wanted[#wanted + 1] = field, field
      end
      if voucher ~= '0' then
        local n = #fields
        fields[n + 1], fields[n + 2], fields[n + 3] = 'r' .. voucher, 't' .. voucher, 'g' .. voucher
      end
    end
    at = at + (is_other and 8 * count or math.max(2, 2 * count))
  end
  units_load(units, fields)
  for first = 1, #wanted, 4000 do
    local last = math.min(first + 3999, #wanted)
    local found = redis.call('HMGET', seats, 'v', unpack(wanted, first, last))
    if not found[1] then return true end
    for i = first, last do seat_values[wanted[i]] = found[i - first + 2] end
  end
  return false
end

-- Completes the kinds. Returns the fields that have to be read first.
local function read_kinds()
  local fields = {'v', 'id', 'id_last'}
  for i = 1, #kinds do
    local kind = kinds[i]
    local product, deadline = kind[1], kind[3] or now + kind[2]
    local late, n = deadline <= now, #fields
    kinds[i] = {product = product, held = 'h' .. product, deadline = deadline, late = late,
      -- what stands before the cart in a packed hold (include/hold.lua)
      head = string.format('|%s|%s|%d|%d|', late and 'E' or 'H', product, now, deadline)}
    fields[n + 1], fields[n + 2] = kinds[i].held, 'q' .. product
  end
  return fields
end

local first_fields = read_kinds()

-- Reads of each kind the ids of the quotas that cover its product, the fields of their counters, and their limits.
local function read_room()
  local value, fields, rooms = units.value, {}, {}
  for _, kind in ipairs(kinds) do
    local room = rooms[kind.product]
    if not room then
      room = {quotas = {}, used = {}, limits = {}}
      rooms[kind.product] = room
      for id in string.gmatch(value['q' .. kind.product] or '', '[1-9]%d*') do
        local n, used, limit = #room.quotas + 1, 'u' .. id, 'l' .. id
        room.quotas[n], room.used[n], room.limits[n] = id, used, limit
        fields[#fields + 1] = used
        fields[#fields + 1] = limit
      end
    end
    kind.room = room
  end
  units_load(units, fields)
  for _, room in pairs(rooms) do
    for n, limit in ipairs(room.limits) do room.limits[n] = value[limit] or 0 end
  end
end

local function add(field, delta)
  local before = units.value[field] or 0
  if units.was[field] == nil then units.was[field] = before end
  units.value[field] = before + delta
end

-- Takes, in memory, up to `count` units for positions of a plain kind. Returns for how many there is room, and the first
-- quota that has none for more: -1 is unlimited, -2 closed.
local function take(kind, count)
  local room, fit, lacks = kind.room, count, nil
  for n = 1, #room.used do
    local limit = room.limits[n]
    local left = limit == -1 and count or math.max(0, limit - (units.value[room.used[n]] or 0))
    if left < fit then fit, lacks = left, room.quotas[n] end
  end
  if kind.late then return fit > 0 and count or 0, lacks end -- what has expired already takes nothing
  if fit > 0 then
    for n = 1, #room.used do add(room.used[n], fit) end
    add(kind.held, fit)
  end
  return fit, lacks
end

-- What few calls need is made by the first step that does: Redis makes all functions of a script anew each time it runs,
-- and so many cost as much as some holds.
local made
local function rare()
  if made then return made end
--#include outbox
--#include outbox_add
--#include units
--#include vouchers
--#include seats
--#include hold
--#include reap
--#include reply
--#include hold_rare
  return made
end

-- Takes, in memory, all that a group asks for, or returns what it cannot have.
local function take_all(at, last, kind)
  local value, field, voucher = units.value, seat_fields[at], groups[at + 4]
  local is_used = voucher ~= '0'
  local skips, is_marked = groups[at + 6] == 1, field and seat_values[field] ~= 'free'
  if last > at or skips or is_marked or is_used and value['g' .. voucher] then
    return rare().take_all(at, last, kind.late)
  end
  -- one position, whose seat is nobody's and whose voucher keeps no room: what most are
  if field and seats_dealt[field] then return 'seat:' .. field end
  local taken = 't' .. voucher
  if is_used and (value['r' .. voucher] or 0) + (value[taken] or 0) >= groups[at + 5] then
    return 'voucher:' .. voucher
  end
  local _, lacks = take(kind, 1)
  if lacks or kind.late then return lacks end
  if field then seats_dealt[field] = at end
  if is_used then add(taken, 1) end
end

local digits = {[0] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'}
local next_id, holds, carts, due, purge -- the id of the next position, and what there is to write: see `list`
local ten, tens, gap, member -- the id that ends in 0 before it, and what stands before the last digit of an id

-- Lists positions of a kind under the next ids. The carts and payloads of all stand in `groups` from place `at` on, every
-- `step` places; in a packed hold `tail` stands between them. Of numbers only the last digit is written anew each time:
-- making a number text is what costs most.
local function list(kind, count, at, step, tail)
  local head, score, listed, id = kind.head, kind.deadline, due, next_id
  if kind.late then score, listed = now + listed_ms, purge end
  local n, m = #holds, #listed
  for _ = 1, count do
    local digit = id % 10
    if id - digit ~= ten then
      ten = id - digit
      tens = ten > 0 and string.format('%d', ten / 10) or ''
      gap = ' ' .. string.rep('0', 14 - #tens) .. tens -- 15 digits, as cart_member of include/hold.lua has them
      member = event .. ':' .. tens
    end
    digit = digits[digit]
    local cart = groups[at]
    holds[n + 1], holds[n + 2] = id, tens .. digit .. head .. cart .. tail .. groups[at + 1]
    carts[n + 1], carts[n + 2] = 0, cart .. gap .. digit
    listed[m + 1], listed[m + 2] = score, member .. digit
    n, m, id, at = n + 2, m + 2, id + 1, at + step
  end
  next_id = id
end

-- Deals all groups what they want, in memory, with ids from `id` on. Returns what is answered of those that lack
-- something, what is kept of all with a reply, what becomes of seats, and the groups that may be beyond a quota.
local function deal(id)
  local short, told, sat, allowed, place = {}, {'ok', now}, {}, {}, 0
  next_id, holds, carts, due, purge = id, {}, {}, {}, {}

  local function tell(lacks, first_id, deadline)
    place = place + 1
    if lacks then short[#short + 1], short[#short + 2] = place, lacks end
    if reply_key then
      local n = #told
      told[n + 1], told[n + 2], told[n + 3] = lacks and 'short' or 'held', lacks or first_id, lacks and 0 or deadline
    end
  end

  local at, size = 1, #groups
  while at <= size do
    local kind, count, first_id = kinds[groups[at]], groups[at + 1], next_id
    at = at + 2
    if kind then
      local step = count > 0 and 2 or 0
      count = math.abs(count)
      local fit, lacks = take(kind, count)
      if fit == count and not reply_key then
        place = place + count
      else
        for i = 1, count do tell(i > fit and lacks, first_id + i - 1, kind.deadline) end
      end
      list(kind, fit, at, step, '||0|0|')
      at = at + math.max(step * count, 2)
    else
      local last = at + 8 * (count - 1)
      kind = kinds[groups[at]]
      local lacks = take_all(at, last, kind)
      tell(lacks, first_id, kind.deadline)
      for i = at, lacks and 0 or last, 8 do
        local parent = groups[i + 7] == 0 and '0' or string.format('%d', first_id + groups[i + 7] - 1)
        list(kinds[groups[i]], 1, i + 1, 0, '|' .. groups[i + 3] .. '|' .. groups[i + 4] .. '|' .. parent .. '|')
        if not kind.late then
          local field, n = seat_fields[i], #sat
          if field then
            -- it was free: the hold, whose id `list` has just put in writing, stands for that from now on
            local owner = 'h' .. tens .. digits[(next_id - 1) % 10]
            sat[n + 1], sat[n + 2] = field, owner .. string.sub(seat_values[field], #'free' + 1)
          end
          if groups[i + 6] == 1 then allowed[#allowed + 1], allowed[#allowed + 2] = at, last end
        end
      end
      at = last + 8
    end
  end
  return short, told, sat, allowed
end

local function write(command, key, args)
  for first = 1, #args, 4000 do
    redis.call(command, key, unpack(args, first, math.min(first + 3999, #args)))
  end
end

units_load(units, first_fields)
if not units.value.v then return {'unknown_event'} end
if reply_key and not rare().ours() then return {'not_owner'} end
if units.value.v ~= version then return {'stale_catalogue', tostring(units.value.v)} end

local first_id, last_id, fresh_block = units.value.id or 1, units.value.id_last or 0, false
if block_first > last_id then
  first_id, last_id, fresh_block = block_first, block_last, true
end

local late = redis.call('ZRANGEBYSCORE', due_key, '-inf', '(' .. now, 'LIMIT', 0, 1)
local more_due = #late > 0 and rare().release(8)
if asked[7] and load_own() then return {'unknown_seats'} end
read_room()
local short, told, sat, allowed = deal(first_id)
if #short > 0 and more_due then
  -- "sold out" is only true once nothing is due any more; what was dealt in memory is forgotten
  units.value, units.was, units.quotas = {}, {}, {}
  if rare().release(64) then return {'again'} end
  units_load(units, first_fields)
  if asked[7] then load_own() end
  read_room()
  short, told, sat, allowed = deal(first_id)
end

local answer = {'ok', now, last_id - next_id + 1, first_id}
if next_id > first_id then
  if next_id > last_id + 1 then return {'need_ids'} end
  if reply_key then rare().keep(told) end
  for i = 1, #allowed, 2 do rare().allow_beyond(allowed[i], allowed[i + 1]) end
  local changes = {'id', next_id}
  if fresh_block then changes[3], changes[4] = 'id_last', last_id end
  for field in pairs(units.was) do
    changes[#changes + 1] = field
    changes[#changes + 1] = units.value[field]
  end
  write('HSET', event_key, changes)
  write('ZADD', holds_key, holds)
  write('ZADD', carts_key, carts)
  write('ZADD', due_key, due)
  write('ZADD', string.sub(due_key, 1, -4) .. 'purge', purge)
  if seats then write('HSET', seats, sat) end
end
for i, what in ipairs(short) do answer[4 + i] = what end
return answer
