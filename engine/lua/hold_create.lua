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
--        6 what positions have in common, a MessagePack array of kinds, each an array:
--            product
--            ttl       ms
--            deadline  ms, or nil for now + ttl
--            seat      percent-encoded guid, or empty; a kind without a seat, a voucher and a parent ends before it
--            voucher   0, or its id
--            uses      max usages of the voucher
--            skips     1 if the voucher asks for no room, else 0
--            parent    place in the group, from 1, of the position before it that it belongs to, or 0
--        7 the positions, group by group, a MessagePack array of three values for each:
--            kind      its place among the kinds, from 1
--            cart      percent-encoded; empty for all of a group but its first
--            payload
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
--#include units

local event_key, holds_key, carts_key, due_key, reply_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local event, version = ARGV[1], tonumber(ARGV[2])
local block_first, block_last, listed_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local kinds, wanted = cmsgpack.unpack(ARGV[6]), cmsgpack.unpack(ARGV[7])
local owner, reply, keep_ms = ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV] -- with a reply key only
local now = now_ms()
local units = units_open(event_key)

-- What few calls need is made by the first step that does: Redis makes all functions of a script anew each time it runs,
-- and so many cost as much as some holds. A group is what stands in `wanted` from place `first` to place `last`.
local function make_rare()
--#include outbox
--#include vouchers
--#include seats
--#include hold
--#include reap
--#include reply
  local rare = {}
  local seats, seat_values, seats_dealt = seats_key(due_key, event), {}, nil

  function rare.ours()
    return reply_ours(reply_key, owner)
  end

  -- Releases what is due: that stays so, whatever becomes of this request. Returns whether there is more.
  function rare.release(most)
    local more_due = reap(due_key, now, most, listed_ms)
    units_write()
    return more_due
  end

  -- Reads all vouchers and seats that are asked for. Returns whether the event ought to have seats here and has none.
  function rare.load()
    local seat_fields, voucher_fields = {}, {}
    for _, kind in ipairs(kinds) do
      if kind.rare and kind[4] ~= '' then
        kind.seat = seat_field(kind[1], kind[4])
        seat_fields[#seat_fields + 1] = kind.seat
      end
      for _, state in ipairs(kind.voucher ~= '0' and {'r', 't', 'g'} or {}) do
        voucher_fields[#voucher_fields + 1] = state .. kind.voucher
      end
    end
    units_load(units, voucher_fields)
    seats_dealt = {}
    for first = 1, #seat_fields, 4000 do
      local last = math.min(first + 3999, #seat_fields)
      local found = redis.call('HMGET', seats, 'v', unpack(seat_fields, first, last))
      if not found[1] then return true end
      for i = first, last do seat_values[seat_fields[i]] = found[i - first + 2] end
    end
    return false
  end

  -- Deals a group its seats. Returns the first one that it cannot have.
  local function deal_seats(first, last)
    for at = first, last, 3 do
      local kind = kinds[wanted[at]]
      local field = kind.seat
      if field then
        local value = seat_values[field] or ''
        if value ~= 'free' then
          local has, mark = seat_parts(value)
          if has ~= 'free' or not seat_opens(units, mark, kind.voucher, now) then return 'seat:' .. field end
        end
        if seats_dealt[field] then return 'seat:' .. field end
        seats_dealt[field] = first
      end
    end
  end

  local function undeal_seats(first, last)
    for at = first, last, 3 do
      local field = kinds[wanted[at]].seat
      if field and seats_dealt[field] == first then seats_dealt[field] = nil end
    end
  end

  -- Returns how often a group uses each voucher, and one that cannot be used that often any more.
  local function deal_vouchers(first, last)
    local uses, spent = {}, nil
    for at = first, last, 3 do
      local kind = kinds[wanted[at]]
      local voucher = kind.voucher
      if voucher ~= '0' then
        uses[voucher] = (uses[voucher] or 0) + 1
        local used = units_get(units, 'r' .. voucher) + units_get(units, 't' .. voucher)
        if used + uses[voucher] > kind[6] then spent = spent or 'voucher:' .. voucher end
      end
    end
    return uses, spent
  end

  -- Returns the first quota that has no room for all that a group asks of it.
  local function deal_room(first, last)
    local needed, order = {}, {}
    for at = first, last, 3 do
      local kind = kinds[wanted[at]]
      for _, quota in ipairs(kind[7] == 1 and {} or units_quotas(units, kind[1])) do
        if not needed[quota] then order[#order + 1] = quota end
        needed[quota] = (needed[quota] or 0) + 1
      end
    end
    for _, quota in ipairs(order) do
      if not units_room(units, quota, needed[quota]) then return quota.id end
    end
  end

  -- Deals a group, in memory, all that it asks for, or returns what it cannot have.
  function rare.deal(first, last, is_late)
    local uses, spent = deal_vouchers(first, last)
    local short = deal_seats(first, last) or spent or deal_room(first, last)
    if short or is_late then
      undeal_seats(first, last)
      return short
    end
    for at = first, last, 3 do units_move(units, kinds[wanted[at]][1], 'h', 1) end
    for voucher, count in pairs(uses) do vouchers_move(units, voucher, 't', count) end
  end

  -- Records by how much a group goes beyond the sizes of its quotas: a voucher has allowed it.
  function rare.allow_beyond(first, last)
    for at = first, last, 3 do
      for _, quota in ipairs(units_quotas(units, kinds[wanted[at]][1])) do
        local size = units_get(units, quota.s)
        local beyond = units_get(units, quota.u) - size
        if size >= 0 and beyond > units_get(units, quota.a) then
          units_set(units, quota.a, beyond)
          outbox_add(string.sub(due_key, 1, -4) .. 'outbox', 'kind', 'quota_allowance', 'id', quota.id, 'v', beyond)
        end
      end
    end
  end

  -- Gives seats, field by field, to the holds whose ids stand behind them.
  function rare.take_seats(taken)
    for i = 1, #taken, 2 do taken[i + 1] = seat_value('h' .. taken[i + 1], seat_values[taken[i]]) end
    for first = 1, #taken, 4000 do
      redis.call('HSET', seats, unpack(taken, first, math.min(first + 3999, #taken)))
    end
  end

  function rare.keep(told)
    reply_keep(reply_key, reply, told, keep_ms)
  end
  return rare
end

local made
local function rare()
  made = made or make_rare()
  return made
end

-- Completes the kinds. Returns the fields that are read first, and whether any has a seat, a voucher or a parent.
local function read_kinds()
  local fields, any_rare = {'v', 'id', 'id_last'}, false
  for _, kind in ipairs(kinds) do
    local product = kind[1]
    kind.held, kind.deadline, kind.voucher = 'h' .. product, kind[3] or now + kind[2], kind[5] or '0'
    kind.late = kind.deadline <= now
    fields[#fields + 1] = kind.held
    fields[#fields + 1] = 'q' .. product
    -- what stands before and behind the cart in a packed hold (include/hold.lua)
    kind.head = string.format('|%s|%s|%.0f|%.0f|', kind.late and 'E' or 'H', product, now, kind.deadline)
    kind.tail = '||0|0|'
    if kind[4] then
      any_rare, kind.rare, kind.tail = true, true, '|' .. kind[4] .. '|' .. kind.voucher .. '|'
    end
  end
  return fields, any_rare
end

-- Takes one unit for a position of a kind, in memory, or returns the first quota without room for it.
local function take(kind)
  local value, was, quotas, held = units.value, units.was, kind.quotas, kind.held
  for i = 1, #quotas do
    local quota = quotas[i]
    local limit = value[quota.l] or 0
    -- as units_room of include/units.lua
    if limit ~= -1 and (value[quota.u] or 0) + 1 > limit then return quota.id end
  end
  if kind.late then return end
  for i = 1, #quotas do
    local used = quotas[i].u
    if was[used] == nil then was[used] = value[used] end
    value[used] = (value[used] or 0) + 1
  end
  if was[held] == nil then was[held] = value[held] end
  value[held] = (value[held] or 0) + 1
end

-- Deals all groups what they want, in memory, with ids from `id` on. Returns the id after the last, what is answered of
-- groups that lack something, and what there is to write.
local function deal(id)
  local short, told, allowed = {}, {'ok', now}, {}
  local hold_args, cart_args, due_args, purge_args, seat_args = {}, {}, {}, {}, {}
  local at, place, n, width, gap = 1, 0, 0, 0, ''
  while at <= #wanted do
    local first, last, cart, first_id = at, at, wanted[at + 1], id
    while wanted[last + 4] == '' do last = last + 3 end
    local kind, lacks = kinds[wanted[at]], nil
    if kind.rare or last > first then
      lacks = rare().deal(first, last, kind.late)
    else
      lacks = take(kind)
    end
    at, place = last + 3, place + 1
    if reply_key then
      told[#told + 1], told[#told + 2], told[#told + 3] =
        lacks and 'short' or 'held', lacks or id, lacks and 0 or kind.deadline
    end
    if lacks then
      short[#short + 1], short[#short + 2] = place, lacks
    else
      for p = first, last, 3 do
        kind = kinds[wanted[p]]
        local text, tail = string.format('%d', id), kind.tail
        if kind.rare then
          tail = string.format('%s%d|', tail, kind[8] == 0 and 0 or first_id + kind[8] - 1)
          if kind[7] == 1 and not kind.late and allowed[#allowed] ~= last then
            allowed[#allowed + 1], allowed[#allowed + 2] = first, last
          end
        end
        if #text ~= width then
          width, gap = #text, ' ' .. string.rep('0', 15 - #text) -- as cart_member of include/hold.lua
        end
        n = n + 2
        hold_args[n - 1], hold_args[n] = id, text .. kind.head .. cart .. tail .. wanted[p + 2]
        cart_args[n - 1], cart_args[n] = 0, cart .. gap .. text
        local listed = event .. ':' .. text
        if kind.late then
          purge_args[#purge_args + 1], purge_args[#purge_args + 2] = now + listed_ms, listed
        else
          due_args[#due_args + 1], due_args[#due_args + 2] = kind.deadline, listed
          if kind.seat then
            seat_args[#seat_args + 1], seat_args[#seat_args + 2] = kind.seat, text
          end
        end
        id = id + 1
      end
    end
  end
  return {after = id, short = short, told = told, allowed = allowed, holds = hold_args, carts = cart_args, due = due_args,
    purge = purge_args, seats = seat_args}
end

local function add(key, args)
  for first = 1, #args, 4000 do
    redis.call('ZADD', key, unpack(args, first, math.min(first + 3999, #args)))
  end
end

local fields, any_rare = read_kinds()
units_load(units, fields)
if not units.value.v then return {'unknown_event'} end
if reply_key and not rare().ours() then return {'not_owner'} end
if units.value.v ~= version then return {'stale_catalogue', tostring(units.value.v)} end

local next_id, last_id, fresh_block = units.value.id or 1, units.value.id_last or 0, false
if block_first > last_id then
  next_id, last_id, fresh_block = block_first, block_last, true
end

local due = redis.call('ZRANGEBYSCORE', due_key, '-inf', '(' .. now, 'LIMIT', 0, 1)
local more_due = #due > 0 and rare().release(8)
if any_rare and rare().load() then return {'unknown_seats'} end
for _, kind in ipairs(kinds) do kind.quotas = units_quotas(units, kind[1]) end
local dealt = deal(next_id)
if #dealt.short > 0 and more_due then
  -- "sold out" is only true once nothing is due any more; what was dealt in memory is forgotten
  units.value, units.was, units.quotas = {}, {}, {}
  if rare().release(64) then return {'again'} end
  units_load(units, fields)
  if any_rare then rare().load() end
  for _, kind in ipairs(kinds) do kind.quotas = units_quotas(units, kind[1]) end
  dealt = deal(next_id)
end

local answer = {'ok', now, last_id - next_id + 1, next_id}
if dealt.after > next_id then
  if dealt.after > last_id + 1 then return {'need_ids'} end
  answer[3] = last_id - dealt.after + 1
  if reply_key then rare().keep(dealt.told) end
  for i = 1, #dealt.allowed, 2 do rare().allow_beyond(dealt.allowed[i], dealt.allowed[i + 1]) end
  units_set(units, 'id', dealt.after)
  if fresh_block then units_set(units, 'id_last', last_id) end
  units_write()
  add(holds_key, dealt.holds)
  add(carts_key, dealt.carts)
  add(due_key, dealt.due)
  add(string.sub(due_key, 1, -4) .. 'purge', dealt.purge)
  if #dealt.seats > 0 then rare().take_seats(dealt.seats) end
end
for i, told in ipairs(dealt.short) do answer[4 + i] = told end
return answer
