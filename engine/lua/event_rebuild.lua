-- Makes an event anew from what Postgres remembers and the holds that survived, and gives up holds that have no room.
--
-- KEYS   1 event, 2 due, 3 shard, 4 holds, 5 carts
-- ARGV   1 epoch under which the shard is rebuilt
--        2 catalogue version
--        3 event id
--        4 how long expired holds stay listed, ms
--        5 number of counts; then each: field (as in include/units.lua and include/vouchers.lua), units
--        then what vouchers keep free and how many wait, as include/vouchers.lua says
--        then number of quotas; then each quota as include/quotas.lua says
-- STATUS emptied  what the rebuild began with is gone, and with it the holds that were counted
--        ok
-- RETURNS ok, how many holds were given up
-- WRITES event, due; if a quota is beyond what it may have: seats, holds, carts, purge, and of other events of the shard
--        what expired
-- COST   O(counts + quotas × their products); if a quota is beyond what it may have, besides O(holds that are due, and
--        those from the newest on until it is not)
--#include now_ms
--#include outbox
--#include outbox_add
--#include units_load
--#include units
--#include vouchers
--#include seat_names
--#include seats
--#include hold
--#include reap
--#include quotas

local event_key, due_key, holds_key, carts_key = KEYS[1], KEYS[2], KEYS[4], KEYS[5]
local event, listed_ms, counts = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local now, units = now_ms(), units_open(event_key)

-- By how much quotas are beyond what they may have, in all: their size, closed or not, and what was allowed.
local function beyond(quotas)
  local sum = 0
  for _, id in ipairs(quotas) do
    local size = units_get(units, 's' .. id)
    if size >= 0 then sum = sum + math.max(0, units_get(units, 'u' .. id) - size - units_get(units, 'a' .. id)) end
  end
  return sum
end

local found = {} -- what quotas_of has found, by products joined by spaces

-- The ids of the quotas of which holds take something, or of which their vouchers keep something free once they are gone.
local function quotas_of(holds)
  local products = {}
  for _, hold in ipairs(holds) do
    local reserve = hold.voucher ~= '0' and vouchers_reserve(units, hold.voucher)
    products[#products + 1] = hold.product
    if reserve then products[#products + 1] = reserve.product end
  end
  local name = table.concat(products, ' ')
  if not found[name] then
    local ids, seen = {}, {}
    for _, product in ipairs(products) do
      for _, quota in ipairs(units_quotas(units, product)) do
        if not seen[quota.id] then ids[#ids + 1], seen[quota.id] = quota.id, true end
      end
    end
    found[name] = ids
  end
  return found[name]
end

-- Takes in memory what holds take, or gives it back (sign -1); returns by how much more their quotas are beyond then.
local function move(holds, sign)
  local quotas = quotas_of(holds)
  local before = beyond(quotas)
  for _, hold in ipairs(holds) do hold_move(units, hold, sign) end
  return beyond(quotas) - before
end

-- Chooses the holds that have to go, those that came last first, until no quota is beyond what it may have, or nothing
-- helps: a hold that survived may have been ordered in what was lost, and its unit be there twice. Who goes takes along
-- what belongs to it. Returns them; in memory they have given back what they took.
local function give_up(left)
  local families, gone, last = {}, {}, '+inf'
  local behind = {} -- those that came right after the one at hand, as far as they belong to the same one, last first
  while left > 0 do
    local members = redis.call('ZRANGE', holds_key, last, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 500)
    if #members == 0 then break end
    for _, member in ipairs(members) do
      local hold = hold_unpack(member)
      hold.member, last = member, '(' .. hold.id
      if left > 0 and hold.state == 'H' and not gone[hold.id] and beyond(quotas_of({hold})) > 0 then
        local family = {hold}
        for i = #behind, 1, -1 do
          local one = behind[i]
          if one.parent == hold.id and one.state == 'H' and not gone[one.id] then family[#family + 1] = one end
        end
        local less = -move(family, -1)
        if less > 0 then
          left, families[#families + 1] = left - less, family
          for _, one in ipairs(family) do gone[one.id] = true end
        else
          move(family, 1)
        end
      end
      if behind[1] and behind[1].parent ~= hold.parent then behind = {} end
      if hold.parent ~= '0' then behind[#behind + 1] = hold end
    end
  end
  local chosen = {}
  for i = #families, 1, -1 do
    local family, stays = families[i], false
    if not gone[family[1].parent] then
      -- those before it may have made room for it
      stays = move(family, 1) <= 0
      if not stays then move(family, -1) end
    end
    for _, one in ipairs(family) do
      if stays then gone[one.id] = nil else chosen[#chosen + 1] = one end
    end
  end
  return chosen
end

-- Takes holds off all lists.
local function forget(holds)
  for first = 1, #holds, 1000 do
    local members, places, deadlines = {}, {}, {}
    for i = first, math.min(first + 999, #holds) do
      local hold = holds[i]
      hold_leave(due_key, event, hold)
      members[#members + 1], places[#places + 1] = hold.member, cart_member(hold.cart, hold.id)
      deadlines[#deadlines + 1] = event .. ':' .. hold.id
    end
    redis.call('ZREM', holds_key, unpack(members))
    redis.call('ZREM', carts_key, unpack(places))
    redis.call('ZREM', due_key, unpack(deadlines))
  end
end

if redis.call('HGET', KEYS[3], 'rebuilding') ~= ARGV[1] then return {'emptied'} end
redis.call('DEL', event_key)
for i = 0, counts - 1 do
  units_set(units, ARGV[6 + 2 * i], tonumber(ARGV[7 + 2 * i]))
end
local quotas_at = vouchers_apply(units, 6 + 2 * counts, now, due_key, event)
quotas_apply(units, quotas_at)
units_set(units, 'v', tonumber(ARGV[2]))

local quotas, given_up = {}, {}
for field in pairs(units.value) do
  if string.match(field, '^s%d+$') then quotas[#quotas + 1] = string.sub(field, 2) end
end
if beyond(quotas) > 0 then
  while reap(due_key, now, 1000, listed_ms) do end
  given_up = give_up(beyond(quotas))
  forget(given_up)
end
units_write()
return {'ok', #given_up}
