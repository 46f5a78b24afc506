-- Makes the next versions of orders true: of each order all of it, or nothing.
--
-- KEYS   1 event, 2 outbox, 3 shard, 4 holds, 5 carts, 6 due; then each order; then, for each order that has them: its
--        split (a new order that takes over positions), its reply
-- ARGV   1 event id
--        2 a MessagePack array:
--          catalogue version that the requests were judged by, or false if it does not matter
--          how long expired holds stay listed, ms
--          what orders have in common, an array of kinds, each an array:
--            mode: commit | admit (some need no room) | force (nothing needs room) | simulate (check only)
--            number of moves; each: product, state n|p|x, delta
--            the entries that need room, in the order of positions; each: product
--          then for each order, at most 1000:
--            kind: its place among the kinds, from 1
--            version that it follows, as text; 0 for a new order
--            version that it becomes, as text; -1 deletes it
--            cart to consume, percent-encoded, or false
--            false, or what few orders have, a map: carts are others to consume; id is the order's, as text, if it is
--            deleted or has a split or a reply; split is id and document of the order that is split off; reply is
--            owner of the claim of an idempotency key, reply, how long to keep it in ms; vouchers is for each: id, by how
--            much its uses change, max usages, by how much what it takes off prices changes, the most that it may take
--            off or false (both in hundredths); seats is for each that changes hands: field (include/seats.lua), id of
--            the order that has had it or 0, id of the order that has it now or 0, voucher that comes with it or 0, all
--            as text
--        3 the document of the first order's new version, in one line, empty if it is deleted; then those of the others
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
-- RETURNS ok, epoch, then for each order the id of the outbox entry that tells of it, empty for a simulation; or a list,
--        one of the statuses from not_owner on
-- WRITES event, seats, orders, splits, outbox, shard, holds, carts, due, purge; replies: decided is entry, epoch, order id, version
-- COST   O(positions × quotas of a product + holds consumed); at most 8 (72 when more are due) releases
--#include now_ms
--#include outbox
--#include units_load

local event_key, outbox_key, shard_key = KEYS[1], KEYS[2], KEYS[3]
local holds_key, carts_key, due_key = KEYS[4], KEYS[5], KEYS[6]
local event, words = ARGV[1], cmsgpack.unpack(ARGV[2])
local version, listed_ms, kinds = words[1], words[2], words[3]
local width, count = 5, (#words - 3) / 5 -- the words of an order end at 3 + 5 times its place
local now = now_ms()
local entry_bytes_max = 16384 -- documents in one entry, unless one alone is larger: who reads asks for many entries

local epoch, last_entry = unpack(redis.call('HMGET', shard_key, 'epoch', 'last'))
if not epoch then return {'unverified'} end
outbox_last = last_entry

local units = {key = event_key, value = {}, was = {}} -- as units_open of include/units.lua
local value = units.value

-- What all orders need to know of the event, read at once.
local fields = {'v'}
for k = 1, #kinds do
  local kind = kinds[k]
  for m = 3, 2 + 3 * kind[2], 3 do
    local n, product = #fields, kind[m]
    fields[n + 1], fields[n + 2], fields[n + 3] = 'q' .. product, 'h' .. product, kind[m + 1] .. product
  end
end
units_load(units, fields)
if not value.v then return {'unknown_event'} end
if version and value.v ~= version then return {'stale_catalogue', tostring(value.v)} end

-- New orders are looked for all at once, and what few orders have is given its keys.
local versions, new, given = {}, {}, 0 -- versions that are known, by key; false where there is no order
for i = 1, count do
  local key, more = KEYS[6 + i], words[3 + width * i]
  if count > 1 and words[width * i] == '0' then new[#new + 1] = key end
  if more then
    for _, part in ipairs({more.split or {}, more.reply or {}}) do
      if #part > 0 then
        given = given + 1
        part.key = KEYS[6 + count + given]
      end
    end
  end
end
if #new > 1 and redis.call('EXISTS', unpack(new)) == 0 then
  for i = 1, #new do versions[new[i]] = false end
end

local rare -- what few orders need, see below

-- Looks whether an order may be changed; returns why not, if so.
local function find(key, follows, more)
  if more and more.reply and not rare().ours(more.reply) then return {'not_owner'} end
  local stored = versions[key]
  if stored == nil then stored = redis.call('HGET', key, 'v') end
  -- a deleted order leaves its grave for those who read it before; its code may be used again at once
  if stored and stored ~= follows and not (stored == '-1' and follows == '0') then return {'conflict'} end
end

local covers = {} -- the quotas of products: their ids

local function quotas_of(product)
  local ids = covers[product]
  if ids then return ids end
  if value['q' .. product] == nil then units_load(units, {'q' .. product, 'h' .. product}) end
  local wanted = {}
  ids = {}
  for id in string.gmatch(value['q' .. product] or '', '[1-9]%d*') do
    local n = #wanted
    ids[#ids + 1] = id
    wanted[n + 1], wanted[n + 2], wanted[n + 3], wanted[n + 4] = 'u' .. id, 'l' .. id, 'c' .. id, 'f' .. id
  end
  units_load(units, wanted)
  covers[product] = ids
  return ids
end

-- Completes a kind: `counted` are the fields that its moves change, each with by how much (as units_move of
-- include/units.lua), `room` how much is used of each quota that needs room, with its limit; `uncovered` says that
-- something that needs room has no quota, `closes` that some quota wants to be closed when it is sold out.
local function complete(kind)
  local counted, room, was = {}, {}, units.was
  for m = 3, 2 + 3 * kind[2], 3 do
    local product, state, delta = kind[m], kind[m + 1], kind[m + 2]
    local ids, n = quotas_of(product), #counted
    counted[n + 1], counted[n + 2] = state .. product, delta
    for i = 1, #ids do
      n = #counted
      if state == 'x' then
        rare().count_exit(counted, ids[i], delta)
      else
        counted[n + 1], counted[n + 2] = 'u' .. ids[i], delta
        if state ~= 'h' then counted[n + 3], counted[n + 4] = 'c' .. ids[i], delta end
      end
      if value['f' .. ids[i]] == 1 then kind.closes = true end
    end
  end
  for i = 1, #counted, 2 do
    local field = counted[i]
    value[field] = value[field] or 0
    if was[field] == nil then was[field] = value[field] end
  end
  for n = 3 + 3 * kind[2], #kind do
    local ids = quotas_of(kind[n])
    if #ids == 0 then kind.uncovered = true end
    for i = 1, #ids do room[#room + 1], room[#room + 2] = 'u' .. ids[i], 'l' .. ids[i] end
  end
  kind.counted, kind.room = counted, room
  return kind
end

-- The holds that orders of this call have taken over, in rows: they are in the sorted sets until all orders are done.
local members, places, deadlines, products = {}, {}, {}, {}
local taken_over, seated = {}, 0 -- the place in the rows of each, by its deadline; that of the last one with a seat
local special -- those with a seat or a voucher, by place, if there are any

-- Takes over what a cart holds. What was held together has ids without a gap, and is read together.
local function consume(cart)
  local found = redis.call('ZRANGEBYLEX', carts_key, '[' .. cart .. ' ', '(' .. cart .. '!')
  local size, listed = #found, nil
  if size > 1 then
    local first, last = string.sub(found[1], -15), string.sub(found[size], -15)
    if last - first == size - 1 then listed = redis.call('ZRANGEBYSCORE', holds_key, first, last) end
    if listed and #listed ~= size then listed = nil end
  end
  for p = 1, size do
    local padded = string.sub(found[p], -15)
    local member = listed and listed[p] or redis.call('ZRANGEBYSCORE', holds_key, padded, padded)[1] or ''
    -- as include/hold.lua packs it
    local id, product, deadline, seat, voucher =
      string.match(member, '^(%d+)|H|([%d%.]+)|%d+|(%-?%d+)|[^|]*|([^|]*)|(%d+)|')
    local due = id and event .. ':' .. id
    if id and tonumber(deadline) >= now and not taken_over[due] then
      local n = #members + 1
      members[n], places[n], deadlines[n], products[n], taken_over[due] = member, found[p], due, product, n
      if seat ~= '' then seated = n end
      if seat ~= '' or voucher ~= '0' then
        special = special or {}
        special[n] = {id = id, product = product, seat = seat, voucher = voucher}
      end
    end
  end
end

local function apply(counted, sign)
  for i = 1, #counted, 2 do
    local field = counted[i]
    value[field] = value[field] + sign * counted[i + 1]
  end
end

-- Moves in memory the units of an order and of the holds from `first` on that it takes over, and its uses of vouchers; or
-- undoes that (sign -1).
local held = {} -- what taking over a hold changes, by product
local function move(first, kind, more, sign)
  for i = first, #members do
    local product = products[i]
    if not held[product] then held[product] = complete({'', 1, product, 'h', -1}).counted end
    apply(held[product], sign)
    local hold = special and special[i]
    if hold and hold.voucher ~= '0' then rare().move_use(hold.voucher, 't', -sign) end
  end
  apply(kind.counted, sign)
  if more and more.vouchers then rare().use_vouchers(more.vouchers, sign) end
end

-- Is there room for what an order has got in memory?
local function has_room(kind)
  local room = kind.room
  for i = 1, #room, 2 do
    -- as units_room of include/units.lua
    local limit = value[room[i + 1]] or 0
    if limit ~= -1 and (value[room[i]] or 0) > limit then return false end
  end
  return not kind.uncovered
end

-- The orders that were accepted and are not written yet, by their places in the call, and their documents.
local accepted, documents, bytes = {}, {}, 0
local answer = {'ok', tonumber(epoch)}

local function write(key, becomes, document)
  -- an order that was there before may have an end of life
  if redis.call('HSET', key, 'v', becomes, 'd', document) == 0 then redis.call('PERSIST', key) end
end

-- Made by the first who needs it: Redis makes all functions of a script anew each time it runs.
local made
function rare()
  if made then return made end
--#include units
--#include vouchers
--#include seat_names
--#include seats
--#include hold
--#include reap
--#include reply
--#include order_rare
  return made
end

-- Writes accepted orders, and one entry of the outbox for all of them. Returns false if there is no outbox.
local function write_accepted()
  if #accepted == 0 then return true end
  local entry = outbox_append(outbox_key, 'd', table.concat(documents, '\n'))
  if not entry then return false end
  for n = 1, #accepted do
    local i = accepted[n]
    write(KEYS[6 + i], words[width * i + 1], documents[n])
    answer[i + 2] = entry
  end
  accepted, documents, bytes = {}, {}, 0
  return true
end

-- Makes an order true, by its place in the call. Returns why not, or empty for a simulation.
local function commit(i)
  local key, at = KEYS[6 + i], 3 + width * i
  local kind, follows, becomes, cart, more = unpack(words, at - width + 1, at)
  local document = ARGV[2 + i]
  local refusal = find(key, follows, more)
  if refusal then return refusal end

  kind = kinds[kind]
  if not kind.counted then complete(kind) end
  local mode, first, vouchers = kind[1], #members + 1, more and more.vouchers
  if cart then consume(cart) end
  if more and more.carts then
    for _, other in ipairs(more.carts) do consume(other) end
  end
  move(first, kind, more, 1)
  if vouchers then refusal = rare().find_vouchers(vouchers) end
  if more and more.seats and not refusal then refusal = rare().find_seats(more.seats, first) end
  if not refusal and mode ~= 'force' and not has_room(kind) then refusal = rare().find_short(kind) end
  if refusal or mode == 'simulate' then
    move(first, kind, more, -1)
    for n = #members, first, -1 do
      taken_over[deadlines[n]] = nil
      members[n], places[n], deadlines[n], products[n] = nil, nil, nil, nil
      if special then special[n] = nil end
    end
    return refusal or ''
  end

  -- what was allowed goes out before the order that needs it: whoever has the order has been told why it may be there
  if mode ~= 'commit' or kind.closes or vouchers then rare().settle(kind, vouchers or {}) end
  versions[key] = becomes
  if more and more.id then
    if not write_accepted() or not rare().write_alone(i, key, becomes, document, more) then
      return {'unknown_outbox'}
    end
  else
    local n = #accepted + 1
    accepted[n], documents[n], bytes = i, document, bytes + #document
  end
  local passes = seated >= first or more and more.seats
  if (passes or bytes >= entry_bytes_max) and not write_accepted() then return {'unknown_outbox'} end
  if passes then rare().pass_seats(first, more and more.seats or {}) end
end

if #redis.call('ZRANGEBYSCORE', due_key, '-inf', now - 1, 'LIMIT', 0, 1) > 0 then rare().release() end
for i = 1, count do
  local told = commit(i)
  -- then none of them has changed anything but these counts
  if told and told[1] == 'unknown_outbox' then return told end
  if told then answer[i + 2] = told end
end
if not write_accepted() then return {'unknown_outbox'} end

local changes, was = {}, units.was
for field in pairs(was) do
  if value[field] ~= was[field] then
    local n = #changes
    changes[n + 1], changes[n + 2] = field, value[field]
  end
end
for first = 1, #changes, 4000 do
  redis.call('HSET', event_key, unpack(changes, first, math.min(first + 3999, #changes)))
end
if outbox_last ~= last_entry then redis.call('HSET', shard_key, 'last', outbox_last) end
for first = 1, #members, 4000 do
  local last = math.min(first + 3999, #members)
  redis.call('ZREM', holds_key, unpack(members, first, last))
  redis.call('ZREM', carts_key, unpack(places, first, last))
  redis.call('ZREM', due_key, unpack(deadlines, first, last))
end
return answer
