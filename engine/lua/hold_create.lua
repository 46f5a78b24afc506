-- Takes units, seats and uses of vouchers for groups of cart positions; each group gets all that it asks for or nothing.
--
-- KEYS   1 event  hash        the event's counters
--        2 holds  sorted set  the event's listed holds, by id
--        3 carts  sorted set  the event's carts
--        4 due    sorted set  the shard's taken holds, by deadline
--        5 reply  hash        only for a request with an idempotency key
-- ARGV   1 event id
--        2 catalogue version that the request was judged by
--        3 first id of a fresh block, or 0
--        4 last id of that block, or 0
--        5 how long expired holds stay listed, ms
--        6 number of groups; then for each group:
--            cart       percent-encoded
--            deadline   ms, or empty for now + ttl
--            ttl        ms
--            number of positions; then for each position:
--              product
--              seat      percent-encoded guid, or empty
--              voucher   0, or its id, max usages, and 1 if it asks for no room, else 0; joined by dots
--              parent    place in the group, from 1, of the position before it that it belongs to, or 0
--              payload
--        then, with a reply key: owner of the claim, reply, how long to keep it in ms
-- STATUS unknown_event     no such event here: the fence's alarm
--        not_owner         the idempotency key is no longer claimed by this request
--        stale_catalogue   the catalogue is at another version
--        unknown_seats     the event ought to have seats here and has none: the fence's alarm
--        again             more holds were due than one call releases; call again (nothing was taken)
--        need_ids          the block of ids is used up; call again with a fresh one
--        ok
-- RETURNS ok, now in ms, then for each group: held, first id, deadline ms |
--        short, what it cannot have (quota id, voucher: and its id, or seat: and its field as in include/seats.lua), 0
-- WRITES event, seats, holds, carts, due, purge; of other events of the shard what expired; outbox and shard, what a
--        voucher that asks for no room has allowed; reply, if anything was held: decided is what is returned
-- COST   O(positions × quotas of a product), log n in the sorted sets; at most 8 (64 when short) releases
--#include now_ms
--#include outbox
--#include units
--#include vouchers
--#include seats
--#include hold
--#include reap
--#include reply

local event_key, holds_key, carts_key, due_key, reply_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local event, version = ARGV[1], tonumber(ARGV[2])
local block_first, block_last = tonumber(ARGV[3]), tonumber(ARGV[4])
local listed_ms, group_count = tonumber(ARGV[5]), tonumber(ARGV[6])
local owner, reply, keep_ms = ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV] -- with a reply key only
local now = now_ms()
local units = units_open(event_key)

-- By place of a position: the field of its seat, and its voucher, where it has one. What they need is read at once.
local seat_fields, voucher_ids = {}, {}
local seats_wanted, units_wanted = {}, {'v', 'id', 'id_last', 'h' .. ARGV[11], 'q' .. ARGV[11]}

-- What a position asks of vouchers, added up by voucher in its group. Returns whether it asks for no room.
local function ask_voucher(group, at)
  local voucher, max, skips = string.match(ARGV[at + 2], '^(%d+)%.(%d+)%.(%d)$')
  voucher_ids[at] = voucher
  group.uses = group.uses or {}
  local use = group.uses[voucher]
  if use then
    use.count = use.count + 1
  else
    group.uses[voucher] = {max = tonumber(max), count = 1}
    local n = #units_wanted
    units_wanted[n + 1], units_wanted[n + 2], units_wanted[n + 3] = 'r' .. voucher, 't' .. voucher, 'g' .. voucher
  end
  return skips == '1'
end

local function read_groups()
  local groups, at = {}, 7
  for g = 1, group_count do
    local first, count = at + 4, tonumber(ARGV[at + 3])
    local group = {cart = ARGV[at], deadline = tonumber(ARGV[at + 1]) or now + tonumber(ARGV[at + 2]), first = first,
      count = count, last = first + 5 * (count - 1)}
    for p = first, group.last, 5 do
      if ARGV[p + 1] ~= '' then
        seat_fields[p] = seat_field(ARGV[p], ARGV[p + 1])
        seats_wanted[#seats_wanted + 1] = seat_fields[p]
        group.seated = true
      end
      if ARGV[p + 2] ~= '0' and ask_voucher(group, p) then
        group.unasked = group.unasked or {}
        group.unasked[p] = true
      end
    end
    groups[g] = group
    at = group.last + 5
  end
  return groups
end

local groups = read_groups()
units_load(units, units_wanted)
if not units.value.v then return {'unknown_event'} end
if not reply_ours(reply_key, owner) then return {'not_owner'} end
if units.value.v ~= version then return {'stale_catalogue', tostring(units.value.v)} end

local next_id, last_id = units.value.id or 1, units.value.id_last or 0
if block_first > last_id then
  next_id, last_id = block_first, block_last
end

local more_due = reap(due_key, now, 8, listed_ms)
units_write() -- what was released stays released, whatever becomes of this request

local seats = seats_key(due_key, event)
local seat_values, seats_dealt = {}, {} -- by field: what is there, and what this call gives away

-- Reads all seats that are asked for. Returns whether the event ought to have seats here and has none.
local function load_seats()
  seat_values, seats_dealt = {}, {}
  for first = 1, #seats_wanted, 4000 do
    local last = math.min(first + 3999, #seats_wanted)
    local found = redis.call('HMGET', seats, 'v', unpack(seats_wanted, first, last))
    if not found[1] then return true end
    for i = first, last do seat_values[seats_wanted[i]] = found[i - first + 2] end
  end
  return false
end

-- Deals a group its seats. Returns the first one that it cannot have.
local function deal_seats(group)
  for at = group.first, group.last, 5 do
    local field = seat_fields[at]
    if field then
      local value = seat_values[field] or ''
      if value ~= 'free' then
        local has, mark = seat_parts(value)
        if has ~= 'free' or not seat_opens(units, mark, voucher_ids[at] or '0', now) then return 'seat:' .. field end
      end
      if seats_dealt[field] then return 'seat:' .. field end
      seats_dealt[field] = group
    end
  end
end

local function undeal_seats(group)
  for at = group.first, group.last, 5 do
    local field = seat_fields[at]
    if field and seats_dealt[field] == group then seats_dealt[field] = nil end
  end
end

-- Deals units and uses of vouchers out to a group in memory, or undoes that (sign -1).
local function deal_group(group, sign)
  for at = group.first, group.last, 5 do
    units_move(units, ARGV[at], 'h', sign)
  end
  for voucher, use in pairs(group.uses or {}) do vouchers_move(units, voucher, 't', sign * use.count) end
end

-- Returns the first quota that has no room for all that a group asks of it.
local function deal_room(group)
  local needed, order = {}, {}
  for at = group.first, group.last, 5 do
    if not (group.unasked and group.unasked[at]) then
      for _, quota in ipairs(units_quotas(units, ARGV[at])) do
        if not needed[quota] then order[#order + 1] = quota end
        needed[quota] = (needed[quota] or 0) + 1
      end
    end
  end
  for _, quota in ipairs(order) do
    if not units_room(units, quota, needed[quota]) then return tonumber(quota.id) end
  end
end

-- Returns a voucher of a group that cannot be used that often any more.
local function deal_vouchers(group)
  for voucher, use in pairs(group.uses) do
    if units_get(units, 'r' .. voucher) + units_get(units, 't' .. voucher) + use.count > use.max then
      return 'voucher:' .. voucher
    end
  end
end

-- Deals everything out in memory, group by group, and notes what each is short of, if anything. Returns whether any is.
local function deal()
  local short_any = false
  for _, group in ipairs(groups) do
    group.short = group.seated and deal_seats(group) or group.uses and deal_vouchers(group) or deal_room(group)
    if not group.short and group.deadline > now then
      deal_group(group, 1)
    elseif group.seated then
      undeal_seats(group)
    end
    short_any = short_any or group.short
  end
  return short_any
end

local function undeal()
  for _, group in ipairs(groups) do
    if not group.short and group.deadline > now then deal_group(group, -1) end
  end
end

-- Records by how much a group goes beyond the sizes of its quotas: a voucher has allowed it.
local function allow_beyond(group)
  for at = group.first, group.last, 5 do
    for _, quota in ipairs(units_quotas(units, ARGV[at])) do
      local size = units_get(units, quota.s)
      local beyond = units_get(units, quota.u) - size
      if size >= 0 and beyond > units_get(units, quota.a) then
        units_set(units, quota.a, beyond)
        outbox_add(string.sub(due_key, 1, -4) .. 'outbox', 'kind', 'quota_allowance', 'id', quota.id, 'v', beyond)
      end
    end
  end
end

if load_seats() then return {'unknown_seats'} end
if deal() and more_due then
  -- "sold out" is only true once nothing is due any more
  undeal()
  more_due = reap(due_key, now, 64, listed_ms)
  units_write()
  if more_due then return {'again'} end
  load_seats()
  deal()
end

local wanted = 0
for _, group in ipairs(groups) do
  if not group.short then wanted = wanted + group.count end
end
if next_id + wanted - 1 > last_id and wanted > 0 then return {'need_ids'} end

local answer = {'ok', now}
local hold_args, cart_args, due_args, seat_args = {}, {}, {}, {}
local created = string.format('%.0f', now)
for _, group in ipairs(groups) do
  if group.short then
    answer[#answer + 1] = 'short'
    answer[#answer + 1] = group.short
    answer[#answer + 1] = 0
  else
    answer[#answer + 1] = 'held'
    answer[#answer + 1] = next_id
    answer[#answer + 1] = group.deadline
    local state, deadline, first_id = 'H', string.format('%.0f', group.deadline), next_id
    if group.deadline <= now then state = 'E' end
    if group.unasked and state == 'H' then allow_beyond(group) end
    for at = group.first, group.last, 5 do
      local id, parent = string.format('%.0f', next_id), '0'
      if ARGV[at + 3] ~= '0' then parent = string.format('%.0f', first_id + tonumber(ARGV[at + 3]) - 1) end
      hold_args[#hold_args + 1] = id
      hold_args[#hold_args + 1] = hold_member(id, state, ARGV[at], created, deadline, group.cart, ARGV[at + 1],
        voucher_ids[at] or '0', parent, ARGV[at + 4])
      cart_args[#cart_args + 1] = 0
      cart_args[#cart_args + 1] = cart_member(group.cart, next_id)
      if state == 'H' then
        due_args[#due_args + 1] = group.deadline
        due_args[#due_args + 1] = event .. ':' .. id
        local field = seat_fields[at]
        if field then
          seat_args[#seat_args + 1] = field
          seat_args[#seat_args + 1] = seat_value('h' .. id, seat_values[field])
        end
      else
        redis.call('ZADD', string.sub(due_key, 1, -4) .. 'purge', now + listed_ms, event .. ':' .. id)
      end
      next_id = next_id + 1
    end
  end
end
if wanted > 0 then
  reply_keep(reply_key, reply, answer, keep_ms)
  units_set(units, 'id', string.format('%.0f', next_id))
  units_set(units, 'id_last', string.format('%.0f', last_id))
end
units_write()
for first = 1, #hold_args, 4000 do
  local last = math.min(first + 3999, #hold_args)
  redis.call('ZADD', holds_key, unpack(hold_args, first, last))
  redis.call('ZADD', carts_key, unpack(cart_args, first, last))
end
for first = 1, #due_args, 4000 do
  redis.call('ZADD', due_key, unpack(due_args, first, math.min(first + 3999, #due_args)))
end
for first = 1, #seat_args, 4000 do
  redis.call('HSET', seats, unpack(seat_args, first, math.min(first + 3999, #seat_args)))
end
return answer
